"""Runs the operator as users do: the command `setpoint run`, with the rights of its ServiceAccount."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from tests.controlplane.plane import ControlPlane
from tests.e2e import transcripts
from tests.e2e.installation import Installation, of_deploy
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
NAMESPACE = "setpoint-system"
STOP = 15.0


def install(plane: ControlPlane) -> None:
    """Put the CRDs and the operator's rights into the cluster, as the README tells, and wait until they are served."""
    rights = [str(ROOT / "deploy" / name) for name in ("operator/operator.yaml", "base/clusterrole.yaml")]
    plane.kubectl("apply", "-f", str(ROOT / "crds"), *(word for file in rights for word in ("-f", file)))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    eventually(lambda: plane.get("serviceaccount", "setpoint", NAMESPACE), timeout=30)


class OperatorProcess:
    """A running operator; its log is kept in a file."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        folder: "tempfile.TemporaryDirectory[str]",
        *,
        health: str,
        metrics: str,
    ) -> None:
        self._process = process
        self._folder = folder
        self.health = health
        self._metrics = metrics
        self.log_file = Path(folder.name) / "log"
        transcripts.began(self.pid, self.log_file)

    @classmethod
    def start(
        cls,
        plane: ControlPlane,
        settings: Mapping[str, str] | None = None,
        *,
        ready: bool = True,
        server: str | None = None,
        ca: bytes | None = None,
        installation: Installation | None = None,
        serviceaccount: str | None = None,
        jail: Callable[[Path], Sequence[str]] | None = None,
        program: Sequence[str] = ("-m", "setpoint"),
    ) -> Self:
        """Start an operator as its Deployment says, and wait until it is ready.

        What cannot be as in a pod is set here: its addresses, a kubeconfig with the ServiceAccount's token, and that it may
        reach loopback, where the simulators are; beside it a name is listed that leads nowhere. `settings` come last.
        `server` stands in for the API server, `ca` for what signed its certificate, and `serviceaccount` for the
        installation's. `jail` makes the command from the ServiceAccount's files, which are then as in a pod, and nothing of
        this process's environment is passed on. `program` is what Python runs else.
        """
        installed = installation or of_deploy()
        folder = tempfile.TemporaryDirectory(prefix="setpoint-operator-")
        account = serviceaccount or installed.serviceaccount
        kubeconfig = plane.kubeconfig_for(installed.namespace, account, Path(folder.name) / "kubeconfig")
        text = kubeconfig.read_text(encoding="utf-8").replace(plane.server, server or plane.server)
        if ca is not None:
            text = re.sub(
                r"certificate-authority-data: .*", f"certificate-authority-data: {b64encode(ca).decode()}", text
            )
        kubeconfig.write_text(text, encoding="utf-8")
        health, metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        command: Sequence[str] = (sys.executable, *program)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SETPOINT_")}
        environment["KUBECONFIG"] = str(kubeconfig)
        if jail is not None:
            files = Path(folder.name) / "serviceaccount"
            environment = {"PATH": os.defpath, **_in_cluster(plane, installed.namespace, account, files)}
            Path(folder.name).chmod(0o755)
            kubeconfig.unlink()
            command = jail(files)
        environment |= {
            **installed.environment,
            "SETPOINT_ALLOWED_HOSTS": "http://127.0.0.1,listed.example.com",
            "SETPOINT_HEALTH_ADDRESS": health,
            "SETPOINT_METRICS_ADDRESS": metrics,
            # One replica, which need not wait for the lease of a killed predecessor; tests of the lease ask for it.
            "SETPOINT_LEADER_ELECT": "false",
            **(settings or {}),
        }
        with (Path(folder.name) / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *installed.arguments],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        operator = cls(process, folder, health=f"http://{health}", metrics=f"http://{metrics}")
        if ready:
            try:
                eventually(operator.is_ready, timeout=90)
            except AssertionError:
                text = operator._last_words()
                operator.kill()
                raise AssertionError(f"the operator did not become ready:\n{text}") from None
            except BaseException:
                operator.kill()
                raise
        return operator

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Tell what the readiness endpoint says; a process that has ended is an error."""
        if self._process.poll() is not None:
            raise AssertionError(f"the operator ended with {self._process.returncode}:\n{self._last_words()}")
        return self.probe("/readyz")[0] == 200

    def probe(self, path: str) -> tuple[int, str]:
        """Return status and text of a page, be it for probes or of metrics; 0 where nothing answers."""
        base = self._metrics if path == "/metrics" else self.health
        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                response = client.get(f"{base}{path}")
        except httpx.TransportError as error:
            return 0, str(error)
        return response.status_code, response.text

    def log(self) -> str:
        """Return everything the operator has logged."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def _last_words(self) -> str:
        """Return the log's tail for an error."""
        transcripts.told(self.pid)
        return transcripts.tail(self.log_file)

    def resident_bytes(self) -> int:
        """Return the resident memory of the process."""
        fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = STOP) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait(timeout)

    def stop(self) -> int:
        """End the operator as Kubernetes does, and return the exit code."""
        if self._process.poll() is None:
            self.terminate()
        try:
            return self.wait()
        finally:
            self.kill()

    @property
    def arguments(self) -> list[str]:
        """What the process was started with, as everybody on the machine can see it."""
        return [str(argument) for argument in self._process.args]  # type: ignore[union-attr] # always a list here

    def surface(self) -> dict[str, str]:
        """Return what else can be seen of a running process: what it answers, and what the kernel names its core file by."""
        if self.ended:
            return {}
        shown = {path: self.probe(path)[1] for path in ("/healthz", "/readyz", "/metrics")}
        for name in ("comm", "cmdline", "environ"):
            shown[name] = Path(f"/proc/{self.pid}/{name}").read_text(encoding="utf-8", errors="replace")
        return shown

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def shoot(self) -> None:
        """End the operator with SIGKILL and wait until it is gone; its log stays."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """End the operator at once, without a chance to clean up."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        transcripts.ends(self.pid)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.log_file.exists():
            return
        ended = self._process.poll()
        text = self._last_words() if error is not None or ended is not None else ""
        if ended is None:
            self.stop()
        else:
            self.kill()
        if error is not None:
            error.add_note(f"the operator's log ends with:\n{text}")
        elif ended is not None:
            raise AssertionError(f"the operator ended by itself with {ended}:\n{text}")


def _in_cluster(plane: ControlPlane, namespace: str, serviceaccount: str, folder: Path) -> dict[str, str]:
    """Write what Kubernetes puts into a pod's file system, and return what it puts into its environment."""
    assert plane.ca_file is not None
    folder.mkdir()
    token = plane.kubectl("create", "token", serviceaccount, "--namespace", namespace).stdout.strip()
    (folder / "token").write_text(token, encoding="ascii")
    (folder / "namespace").write_text(namespace, encoding="ascii")
    (folder / "ca.crt").write_bytes(plane.ca_file.read_bytes())
    server = urlsplit(plane.server)
    return {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}


def free_port() -> int:
    """Return a port of loopback that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
