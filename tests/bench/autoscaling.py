"""A thousand DeploymentAutoscalings at once, under the remote's strict limit."""

import asyncio
import statistics
import time
from functools import partial
from typing import Any

from tests.bench.api import NAMESPACE, WINDOW, Api, Figures, kubernetes_writes, passed
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import API, KEY, connection, secret
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually, eventually_async

RATE = 100
MODELS = 20
CHANGES = 200
CREATORS = 16
LONGEST_RATIO = 1.3
LARGEST_MIB = 120
PLURAL = "deploymentautoscalings"


def _resource(number: int) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": f"r{number}", "namespace": NAMESPACE},
        "spec": {
            "target": {"modelId": f"m{number % MODELS}", "deployment": f"d{number}"},
            "autoscaling": {"minReplica": 0, "maxReplica": 3},
            "interval": "30s",
        },
    }


class Bench:
    """One run."""

    def __init__(self, plane: ControlPlane, remote: BasetenSimulator, api: Api, figures: Figures, count: int) -> None:
        self._plane = plane
        self._remote = remote
        self._api = api
        self._count = count
        self.row = figures.add

    async def apply_all(self, operator: OperatorProcess) -> None:
        """Apply all resources at once and wait until every one is verified."""
        count, numbers = self._count, iter(range(self._count))
        started = time.monotonic()

        async def create() -> None:
            for number in numbers:
                await self._api.post(_resource(number))

        await asyncio.gather(*(create() for _ in range(CREATORS)))
        created = time.monotonic() - started

        async def all_ready() -> bool:
            return await self._api.ready() == count

        # Listing a thousand resources costs both cores something, so it begins when all of them were written.
        patience = count / RATE * 6 + 30
        eventually(lambda: self._remote.count(method="PATCH") >= count, timeout=patience, interval=0.1)
        written = time.monotonic() - started
        await eventually_async(all_ready, timeout=patience, interval=0.2)
        took, floor = time.monotonic() - started, count / RATE
        self.row(f"{count} resources created by {CREATORS} clients", f"{created:.1f} s")
        self.row("until the last one was written", f"{written:.2f} s")
        ratio = took / floor
        bound = f"≤ {LONGEST_RATIO} x {floor:.0f} s"
        self.row(
            "until every one is verified Ready",
            f"{took:.2f} s = {ratio:.2f} x {floor:.0f} s",
            bound,
            ok=ratio <= LONGEST_RATIO,
        )
        refused = self._remote.count(status=429)
        self.row("answers 429", str(refused), "0", ok=refused == 0)
        writes = self._remote.count(method="PATCH")
        self.row("remote writes", str(writes), str(count), ok=writes == count)
        self.row("remote reads", str(self._remote.count(method="GET")))
        self.row(
            "most requests to one endpoint in any second",
            str(self._remote.peak()),
            f"≤ {RATE}",
            ok=self._remote.peak() <= RATE,
        )
        mib = operator.resident_bytes() / 2**20
        self.row("resident memory of the operator", f"{mib:.0f} MiB", f"< {LARGEST_MIB} MiB", ok=mib < LARGEST_MIB)

    async def single_changes(self) -> None:
        """Change one resource after the other, and measure from acknowledgement to arrival at the remote."""
        seconds = []
        for number in range(min(CHANGES, self._count)):
            since = self._remote.last()
            acknowledged = await self._api.patch(f"r{number}", {"autoscaling": {"maxReplica": 5}})
            entry = eventually(partial(self._remote.journal, since=since, method="PATCH"), timeout=30, interval=0.01)[0]
            seconds.append(max(entry.monotonic - acknowledged, 0.0))
        cuts = statistics.quantiles(seconds, n=100)
        self.row("one change, acknowledged → request at the remote, p50", f"{cuts[49] * 1000:.1f} ms")
        self.row("one change, acknowledged → request at the remote, p99", f"{cuts[98] * 1000:.1f} ms")

    async def steady_state(self, what: str) -> None:
        """Count writes while everything is in sync."""
        since, before = self._remote.last(), kubernetes_writes(self._plane, PLURAL)
        deadline = time.monotonic() + WINDOW
        await eventually_async(lambda: passed(deadline), timeout=WINDOW + 5, interval=0.5)
        remote = len(self._remote.journal(since=since, method="PATCH"))
        kubernetes = kubernetes_writes(self._plane, PLURAL) - before
        self.row(f"remote writes in {WINDOW:.0f} s {what}", str(remote), "0", ok=remote == 0)
        self.row(f"Kubernetes writes in {WINDOW:.0f} s {what}", str(kubernetes), "0", ok=kubernetes == 0)


async def measure_autoscaling(plane: ControlPlane, remote: BasetenSimulator, figures: Figures, count: int) -> None:
    """Run everything."""
    for model in range(MODELS):
        specs = [DeploymentSpec(id=f"d{number}") for number in range(model, count, MODELS)]
        remote.add_model(id=f"m{model}", name=f"model-{model}", deployments=specs)
    limit = {"requestsPerSecond": RATE}
    plane.apply(secret("baseten", NAMESPACE, KEY), connection("baseten", NAMESPACE, remote.url, rateLimit=limit))
    api = Api(plane.kubeconfig, PLURAL)
    bench = Bench(plane, remote, api, figures, count)
    with OperatorProcess.start(plane) as operator:
        await bench.apply_all(operator)
        await bench.single_changes()

        async def settled() -> bool:
            return await api.ready() == count

        await eventually_async(settled, timeout=60, interval=0.2)
        await bench.steady_state("in sync")
    with OperatorProcess.start(plane):
        await bench.steady_state("after a restart")
    await api.client.aclose()
