"""Governance and the operator as a process: a restart, and a mode in which it writes nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import GatewayStage
from tests.simulators.bifrost.specs import GLOBAL_ROW
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

MONTH = {"maxLimit": 70, "resetDuration": "1M"}


def test_a_restart_writes_nothing_and_the_older_of_two_still_owns_the_row(gateway: GatewayStage) -> None:
    only_here = {"SETPOINT_NAMESPACES": gateway.namespace}
    gateway.open()
    with OperatorProcess.start(gateway.plane, only_here):
        gateway.mcg("older", "gpt-4o", budget=MONTH)
        created = gateway.until("mcg", "older", "Synced")["metadata"]["creationTimestamp"]
        # Kubernetes counts creation in whole seconds.
        moment = datetime.fromisoformat(created) + timedelta(seconds=1.1)
        eventually(lambda: datetime.now(UTC) > moment, interval=0.1)
        gateway.mcg("younger", "gpt-4o", budget={"maxLimit": 9, "resetDuration": "1M"})
        gateway.until("mcg", "younger", "Conflict")
    # The younger one is looked at first by the next operator.
    gateway.request("mcg", "younger", "one")
    with OperatorProcess.start(gateway.plane, only_here):
        gateway.handled("mcg", "younger", "one")
        gateway.until("mcg", "younger", "Conflict")
        gateway.request("mcg", "older", "one")
        gateway.handled("mcg", "older", "one")
        gateway.until("mcg", "older", "Synced")
    assert [write.method for write in gateway.writes()] == ["PUT"]
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70


def test_what_became_of_the_row_while_nobody_watched_is_seen_at_the_start(gateway: GatewayStage) -> None:
    only_here = {"SETPOINT_NAMESPACES": gateway.namespace}
    gateway.open()
    with OperatorProcess.start(gateway.plane, only_here):
        gateway.mcg("gpt", "gpt-4o", budget=MONTH)
        gateway.until("mcg", "gpt", "Synced")
    gateway.bifrost.restart_from_config()
    gateway.request("mcg", "gpt", "one")
    with OperatorProcess.start(gateway.plane, only_here):
        status = gateway.handled("mcg", "gpt", "one")["status"]
        eventually(lambda: [event for event in gateway.events("gpt") if event[1] == "Recreated"])
    [row] = gateway.bifrost.find("gpt-4o", "openai")
    assert status["target"]["modelConfigId"] == row["id"]
    assert [write.method for write in gateway.writes()] == ["PUT", "POST"]


def test_dry_run_writes_nothing(gateway: GatewayStage) -> None:
    gateway.open()
    with OperatorProcess.start(gateway.plane, {"SETPOINT_DRY_RUN": "true"}):
        gateway.mcg("there", "gpt-4o", budget=MONTH)
        gateway.mcg("new", "gpt-5", budget=MONTH)
        gateway.until("mcg", "there", "DriftDetected")
        gateway.until("mcg", "new", "DriftDetected")
    assert gateway.writes() == []
