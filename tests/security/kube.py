"""A client of the API server for those who create hundreds of objects, and for changes whose time counts."""

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.bench.api import administrator
from tests.e2e.stage import API, Object

PLURALS = {
    "Secret": "secrets",
    "Connection": "connections",
    "ClusterConnection": "clusterconnections",
    "DeploymentAutoscaling": "deploymentautoscalings",
    "ChainAutoscaling": "chainautoscalings",
    "ModelConfigGovernance": "modelconfiggovernances",
}
AT_ONCE = 8


class Kube:
    """Writes as the administrator, whose rights are those of a namespace's users and more; safe to share among threads."""

    def __init__(self, kubeconfig: Path) -> None:
        server, context = administrator(kubeconfig)
        self._client = httpx.Client(base_url=server, verify=context, trust_env=False, timeout=60)

    def create(self, *objects: Object) -> None:
        """Create objects, several at once; those that are there already stay as they are."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._create, objects))

    def patch(self, kind: str, namespace: str | None, name: str, change: Mapping[str, Any]) -> float:
        """Merge a change into an object; return when the API server acknowledged it, in monotonic seconds."""
        headers = {"content-type": "application/merge-patch+json"}
        path = f"{_path(kind, namespace)}/{name}"
        response = self._client.patch(path, content=json.dumps(change), headers=headers)
        acknowledged = time.monotonic()
        response.raise_for_status()
        return acknowledged

    def patch_all(self, kind: str, namespace: str, names: Iterable[str], change: Mapping[str, Any]) -> None:
        """Merge a change into several objects, several at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: self.patch(kind, namespace, name, change), names))

    def delete(self, kind: str, namespace: str | None, name: str) -> None:
        """Ask for an object to be deleted, which it may be already."""
        self._client.delete(f"{_path(kind, namespace)}/{name}")

    def clear(self, namespace: str) -> None:
        """Delete what attacks make in a namespace, at once: nobody is there any more to finish what is to be restored."""
        for kind in PLURALS:
            if kind != "ClusterConnection":
                self._client.delete(_path(kind, namespace)).raise_for_status()
        for kind, plural in PLURALS.items():
            if plural.endswith(("autoscalings", "governances")):
                left = self._client.get(_path(kind, namespace)).json()["items"]
                names = [one["metadata"]["name"] for one in left]
                self.patch_all(kind, namespace, names, {"metadata": {"finalizers": None}})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _create(self, one: Object) -> None:
        response = self._client.post(_path(one["kind"], one["metadata"].get("namespace")), json=one)
        if response.status_code != httpx.codes.CONFLICT:
            response.raise_for_status()


def _path(kind: str, namespace: str | None) -> str:
    base = "/api/v1" if kind == "Secret" else f"/apis/{API}"
    return f"{base}/namespaces/{namespace}/{PLURALS[kind]}" if namespace is not None else f"{base}/{PLURALS[kind]}"
