"""A bare client of the API server, and the figures a measurement ends with."""

import base64
import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from tests.controlplane.plane import ControlPlane
from tests.e2e.stage import API

NAMESPACE = "bench"
WINDOW = 20.0

console = Console(width=110, highlight=False)


@dataclass
class Figures:
    """What was measured, and what it is held against."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def add(self, figure: str, value: str, bound: str = "", *, ok: bool = True) -> None:
        """Keep a figure."""
        self.rows.append((figure, value, bound, ok))
        console.print(f"{figure}: {value}{f' (bound: {bound})' if bound else ''}{'' if ok else ' FAILED'}")

    @property
    def table(self) -> Table:
        """All of it."""
        table = Table("figure", "value", "bound", "")
        for figure, value, bound, ok in self.rows:
            table.add_row(figure, value, bound, "ok" if ok else "FAILED")
        return table


class Api:
    """A bare client of the API server, with the administrator's certificate; kubectl would be what is measured."""

    def __init__(self, kubeconfig: Path, plural: str) -> None:
        self._path = f"/apis/{API}/namespaces/{NAMESPACE}/{plural}"
        server, context = administrator(kubeconfig)
        self.client = httpx.AsyncClient(base_url=server, verify=context, trust_env=False, timeout=60)

    async def post(self, body: dict[str, Any]) -> None:
        """Create a resource."""
        (await self.client.post(self._path, json=body)).raise_for_status()

    async def patch(self, name: str, spec: dict[str, Any]) -> float:
        """Change a spec and return when the API server acknowledged it, in monotonic seconds."""
        headers = {"content-type": "application/merge-patch+json"}
        response = await self.client.patch(f"{self._path}/{name}", content=json.dumps({"spec": spec}), headers=headers)
        acknowledged = time.monotonic()
        response.raise_for_status()
        return acknowledged

    async def ready(self) -> int:
        """Return how many resources are Ready in their newest generation."""
        items = (await self.client.get(self._path, params={"resourceVersion": "0"})).json()["items"]
        return sum(_is_ready(item) for item in items)


def administrator(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Return the API server's URL, and what identifies the administrator of a kubeconfig to it."""
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
    return cluster["server"], context


def _pem(entry: dict[str, str], name: str, folder: Path) -> str:
    data = entry.get(f"{name}-data")
    return base64.b64decode(data).decode() if data else (folder / entry[name]).read_text(encoding="utf-8")


def _is_ready(item: dict[str, Any]) -> bool:
    status = item.get("status", {})
    return status.get("observedGeneration") == item["metadata"]["generation"] and any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in status.get("conditions", [])
    )


def kubernetes_writes(plane: ControlPlane, plural: str) -> int:
    """Return how often anybody wrote objects of a kind, by the API server's own count."""
    return plane.request_count(resource=plural, verbs=("PATCH", "PUT", "POST"), group="setpoint.dev")


async def passed(deadline: float) -> bool:
    """Tell whether a time of the monotonic clock has passed."""
    return time.monotonic() >= deadline
