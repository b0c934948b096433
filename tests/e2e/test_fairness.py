"""What one team's remote or thousand resources may cost another team: nothing, and a turn."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stage import API, KEY, Stage, connection, secret
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.faults import Delay
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

WORKERS = 32
"""What SETPOINT_WORKERS is where nobody sets it."""
RATE = 20
MANY = 400
MODEL = "m-fair"

USED = 100
"""What SETPOINT_CONNECTIONS_PER_NAMESPACE is where nobody sets it."""
CROWD = 120


@pytest.fixture
def other_namespace(stage: Stage) -> Iterator[str]:
    """A namespace beside the stage's own."""
    name = f"{stage.namespace}-other"
    stage.plane.kubectl("create", "namespace", name)
    yield name
    stage.plane.delete_all("deploymentautoscalings", name)
    stage.plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def dead() -> Iterator[BasetenSimulator]:
    """A remote that takes every request and never answers."""
    with BasetenSimulator.start() as simulator:
        simulator.inject(Delay(seconds=None), count=None)
        yield simulator


def resource(namespace: str, number: int, **spec: Any) -> dict[str, Any]:
    """Return a resource of a deployment of its own."""
    target = {"modelId": MODEL, "deployment": f"{namespace}-{number}"}
    return {
        "apiVersion": API,
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": f"r{number}", "namespace": namespace},
        "spec": {"target": target, "autoscaling": {"maxReplica": 3}, **spec},
    }


def test_a_remote_that_never_answers_slows_down_nobody_else(stage: Stage, dead: BasetenSimulator) -> None:
    stage.open()
    stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    stage.plane.apply(
        secret("dead", stage.namespace, KEY),
        connection("dead", stage.namespace, dead.url, timeout="5m"),
        *(resource(stage.namespace, number, connectionRef={"name": "dead"}) for number in range(2 * WORKERS)),
    )
    eventually(lambda: len(dead.journal()) >= WORKERS, timeout=30)
    for replicas in range(4, 9):
        stage.patch("das", "free", {"autoscaling": {"maxReplica": replicas}})
        stage.until("das", "free", "Synced", timeout=10)
    assert stage.writes()[-1].body == {"max_replica": 8}
    assert len(dead.journal()) == WORKERS, "the probe of the connection counts, too"


@pytest.fixture
def crowd(stage: Stage, dead: BasetenSimulator) -> Iterator[str]:
    """A namespace with more connections than it may have, to a remote that never answers, and a resource at each."""
    name = f"{stage.namespace}-crowd"
    stage.plane.kubectl("create", "namespace", name)
    ref = {"apiKeySecretRef": {"name": "dead", "key": "api-key"}}
    stage.plane.apply(
        secret("dead", name, KEY),
        *(connection(f"c{number:03}", name, dead.url, timeout="5m", baseten=ref) for number in range(CROWD)),
    )
    stage.plane.apply(*(resource(name, number, connectionRef={"name": f"c{number:03}"}) for number in range(CROWD)))
    yield name
    stage.plane.delete_all("deploymentautoscalings", name)
    stage.plane.delete_all("connections", name)
    stage.plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.cluster_wide
def test_a_hundred_connections_that_never_answer_slow_down_no_neighbour(
    stage: Stage, crowd: str, dead: BasetenSimulator
) -> None:
    def refused(kind: str) -> int:
        reasons = (
            one["reason"]
            for item in stage.plane.items(kind, crowd)
            for one in item.get("status", {}).get("conditions", [])
            if one["type"] == "Ready"
        )
        return Counter(reasons)["ConnectionNotAllowed"]

    eventually(lambda: len(dead.journal()) >= USED, timeout=60)
    stage.open()
    stage.until("spconn", "baseten", "Connected", timeout=5)
    stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
    stage.until("das", "free", "Synced", timeout=5)
    for replicas in range(4, 9):
        stage.patch("das", "free", {"autoscaling": {"maxReplica": replicas}})
        stage.until("das", "free", "Synced", timeout=5)
    assert stage.writes()[-1].body == {"max_replica": 8}
    eventually(lambda: "Synced" in {reason for _, reason, _ in stage.events("free")}, timeout=5)

    # Those beyond the bound say so, and so do their resources.
    for kind in ("connections", "deploymentautoscalings"):
        eventually(lambda kind=kind: refused(kind) == CROWD - USED, timeout=30)  # type: ignore[misc]


@pytest.mark.cluster_wide
def test_hundreds_of_resources_of_one_namespace_do_not_starve_one_of_another(
    stage: Stage, other_namespace: str
) -> None:
    names = [stage.namespace, other_namespace]
    specs = [DeploymentSpec(id=f"{names[0]}-{number}") for number in range(MANY)]
    stage.baseten.add_model(id=MODEL, name=MODEL, deployments=[*specs, DeploymentSpec(id=f"{names[1]}-0")])
    ref = {"connectionRef": {"kind": "ClusterConnection", "name": names[0]}}
    shared = connection(names[0], names[0], stage.baseten.url, rateLimit={"requestsPerSecond": RATE})
    shared |= {"kind": "ClusterConnection", "metadata": {"name": names[0]}}
    shared["spec"]["baseten"]["apiKeySecretRef"] = {"name": "baseten", "namespace": names[0], "key": "api-key"}
    shared["spec"]["namespaces"] = {"names": names}
    stage.plane.apply(
        secret("baseten", names[0], KEY), shared, *(resource(names[0], number, **ref) for number in range(MANY))
    )
    eventually(lambda: len(stage.writes()) > WORKERS, timeout=30)
    before = len(stage.writes())
    assert before < MANY / 2, "they still wait"
    stage.plane.apply(resource(other_namespace, 0, **ref))

    def place() -> int | None:
        paths = [entry.path for entry in stage.writes()]
        return next((number for number, path in enumerate(paths) if f"/{names[1]}-0/" in path), None)

    reached = eventually(lambda: (found := place()) is not None and found, timeout=30)
    # Those that had their turn already stand in the limiter's line.
    assert reached - before <= 3 * WORKERS, f"{reached - before} others were written first"
    stage.plane.kubectl("delete", "spcconn", names[0])
