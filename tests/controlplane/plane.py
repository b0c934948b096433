"""The control plane as tests, the demo and the benchmarks use it."""

import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.controlplane import kubeconfig as kubeconfigs
from tests.controlplane.binaries import find_binaries, find_kubectl
from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.kubectl import Kubectl, current_kubeconfig
from tests.controlplane.metrics import request_count
from tests.controlplane.progress import StderrProgress
from tests.controlplane.reader import Reader
from tests.controlplane.servers import Servers
from tests.controlplane.workspace import Workspace


class ControlPlane:
    """A Kubernetes cluster without nodes: one started for this process, or with CLUSTER=current the user's own.

    `kubeconfig` is the administrator's and `server` the URL it names. `ca_file` is what signed the server's
    certificate, None where the user's kubeconfig relies on the system's authorities. `owned` tells whether the servers
    are ours, and `controllers` whether a controller manager is known to run.
    """

    def __init__(self, workspace: Workspace, kubectl: Path, kubeconfig: Path, servers: Servers | None) -> None:
        self._workspace = workspace
        self._servers = servers
        self._cluster = kubeconfigs.current_cluster(kubeconfig)
        self._kubectl = Kubectl(kubectl, kubeconfig=kubeconfig, cache=workspace.path / "kubectl-cache")
        self._reader = Reader(kubeconfig)
        self.kubeconfig = kubeconfig
        self.server: str = self._cluster["server"]
        self.ca_file = self._write_ca()
        self.owned = servers is not None
        self.controllers = servers is None or servers.controllers

    @classmethod
    def start(cls, *, progress: Callable[[str], None] | None = None) -> Self:
        """Start a control plane and wait until it is ready, or connect to the current cluster when CLUSTER says so.

        `progress` is told what takes long, which is the build on a machine's first start; by default stderr is.
        """
        choice = os.environ.get("CLUSTER", "")
        if choice not in {"", "current"}:
            raise ControlPlaneError(f"CLUSTER is {choice!r}, but may only be 'current' or unset")
        tell = progress or StderrProgress()
        return cls._connect(tell) if choice else cls._start(tell)

    @classmethod
    def _start(cls, progress: Callable[[str], None]) -> Self:
        binaries = find_binaries(progress)
        workspace = Workspace()
        servers = None
        try:
            servers = Servers(binaries, workspace.path)
            servers.start()
            return cls(workspace, binaries.kubectl, servers.kubeconfig, servers)
        except BaseException:
            if servers is not None:
                servers.stop()
            workspace.remove()
            raise

    @classmethod
    def _connect(cls, progress: Callable[[str], None]) -> Self:
        program = find_kubectl(progress)
        content = current_kubeconfig(program)
        workspace = Workspace()
        try:
            kubeconfig = kubeconfigs.write_text(workspace.path / "current.kubeconfig", content)
            return cls(workspace, program, kubeconfig, servers=None)
        except BaseException:
            workspace.remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop what this object started and remove what it wrote; more than once does no harm."""
        self._reader.close()
        if self._servers is not None:
            self._servers.stop()
        self._workspace.remove()

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; a failure raises KubectlError unless `check` is off."""
        return self._kubectl.run(*args, stdin=stdin, check=check, timeout=timeout)

    def apply(self, *manifests: Mapping[str, Any] | str) -> None:
        """Apply manifests, each an object or a text of YAML documents."""
        texts = [each if isinstance(each, str) else yaml.safe_dump(dict(each)) for each in manifests]
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(texts))

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Read an object, None when there is none; a kind that the cluster does not know is an error."""
        return self._reader.get(kind, name, namespace)

    def items(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """Read all objects of a kind, those of one namespace where the kind has namespaces."""
        return self._reader.items(kind, namespace)

    def delete_all(
        self, plural: str, namespace: str, *, group: str = "setpoint.dev", version: str = "v1alpha1"
    ) -> None:
        """Delete all objects of a kind in a namespace with one request; kubectl's own way takes seconds for a hundred."""
        self.kubectl("delete", "--raw", f"/apis/{group}/{version}/namespaces/{namespace}/{plural}")

    def metrics(self) -> str:
        """The text of the API server's `/metrics`."""
        return self._reader.text("/metrics")

    def request_count(self, *, resource: str, verbs: Collection[str], group: str | None) -> int:
        """How many requests the API server has answered since its start, subresources included.

        Verbs are those of the metric in any case: get, list, watch, post, put, patch, apply (which is a server-side
        apply), delete, deletecollection. No group means any group, the empty one is that of the core. A watch counts
        when it ends, not when it begins.
        """
        return request_count(self.metrics(), resource=resource, verbs=verbs, group=group)

    def kubeconfig_for(self, namespace: str, serviceaccount: str, path: Path) -> Path:
        """Write a kubeconfig with a token of the ServiceAccount, which must exist, and its namespace as the default."""
        token = self.kubectl("create", "token", serviceaccount, "--namespace", namespace).stdout.strip()
        user = kubeconfigs.token_user(token)
        return kubeconfigs.write(path, cluster=self._cluster, user=user, namespace=namespace)

    def crash_api_server(self) -> None:
        """Kill the API server; etcd keeps the data, and the port stays reserved."""
        self._own_servers().crash_api_server()

    def start_api_server(self) -> None:
        """Start the API server again, at the same URL with the same certificates, and wait until it is ready."""
        self._own_servers().start_api_server()

    def _own_servers(self) -> Servers:
        if self._servers is None:
            raise ControlPlaneError("the cluster of CLUSTER=current is not ours to crash")
        return self._servers

    def _write_ca(self) -> Path | None:
        data = kubeconfigs.ca_data(self._cluster)
        if data is None:
            return None
        path = self._workspace.path / "ca.crt"
        path.write_bytes(data)
        return path
