"""The operator as a process: restarts, signals, probes, a narrow view, a cluster that is not ready."""

import time

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.faults import Delay
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

WRITES = ("PATCH", "PUT", "POST", "APPLY")
FREE = {"modelId": "m-greeter", "deployment": "d-free"}
RESOURCES = 50


def kubernetes_writes(plane: ControlPlane) -> int:
    """Count what the API server itself says of writes to resources of the API group and of Events."""
    kinds = ("deploymentautoscalings", "chainautoscalings")
    return sum(plane.request_count(resource=kind, verbs=WRITES, group="setpoint.dev") for kind in kinds) + (
        plane.request_count(resource="events", verbs=WRITES, group="")
    )


def test_resources_in_sync_cost_no_write_over_three_intervals_and_a_restart(stage: Stage) -> None:
    names = [f"r{number:02}" for number in range(RESOURCES)]
    stage.baseten.add_model(id="m-many", name="many", deployments=[DeploymentSpec(id=name) for name in names])
    stage.open()
    only_here = {"SETPOINT_NAMESPACES": stage.namespace}
    with OperatorProcess.start(stage.plane, only_here) as operator:
        for name in names:
            stage.das(name, {"modelId": "m-many", "deployment": name}, {"maxReplica": 3}, interval="30s")

        def in_sync() -> bool:
            ready = [
                item
                for item in stage.plane.items("das", stage.namespace)
                if any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
            ]
            return len(ready) == RESOURCES

        eventually(in_sync, timeout=60, interval=0.5)
        # Events of the last transitions are posted in the background.
        eventually(lambda: len(stage.events(names[-1])) >= 1, timeout=10)
        assert len(stage.writes()) == RESOURCES
        before, since = kubernetes_writes(stage.plane), stage.baseten.last()
        deadline = time.monotonic() + 3 * 33
        # 33 s is the longest a 30 s interval can be with its jitter: every resource is read three times in this window.
        eventually(lambda: time.monotonic() > deadline, timeout=110, interval=1)
        assert stage.baseten.journal(since=since, method="PATCH") == []
        reads = len(stage.baseten.journal(since=since, method="GET"))
        assert 0 < reads < 3 * RESOURCES
        assert operator.stop() == 0
    since = stage.baseten.last()
    with OperatorProcess.start(stage.plane, only_here):
        # At a start every resource is read within its interval.
        deadline = time.monotonic() + 33
        eventually(lambda: time.monotonic() > deadline, timeout=40, interval=1)
    assert stage.baseten.journal(since=since, method="GET")
    assert stage.baseten.journal(since=since, method="PATCH") == []
    assert kubernetes_writes(stage.plane) == before


def test_sigterm_ends_within_ten_seconds_with_the_write_in_flight_finished(stage: Stage) -> None:
    stage.open()
    with OperatorProcess.start(stage.plane) as operator:
        stage.baseten.inject(Delay(seconds=2), method="PATCH")
        stage.das("a", FREE, {"maxReplica": 3})
        eventually(lambda: stage.baseten.journal(method="PATCH"), timeout=10)
        started = time.monotonic()
        assert operator.stop() == 0
        assert time.monotonic() - started < 10
        [write] = stage.writes()
        assert write.status == 200
    with OperatorProcess.start(stage.plane):
        stage.until("das", "a", "Synced")


def test_what_was_deleted_while_nobody_watched_is_never_enforced_again(stage: Stage) -> None:
    stage.open()
    with OperatorProcess.start(stage.plane):
        stage.das("a", FREE, {"maxReplica": 3})
        stage.until("das", "a", "Synced")
    stage.plane.kubectl("delete", "das", "a", "-n", stage.namespace)
    stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", deployment="d-free")
    with OperatorProcess.start(stage.plane):
        stage.das("b", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 2})
        stage.until("das", "b", "Synced")
    assert len([write for write in stage.writes() if "d-free" in write.path]) == 1


def test_a_change_made_while_the_operator_was_down_is_pushed_at_its_start(stage: Stage) -> None:
    stage.open()
    with OperatorProcess.start(stage.plane):
        stage.das("a", FREE, {"maxReplica": 3})
        stage.until("das", "a", "Synced")
    stage.patch("das", "a", {"autoscaling": {"maxReplica": 4}})
    with OperatorProcess.start(stage.plane):
        stage.until("das", "a", "Synced")
    assert stage.writes()[-1].body == {"max_replica": 4}


def test_probes_answer(stage: Stage) -> None:
    with OperatorProcess.start(stage.plane) as operator:
        assert operator.probe("/healthz") == (200, "ok\n")
        assert operator.probe("/readyz") == (200, "ok\n")
        assert operator.probe("/other")[0] == 404


def test_an_operator_survives_a_restart_of_the_api_server(stage: Stage) -> None:
    stage.open()
    with OperatorProcess.start(stage.plane):
        stage.das("a", FREE, {"maxReplica": 3})
        stage.until("das", "a", "Synced")
        stage.plane.crash_api_server()
        stage.plane.start_api_server()
        stage.patch("das", "a", {"autoscaling": {"maxReplica": 4}})
        stage.until("das", "a", "Synced", timeout=60)
    assert stage.writes()[-1].body == {"max_replica": 4}


def test_dry_run_writes_nothing(stage: Stage) -> None:
    stage.open()
    with OperatorProcess.start(stage.plane, {"SETPOINT_DRY_RUN": "true"}):
        stage.das("a", FREE, {"maxReplica": 3})
        stage.until("das", "a", "DriftDetected")
    assert stage.writes() == []


def test_an_operator_for_named_namespaces_leaves_others_alone(stage: Stage) -> None:
    stage.open()
    stage.das("elsewhere", FREE, {"maxReplica": 3})
    with OperatorProcess.start(stage.plane, {"SETPOINT_NAMESPACES": "setpoint-system"}) as operator:
        stage.plane.kubectl("delete", "das", "here", "-n", "setpoint-system", "--ignore-not-found")
        here = Stage(stage.plane, "setpoint-system", stage.baseten)
        here.open()
        here.das("here", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 2})
        here.until("das", "here", "Synced")
        stage.plane.kubectl("delete", "das/here", "spconn/baseten", "secret/baseten", "-n", "setpoint-system")
        assert operator.probe("/healthz")[0] == 200
    assert len(stage.writes()) == 1


def test_a_shard_serves_only_what_carries_its_label(stage: Stage) -> None:
    stage.open()
    stage.das("mine", FREE, {"maxReplica": 3})
    stage.das("other", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 2})
    stage.plane.kubectl("label", "das", "mine", "-n", stage.namespace, "sharding.setpoint.dev/key=one")
    with OperatorProcess.start(stage.plane, {"SETPOINT_SHARD": "one"}):
        stage.until("das", "mine", "Synced")
    assert len(stage.writes()) == 1
