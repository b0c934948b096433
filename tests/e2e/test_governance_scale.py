"""Five hundred resources on one gateway: what a steady state costs, and how usage reaches the status."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import API, GatewayStage
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

COUNT = 500
INTERVAL = timedelta(seconds=30)
SWEEPS = 2
MONTH = {"maxLimit": 1000, "resetDuration": "1M"}


def ready(gateway: GatewayStage) -> int:
    """Return how many resources are Ready."""
    listed = (one.get("status", {}).get("conditions", []) for one in gateway.plane.items("mcg", gateway.namespace))
    return sum((one["type"], one["status"]) == ("Ready", "True") for conditions in listed for one in conditions)


def kubernetes_writes(gateway: GatewayStage) -> int:
    """Return how often anybody wrote a resource of the kind."""
    verbs = ("PATCH", "PUT", "POST")
    return gateway.plane.request_count(resource="modelconfiggovernances", verbs=verbs, group="setpoint.dev")


def usage(gateway: GatewayStage, name: str) -> float:
    """Return the budget's usage in the status."""
    [window] = gateway.get("mcg", name)["status"]["usage"]
    return float(window["currentUsage"])


@pytest.fixture
def other(gateway: GatewayStage) -> Iterator[GatewayStage]:
    """The same namespace with another gateway."""
    with BifrostSimulator.start() as simulator:
        yield GatewayStage(gateway.plane, gateway.namespace, simulator)


def test_one_list_serves_a_sweep_and_only_what_drifted_or_moved_is_written(
    gateway: GatewayStage, other: GatewayStage
) -> None:
    gateway.open(rateLimit={"requestsPerSecond": 1000})
    other.open("other")
    gateway.plane.apply(
        *(
            {
                "apiVersion": API,
                "kind": "ModelConfigGovernance",
                "metadata": {"name": f"g{number}", "namespace": gateway.namespace},
                "spec": {"modelName": f"m{number}", "budget": MONTH, "interval": f"{INTERVAL.seconds}s"},
            }
            for number in range(COUNT)
        )
    )
    with OperatorProcess.start(gateway.plane):
        other.mcg("other", "gpt-4o", budget=MONTH, interval="30s", connectionRef={"name": "other"})
        eventually(lambda: ready(gateway) == COUNT + 1, timeout=180, interval=0.5)
        assert len(gateway.writes()) == COUNT
        assert len(other.writes()) == 1
        gateway.bifrost.clear_journal()
        before, start = kubernetes_writes(gateway), datetime.now(UTC)
        for name, dollars in (("m1", 10), ("m2", 9)):
            gateway.bifrost.set_usage(gateway.bifrost.find(name)[0]["id"], budget={"1M": dollars})
        other.bifrost.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=5, reset_duration="1M")])

        eventually(lambda: datetime.now(UTC) - start > SWEEPS * INTERVAL, timeout=70, interval=1)

        # A span of two intervals can hold three sweeps, since they are jittered.
        assert 1 <= gateway.lists() <= SWEEPS + 1
        assert gateway.bifrost.count(method="GET", template_contains="{mc_id}") == 0
        assert gateway.writes() == []
        assert usage(gateway, "g1") == 10, "a percent of the limit"
        assert usage(gateway, "g2") == 0, "less than a percent"
        assert [write.method for write in other.writes()[1:]] == ["PUT"], "drift is corrected without being asked"
        assert other.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == MONTH["maxLimit"]
        assert kubernetes_writes(gateway) - before == 2, "the usage that moved, and the drift that was corrected"
