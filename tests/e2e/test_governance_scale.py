"""Five hundred resources on one gateway: what a steady state costs, and how usage reaches the status."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import API, GatewayStage
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

COUNT = 500
INTERVAL = timedelta(seconds=30)
SWEEPS = 2
MONTH = {"maxLimit": 1000, "resetDuration": "1M"}


def ready(gateway: GatewayStage) -> int:
    """Return how many resources are Ready."""
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return gateway.plane.kubectl("get", "mcg", "-n", gateway.namespace, "-o", f"jsonpath={path}").stdout.count("True")


def kubernetes_writes(gateway: GatewayStage) -> int:
    """Return how often anybody wrote a resource of the kind."""
    verbs = ("PATCH", "PUT", "POST")
    return gateway.plane.request_count(resource="modelconfiggovernances", verbs=verbs, group="setpoint.dev")


def usage(gateway: GatewayStage, name: str) -> float:
    """Return the budget's usage in the status."""
    [window] = gateway.get("mcg", name)["status"]["usage"]
    return float(window["currentUsage"])


def test_one_list_serves_a_sweep_and_usage_is_told_when_it_moved(gateway: GatewayStage) -> None:
    gateway.open(rateLimit={"requestsPerSecond": 1000})
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
        eventually(lambda: ready(gateway) == COUNT, timeout=60, interval=0.5)
        assert len(gateway.writes()) == COUNT
        gateway.bifrost.clear_journal()
        before, start = kubernetes_writes(gateway), datetime.now(UTC)
        for name, dollars in (("m1", 10), ("m2", 9)):
            gateway.bifrost.set_usage(gateway.bifrost.find(name)[0]["id"], budget={"1M": dollars})

        eventually(lambda: datetime.now(UTC) - start > SWEEPS * INTERVAL, timeout=70, interval=1)

        # A span of two intervals can hold three sweeps, since they are jittered.
        assert 1 <= gateway.lists() <= SWEEPS + 1
        assert gateway.writes() == []
        assert usage(gateway, "g1") == 10, "a percent of the limit"
        assert usage(gateway, "g2") == 0, "less than a percent"
        assert kubernetes_writes(gateway) - before == 1
