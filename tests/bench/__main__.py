"""Measures the operator on a real API server and the simulated remote with its strict limit.

Figures: how long N resources applied at once take until every one is verified Ready (as a ratio to what the remote's limit
allows at best), refusals by the limit, memory, the latency of a single change, and what a steady state and a restart cost.
"""

import argparse
import asyncio
import base64
import json
import ssl
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import OperatorProcess, install
from tests.e2e.stage import API, KEY, connection, secret
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually, eventually_async

NAMESPACE = "bench"
RATE = 100
MODELS = 20
CHANGES = 200
CREATORS = 16
LONGEST_RATIO = 1.3
LARGEST_MIB = 120
WINDOW = 20.0
PATH = f"/apis/{API}/namespaces/{NAMESPACE}/deploymentautoscalings"

console = Console(width=110, highlight=False)


class Api:
    """A bare client of the API server, with the administrator's certificate; kubectl would be what is measured."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        folder = kubeconfig.parent
        context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority", folder))
        files = []
        for name in ("client-certificate", "client-key"):
            file = folder / f"bench-{name}.pem"
            file.touch(mode=0o600)
            file.write_text(_pem(user, name, folder), encoding="utf-8")
            files.append(str(file))
        context.load_cert_chain(*files)
        self.client = httpx.AsyncClient(base_url=cluster["server"], verify=context, trust_env=False, timeout=60)

    async def post(self, body: dict[str, Any]) -> None:
        """Create a resource."""
        (await self.client.post(PATH, json=body)).raise_for_status()

    async def patch(self, name: str, spec: dict[str, Any]) -> float:
        """Change a spec and return when the API server acknowledged it, in monotonic seconds."""
        headers = {"content-type": "application/merge-patch+json"}
        response = await self.client.patch(f"{PATH}/{name}", content=json.dumps({"spec": spec}), headers=headers)
        acknowledged = time.monotonic()
        response.raise_for_status()
        return acknowledged

    async def ready(self) -> int:
        """Return how many resources are Ready in their newest generation."""
        items = (await self.client.get(PATH, params={"resourceVersion": "0"})).json()["items"]
        return sum(_is_ready(item) for item in items)


def _pem(entry: dict[str, str], name: str, folder: Path) -> str:
    data = entry.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else (folder / entry[name]).read_text(encoding="utf-8")


def _is_ready(item: dict[str, Any]) -> bool:
    status = item.get("status", {})
    return status.get("observedGeneration") == item["metadata"]["generation"] and any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions", [])
    )


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
    """One run; collects figures and what they are held against."""

    def __init__(self, plane: ControlPlane, remote: BasetenSimulator, api: Api, count: int) -> None:
        self._plane = plane
        self._remote = remote
        self._api = api
        self._count = count
        self.rows: list[tuple[str, str, str, bool]] = []

    def row(self, figure: str, value: str, bound: str = "", *, ok: bool = True) -> None:
        """Keep a figure."""
        self.rows.append((figure, value, bound, ok))
        console.print(f"{figure}: {value}{f' (bound: {bound})' if bound else ''}{'' if ok else ' FAILED'}")

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
        since, before = self._remote.last(), self._kubernetes_writes()
        deadline = time.monotonic() + WINDOW
        await eventually_async(lambda: _passed(deadline), timeout=WINDOW + 5, interval=0.5)
        remote = len(self._remote.journal(since=since, method="PATCH"))
        kubernetes = self._kubernetes_writes() - before
        self.row(f"remote writes in {WINDOW:.0f} s {what}", str(remote), "0", ok=remote == 0)
        self.row(f"Kubernetes writes in {WINDOW:.0f} s {what}", str(kubernetes), "0", ok=kubernetes == 0)

    def _kubernetes_writes(self) -> int:
        verbs = ("PATCH", "PUT", "POST")
        return self._plane.request_count(resource="deploymentautoscalings", verbs=verbs, group="setpoint.dev")


async def _passed(deadline: float) -> bool:
    return time.monotonic() >= deadline


async def measure(plane: ControlPlane, remote: BasetenSimulator, count: int) -> Bench:
    """Run everything and return the figures."""
    for model in range(MODELS):
        specs = [DeploymentSpec(id=f"d{number}") for number in range(model, count, MODELS)]
        remote.add_model(id=f"m{model}", name=f"model-{model}", deployments=specs)
    plane.kubectl("create", "namespace", NAMESPACE)
    limit = {"requestsPerSecond": RATE}
    plane.apply(secret("baseten", NAMESPACE, KEY), connection("baseten", NAMESPACE, remote.url, rateLimit=limit))
    api = Api(plane.kubeconfig)
    bench = Bench(plane, remote, api, count)
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
    return bench


def main() -> int:
    """Measure, print a table, and return 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with ControlPlane.start(progress=console.print) as plane, BasetenSimulator.start(rate=RATE) as remote:
        install(plane)
        bench = asyncio.run(measure(plane, remote, options.resources))
    table = Table("figure", "value", "bound", "")
    for figure, value, bound, ok in bench.rows:
        table.add_row(figure, value, bound, "ok" if ok else "FAILED")
    console.print(table)
    if options.json:
        rows = [dict(zip(("figure", "value", "bound", "ok"), row, strict=True)) for row in bench.rows]
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return 0 if all(ok for *_, ok in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
