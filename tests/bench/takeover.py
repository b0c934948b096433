"""How long nobody works after the leader was killed: from SIGKILL to the next leader's first write."""

import statistics
import time
from contextlib import ExitStack

from tests.bench.api import NAMESPACE, Figures, console
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import NAMESPACE as HOME
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import KEY, Stage, connection, secret
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

LONGEST = 20.0
ELECTING = {"SETPOINT_LEADER_ELECT": "true"}
TARGET = {"modelId": "m-greeter", "deployment": "d-free"}


def measure_takeovers(plane: ControlPlane, remote: BasetenSimulator, figures: Figures, count: int) -> None:
    """Kill the leader so many times; each time a spec is edited, which the next leader has to write, once."""
    stage = Stage(plane, NAMESPACE, remote)
    plane.apply(secret("baseten", NAMESPACE, KEY), connection("baseten", NAMESPACE, remote.url))
    plane.kubectl("delete", "lease", "--all", "-n", HOME)
    took: list[float] = []
    doubled = 0
    with ExitStack() as stack:
        leader = stack.enter_context(OperatorProcess.start(plane, ELECTING))
        eventually(lambda: "leading, as" in leader.log(), timeout=30)
        stage.das("one", TARGET, {"maxReplica": 2})
        stage.until("das", "one", "Synced")
        for number in range(count):
            standby = stack.enter_context(OperatorProcess.start(plane, ELECTING))
            eventually(lambda watcher=standby: "standing by" in watcher.log(), timeout=10)  # type: ignore[misc] # bound now
            before = len(stage.writes())
            leader.kill()
            killed = time.monotonic()
            stage.patch("das", "one", {"autoscaling": {"maxReplica": 3 + number}})
            eventually(lambda known=before: len(stage.writes()) > known, timeout=60)  # type: ignore[misc] # bound now
            took.append(time.monotonic() - killed)
            stage.until("das", "one", "Synced")
            doubled += len(stage.writes()) - before - 1
            leader = standby
            console.print(f"takeover {number + 1} of {count}: {took[-1]:.1f} s")
        leader.stop()
    plane.kubectl("delete", "das", "one", "-n", NAMESPACE)
    longest, median = max(took), statistics.median(took)
    figures.add(
        f"{count} leaders killed, longest until the next one's first write",
        f"{longest:.1f} s",
        f"≤ {LONGEST:.0f} s",
        ok=longest <= LONGEST,
    )
    figures.add("median", f"{median:.1f} s")
    figures.add("writes doubled by a takeover", str(doubled), "0", ok=doubled == 0)
