"""Hundreds of ModelConfigGovernances on one gateway, which is read as a whole."""

import asyncio
import time
from typing import Any

from tests.bench.api import NAMESPACE, Api, Figures, kubernetes_writes, passed
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import API
from tests.simulators.bifrost.process import BifrostSimulator
from tests.waiting import eventually_async

RATE = 100
CREATORS = 16
LONGEST_RATIO = 1.3
SWEEPS = 2
INTERVAL = 30.0
PLURAL = "modelconfiggovernances"


def _resource(number: int) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "ModelConfigGovernance",
        "metadata": {"name": f"g{number}", "namespace": NAMESPACE},
        "spec": {
            "modelName": f"model-{number}",
            "provider": "openai",
            "budget": {"maxLimit": 10, "resetDuration": "1d"},
            "interval": f"{INTERVAL:.0f}s",
        },
    }


def _connection(url: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "Connection",
        "metadata": {"name": "bifrost", "namespace": NAMESPACE},
        "spec": {"bifrost": {"url": url}, "rateLimit": {"requestsPerSecond": RATE}},
    }


async def measure_governance(plane: ControlPlane, gateway: BifrostSimulator, figures: Figures, count: int) -> None:
    """Create the rows of all resources, then count what a steady state costs."""
    plane.apply(_connection(gateway.gateway_url))
    api = Api(plane.kubeconfig, PLURAL)
    numbers = iter(range(count))

    async def create() -> None:
        for number in numbers:
            await api.post(_resource(number))

    async def all_ready() -> bool:
        return await api.ready() == count

    with OperatorProcess.start(plane):
        started = time.monotonic()
        await asyncio.gather(*(create() for _ in range(CREATORS)))
        await eventually_async(all_ready, timeout=count / RATE * 6 + 30, interval=0.2)
        took, floor = time.monotonic() - started, count / RATE
        text = f"{took:.2f} s = {took / floor:.2f} x {floor:.0f} s"
        bound = f"≤ {LONGEST_RATIO} x {floor:.0f} s"
        figures.add(f"{count} model configs created and verified", text, bound, ok=took / floor <= LONGEST_RATIO)
        posts = gateway.count(method="POST", template_contains="model-configs")
        figures.add("writes at the gateway", str(posts), str(count), ok=posts == count)

        gateway.clear_journal()
        before, deadline = kubernetes_writes(plane, PLURAL), time.monotonic() + SWEEPS * INTERVAL
        await eventually_async(lambda: passed(deadline), timeout=SWEEPS * INTERVAL + 5, interval=0.5)
        lists = gateway.count(method="GET", template_contains="model-configs")
        # A window of two intervals can hold three sweeps, since they are jittered.
        most = SWEEPS + 1
        figures.add(
            f"lists of the gateway in {SWEEPS * INTERVAL:.0f} s in sync, interval {INTERVAL:.0f} s",
            str(lists),
            f"≤ {most}",
            ok=0 < lists <= most,
        )
        writes = gateway.count(method="PUT") + gateway.count(method="POST", template_contains="model-configs")
        figures.add("writes at the gateway meanwhile", str(writes), "0", ok=writes == 0)
        kubernetes = kubernetes_writes(plane, PLURAL) - before
        figures.add("Kubernetes writes meanwhile", str(kubernetes), "0", ok=kubernetes == 0)
    await api.client.aclose()
