"""The server processes of one control plane: etcd, kube-apiserver and kube-controller-manager."""

import os
import ssl
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

import httpx

from tests.controlplane import kubeconfig
from tests.controlplane.binaries import Binaries
from tests.controlplane.certs import issue_all
from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.ports import LOOPBACK, ReservedPort
from tests.controlplane.processes import Process

READY_SECONDS = 60.0
POLL_INTERVAL = 0.05
REQUEST_SECONDS = 5.0

# Each server before the one that it needs.
STOP_ORDER = ("kube-controller-manager", "kube-apiserver", "etcd")

SERVICES = IPv4Network("10.0.0.0/24")
ISSUER = "https://kubernetes.default.svc"

# etcd insists on a port in every URL; in that of a Unix socket it is just a part of the file's name. Relative to the
# working folder, because a socket's path may have some 100 characters and temporary folders can be deep.
ETCD_SOCKET = "etcd.sock:0"
ETCD_PEER_SOCKET = "peer.sock:0"

# What deletes, owns, identifies and authorises objects, and what makes a Deployment's pods, so that they have to be admitted;
# there are no nodes to run them on.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "validatingadmissionpolicy-status-controller",
)


class Servers:
    """Starts, observes and stops the processes; everything they write is in one folder."""

    def __init__(self, binaries: Binaries, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._certificates = issue_all(folder / "pki", service_address=SERVICES[1])
        self._port = ReservedPort()
        self._processes: dict[str, Process] = {}
        self.url = f"https://{LOOPBACK}:{self._port.number}"
        self.ca_file = self._certificates.server_ca
        entry = kubeconfig.cluster(self.url, self.ca_file)
        self.kubeconfig = kubeconfig.write(
            folder / "admin.kubeconfig",
            cluster=entry,
            user=kubeconfig.certificate_user(self._certificates.admin),
        )
        self._controller_manager_kubeconfig = kubeconfig.write(
            folder / "controller-manager.kubeconfig",
            cluster=entry,
            user=kubeconfig.certificate_user(self._certificates.controller_manager),
        )
        self.controllers = binaries.controller_manager is not None
        self._client = self._admin_client()

    def start(self) -> None:
        """Start everything and wait until it serves."""
        self._start_etcd()
        self.start_api_server()
        if self._binaries.controller_manager is not None:
            self._start_controller_manager(self._binaries.controller_manager)
        self._wait("the API server creates namespace default", lambda: self._found("/api/v1/namespaces/default"))
        if self._binaries.controller_manager is not None:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait("the controller manager creates ServiceAccount default", lambda: self._found(account))

    def start_api_server(self) -> None:
        """Start the API server, always on the same port, and wait until it is ready."""
        if "kube-apiserver" in self._processes:
            raise ControlPlaneError("the API server has been started already")
        pki = self._certificates
        self._run(
            "kube-apiserver",
            self._binaries.api_server,
            [
                f"--etcd-servers=unix://{ETCD_SOCKET}",
                f"--bind-address={LOOPBACK}",
                f"--secure-port={self._port.number}",
                "--permit-port-sharing",
                # Without these two a machine with no route to anywhere has no address to advertise, and one with a
                # route publishes an address at which nobody listens.
                f"--advertise-address={LOOPBACK}",
                "--endpoint-reconciler-type=none",
                f"--tls-cert-file={pki.server.certificate}",
                f"--tls-private-key-file={pki.server.key}",
                f"--client-ca-file={pki.client_ca}",
                "--authorization-mode=RBAC",
                f"--service-account-issuer={ISSUER}",
                f"--service-account-key-file={pki.token_key}",
                f"--service-account-signing-key-file={pki.token_key}",
                f"--service-cluster-ip-range={SERVICES}",
            ],
        )
        self._wait("the API server is ready", lambda: self._found("/readyz"))

    def crash_api_server(self) -> None:
        """End the API server as a crash would; etcd keeps its data."""
        process = self._processes.pop("kube-apiserver", None)
        if process is None:
            raise ControlPlaneError("the API server has crashed already")
        process.kill()

    def stop(self) -> None:
        """Stop everything that runs."""
        self._client.close()
        for name in STOP_ORDER:
            process = self._processes.pop(name, None)
            if process is not None:
                process.stop()
        self._port.close()

    def _start_etcd(self) -> None:
        self._run(
            "etcd",
            self._binaries.etcd,
            [
                "--name=setpoint",
                f"--data-dir={self._folder / 'etcd'}",
                f"--listen-client-urls=unix://{ETCD_SOCKET}",
                f"--advertise-client-urls=unix://{ETCD_SOCKET}",
                f"--listen-peer-urls=unix://{ETCD_PEER_SOCKET}",
                f"--initial-advertise-peer-urls=unix://{ETCD_PEER_SOCKET}",
                f"--initial-cluster=setpoint=unix://{ETCD_PEER_SOCKET}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )
        self._wait("etcd listens", (self._folder / ETCD_SOCKET).is_socket)

    def _start_controller_manager(self, program: Path) -> None:
        pki = self._certificates
        self._run(
            "kube-controller-manager",
            program,
            [
                f"--kubeconfig={self._controller_manager_kubeconfig}",
                f"--controllers={','.join(CONTROLLERS)}",
                # As in a real cluster: with the roles that Kubernetes gives each controller, and no more.
                "--use-service-account-credentials",
                f"--service-account-private-key-file={pki.token_key}",
                f"--root-ca-file={pki.server_ca}",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )

    def _run(self, name: str, program: Path, arguments: Sequence[str]) -> None:
        # Variables like ETCD_NAME are configuration to etcd, so the user's environment stays out.
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._folder), "TMPDIR": str(self._folder)}
        command = [str(program), *arguments]
        self._processes[name] = Process(name, command, log=self._folder / f"{name}.log", cwd=self._folder, env=env)

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for what the process started last has to do, while all of them are alive."""
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            for process in self._processes.values():
                if process.exit_code is not None:
                    raise ControlPlaneError(f"{process.name} ended with exit code {process.exit_code}\n{process.tail}")
            if time.monotonic() > deadline:
                latest = list(self._processes.values())[-1]
                raise ControlPlaneError(f"waited {READY_SECONDS:.0f} s until {what}; {latest.name}:\n{latest.tail}")
            time.sleep(POLL_INTERVAL)

    def _found(self, path: str) -> bool:
        try:
            return self._client.get(path).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _admin_client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.load_cert_chain(self._certificates.admin.certificate, self._certificates.admin.key)
        # Not through a proxy that the environment names: the server is on this machine.
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=REQUEST_SECONDS)
