"""Several replicas of the operator: one works, and another takes over when it cannot."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.faults.proxy import HttpProxy, Rule, watch_error
from tests.e2e.process import NAMESPACE, OperatorProcess
from tests.e2e.proxy import Mode, Proxy
from tests.e2e.stage import Stage
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
ELECTING = {"SETPOINT_LEADER_ELECT": "true"}


@pytest.fixture
def replicas(installed: ControlPlane) -> Iterator[ExitStack]:
    """Ends the replicas of a test; none of them holds the lease at its start."""
    installed.kubectl("delete", "lease", "--all", "-n", NAMESPACE)
    with ExitStack() as stack:
        yield stack


def holder(plane: ControlPlane) -> str:
    """Return who holds the lease."""
    lease = plane.get("lease", "setpoint-leader", NAMESPACE) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def leading(plane: ControlPlane, replica: OperatorProcess) -> str:
    """Wait until a replica leads; return its identity."""
    eventually(lambda: "leading, as" in replica.log(), timeout=30, interval=0.1)
    return holder(plane)


def pair(
    replicas: ExitStack, plane: ControlPlane, *, server: str | None = None
) -> tuple[OperatorProcess, OperatorProcess]:
    """Return a replica that leads and one that stands by; the one that leads by way of a `server` may end by itself."""
    leader = OperatorProcess.start(plane, ELECTING, server=server)
    if server is None:
        replicas.enter_context(leader)
    else:
        replicas.callback(leader.kill)
    leading(plane, leader)
    standby = replicas.enter_context(OperatorProcess.start(plane, ELECTING))
    eventually(lambda: "standing by" in standby.log(), timeout=10, interval=0.1)
    return leader, standby


def test_one_replica_works_and_the_other_is_ready_to(replicas: ExitStack, stage: Stage) -> None:
    _, standby = pair(replicas, stage.plane)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    assert standby.probe("/readyz")[0] == 200
    assert standby.probe("/healthz")[0] == 200
    assert len(stage.writes()) == 1
    assert "watching" not in standby.log()


def test_a_clean_stop_hands_over_within_three_seconds(replicas: ExitStack, stage: Stage) -> None:
    leader, standby = pair(replicas, stage.plane)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    first = holder(stage.plane)

    assert leader.stop() == 0
    stopped = time.monotonic()
    eventually(lambda: holder(stage.plane) not in {"", first}, timeout=10, interval=0.05)
    assert time.monotonic() - stopped <= 3

    stage.patch("das", "free", {"autoscaling": {"maxReplica": 4}})
    stage.until("das", "free", "Synced")
    assert [write.body for write in stage.writes()] == [{"max_replica": 3}, {"max_replica": 4}]
    assert standby.is_ready()


def test_a_watch_that_cannot_go_on_hands_over_within_three_seconds(replicas: ExitStack, stage: Stage) -> None:
    """kopf ends on any error a watch reports but 410; so does the process, and says why."""
    proxy = replicas.enter_context(HttpProxy(stage.plane.server, ca=str(stage.plane.ca_file)))
    leader, _ = pair(replicas, stage.plane, server=proxy.url)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    first = holder(stage.plane)

    watch = re.compile("deploymentautoscalings.*watch=true")
    proxy.rules.append(Rule("error", "GET", watch, "before", answer=watch_error(500, "etcd has no leader")))
    proxy.watches = False
    eventually(lambda: "ServerDisconnectedError" in leader.log(), timeout=10, interval=0.05)
    stage.patch("das", "free", {"autoscaling": {"maxReplica": 4}})
    proxy.watches = True
    assert leader.wait(timeout=20) == 1
    ended = time.monotonic()
    assert "etcd has no leader" in leader.log().splitlines()[-1]
    eventually(lambda: holder(stage.plane) not in {"", first}, timeout=10, interval=0.05)
    assert time.monotonic() - ended <= 3
    stage.until("das", "free", "Synced")
    assert [write.body for write in stage.writes()] == [{"max_replica": 3}, {"max_replica": 4}]


def test_a_killed_leader_is_replaced_within_twenty_seconds(replicas: ExitStack, stage: Stage) -> None:
    leader, standby = pair(replicas, stage.plane)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")

    leader.kill()
    killed = time.monotonic()
    stage.patch("das", "free", {"autoscaling": {"maxReplica": 4}})
    eventually(lambda: len(stage.writes()) == 2, timeout=25, interval=0.1)
    assert time.monotonic() - killed <= 20
    stage.until("das", "free", "Synced")
    assert [write.body for write in stage.writes()] == [{"max_replica": 3}, {"max_replica": 4}]
    assert standby.is_ready()


@pytest.mark.parametrize("mode", ["hang", "refuse"])
def test_a_leader_cut_off_from_the_api_server_stops_before_another_begins(
    replicas: ExitStack, stage: Stage, mode: Mode
) -> None:
    proxy = replicas.enter_context(Proxy(stage.plane.server))
    leader, standby = pair(replicas, stage.plane, server=proxy.url)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")

    proxy.set(mode)
    assert leader.wait(timeout=20) == 1
    ended = time.monotonic()
    assert "leading, as" not in standby.log()
    stage.patch("das", "free", {"autoscaling": {"maxReplica": 4}})
    eventually(lambda: "leading, as" in standby.log(), timeout=20, interval=0.1)
    assert time.monotonic() - ended <= 15
    stage.until("das", "free", "Synced")
    assert [write.body for write in stage.writes()] == [{"max_replica": 3}, {"max_replica": 4}]
