"""The control plane itself: real API behaviour, and nothing left behind however its process ends."""

import os
import shlex
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.controlplane.binaries import etcd_version, kubernetes_version
from tests.controlplane.certs import Authority
from tests.controlplane.errors import ControlPlaneError, KubectlError
from tests.controlplane.plane import ControlPlane
from tests.controlplane.workspace import PREFIX, Workspace
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
CHOICES = ("CLUSTER", "KUBEBUILDER_ASSETS")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


@pytest.fixture
def owned(controlplane: ControlPlane) -> ControlPlane:
    """The control plane where it is ours, so that its servers may be hurt and further ones started."""
    if not controlplane.owned:
        pytest.skip("CLUSTER=current is not ours to stop and start")
    return controlplane


def without_choices(**changes: str) -> dict[str, str]:
    """The environment without what the person running the tests chose for them."""
    return {name: value for name, value in os.environ.items() if name not in CHOICES} | changes


def command_line(command: str, *, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `python -m tests.controlplane`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.controlplane", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=env,
    )


def programs_of(folder: Path) -> set[str]:
    """The control plane's running programs, and its janitor, whose command lines name something in the folder."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "stat=,args="], capture_output=True, text=True, check=True)
    states = (line.split(maxsplit=1) for line in listing.stdout.splitlines())
    running = [state[1].split() for state in states if not state[0].startswith("Z") and str(folder) in state[-1]]
    return {Path(word).name for words in running for word in words[:4] if Path(word).name in {*PROGRAMS, "janitor.py"}}


def is_clean(folder: Path) -> bool:
    """Whether neither a process nor a file of a control plane is left in the folder."""
    return not programs_of(folder) and not list(folder.glob(f"{PREFIX}-*"))


def script(path: Path, *lines: str) -> None:
    """Write a program for /bin/sh."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.mark.cluster
def test_the_pinned_version_serves(owned: ControlPlane) -> None:
    version = owned.kubectl("version", "--output=json").stdout

    assert version.count(f'"gitVersion": "{kubernetes_version()}"') == 2
    assert owned.controllers


@pytest.mark.cluster
def test_the_server_certificate_is_verified(owned: ControlPlane, tmp_path: Path) -> None:
    trusting = ssl.create_default_context(cafile=owned.ca_file)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    distrusting = ssl.create_default_context(cafile=Authority("somebody else").write(tmp_path / "ca.crt"))

    with httpx.Client(verify=trusting, trust_env=False) as client:
        assert client.get(f"{owned.server}/readyz").text == "ok"
    with (
        httpx.Client(verify=distrusting, trust_env=False) as client,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.get(f"{owned.server}/readyz")


@pytest.mark.cluster
def test_a_service_account_may_do_only_what_a_role_allows(
    controlplane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    controlplane.kubectl("create", "serviceaccount", "reader", "--namespace", namespace)
    kubeconfig = controlplane.kubeconfig_for(namespace, "reader", tmp_path / "kubeconfig")
    read = (f"--kubeconfig={kubeconfig}", "get", "configmaps")

    with pytest.raises(KubectlError, match=f"Forbidden.*system:serviceaccount:{namespace}:reader"):
        controlplane.kubectl(*read)

    binding = ("--clusterrole=view", f"--serviceaccount={namespace}:reader", f"--namespace={namespace}")
    controlplane.kubectl("create", "rolebinding", "reader", *binding)
    eventually(lambda: controlplane.kubectl(*read, check=False).returncode == 0)


@pytest.mark.cluster
def test_objects_are_applied_and_read(controlplane: ControlPlane, namespace: str) -> None:
    first = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "first", "namespace": namespace},
        "data": {"a": "1"},
    }
    second = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: second, namespace: {namespace}}}"

    controlplane.apply(first, second)

    found = controlplane.get("configmap", "first", namespace)
    assert found is not None
    assert found["data"] == {"a": "1"}
    assert controlplane.get("configmap", "second", namespace) is not None
    assert controlplane.get("configmap", "third", namespace) is None
    with pytest.raises(ControlPlaneError, match="the server has no kind 'nonsense'"):
        controlplane.get("nonsense", "first", namespace)


@pytest.mark.cluster
def test_requests_are_counted_by_resource_verb_and_group(owned: ControlPlane, namespace: str) -> None:
    def count(*, group: str | None) -> int:
        return owned.request_count(resource="configmaps", verbs=["get"], group=group)

    before, other = count(group=""), count(group="apps")
    for _ in range(3):
        owned.get("configmap", "none", namespace)

    # The controllers ask as well.
    assert count(group="") >= before + 3
    assert count(group=None) >= before + 3
    assert count(group="apps") == other == 0


@pytest.mark.cluster
def test_a_namespace_is_deleted_with_what_it_holds(controlplane: ControlPlane) -> None:
    name = f"test-deletion-{os.getpid()}"
    controlplane.kubectl("create", "namespace", name)
    controlplane.kubectl("create", "configmap", "held", "--namespace", name)

    controlplane.kubectl("delete", "namespace", name, "--wait=true", "--timeout=30s")

    assert controlplane.get("namespace", name) is None


@pytest.mark.cluster
def test_a_crash_of_the_api_server_loses_no_data(owned: ControlPlane, namespace: str) -> None:
    owned.crash_api_server()
    try:
        with pytest.raises(ControlPlaneError, match="refused"):
            owned.get("namespace", namespace)
    finally:
        owned.start_api_server()

    assert owned.get("namespace", namespace) is not None
    with pytest.raises(ControlPlaneError, match="already"):
        owned.start_api_server()


@pytest.mark.cluster
@pytest.mark.usefixtures("owned")
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_nothing_is_left_after_a_signal(number: signal.Signals, exit_code: int, tmp_path: Path) -> None:
    with command_line("up", env=without_choices(TMPDIR=str(tmp_path))) as up:
        assert up.stdout is not None
        export = up.stdout.readline().strip()
        kubeconfig = Path(shlex.split(export.removeprefix("export KUBECONFIG="))[0])
        assert kubeconfig.is_relative_to(tmp_path)
        assert kubeconfig.stat().st_mode & 0o077 == 0
        assert programs_of(tmp_path) >= {"etcd", "kube-apiserver", "kube-controller-manager", "janitor.py"}

        up.send_signal(number)

        assert up.wait(timeout=30) == exit_code
    eventually(lambda: is_clean(tmp_path))


@pytest.mark.cluster
@pytest.mark.usefixtures("owned")
def test_nothing_is_left_after_an_interrupted_start(tmp_path: Path) -> None:
    with command_line("up", env=without_choices(TMPDIR=str(tmp_path))) as up:
        eventually(lambda: "kube-apiserver" in programs_of(tmp_path))

        up.send_signal(signal.SIGINT)

        assert up.wait(timeout=30) == 0
    assert is_clean(tmp_path)


@pytest.mark.cluster
def test_the_current_cluster_is_used_and_left_running(
    controlplane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLUSTER", "current")
    monkeypatch.setenv("KUBECONFIG", str(controlplane.kubeconfig))

    with ControlPlane.start() as current:
        assert (current.owned, current.server) == (False, controlplane.server)
        assert current.get("namespace", namespace) is not None
        with pytest.raises(ControlPlaneError, match="not ours"):
            current.crash_api_server()

    assert not current.kubeconfig.exists()
    assert controlplane.get("namespace", namespace) is not None


def test_another_cluster_than_the_current_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "production")

    with pytest.raises(ControlPlaneError, match="CLUSTER is 'production'"):
        ControlPlane.start()


def test_a_server_that_ends_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROGRAMS:
        script(tmp_path / "assets" / name, "echo the disk is on fire", "exit 3")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.delenv("CLUSTER", raising=False)

    with pytest.raises(ControlPlaneError, match="etcd ended with exit code 3\nthe disk is on fire"):
        ControlPlane.start()

    assert is_clean(tmp_path)


def test_an_incomplete_folder_of_programs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "assets" / "etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.delenv("CLUSTER", raising=False)

    with pytest.raises(ControlPlaneError, match="lacks kube-apiserver, kubectl"):
        ControlPlane.start()


def test_the_folder_of_a_dead_process_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    abandoned, used = tmp_path / f"{PREFIX}-{dead.pid}-x", tmp_path / f"{PREFIX}-{os.getpid()}-x"
    abandoned.mkdir()
    used.mkdir()

    workspace = Workspace()
    workspace.remove()

    assert (abandoned.exists(), used.exists(), workspace.path.exists()) == (False, True, False)


def test_without_programs_and_go_there_are_three_ways(tmp_path: Path) -> None:
    with command_line("build", env=without_choices(PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))) as build:
        _, stderr = build.communicate(timeout=30)

    assert build.returncode == 1
    assert len(stderr.splitlines()) == 1
    assert ". " not in stderr
    assert all(way in stderr for way in ("no go on PATH", "install Go", "KUBEBUILDER_ASSETS", "CLUSTER=current"))


def test_a_failed_build_shows_what_go_said(tmp_path: Path) -> None:
    script(tmp_path / "bin" / "go", "echo no space left on device >&2", "exit 1")

    with command_line("build", env=without_choices(PATH=str(tmp_path / "bin"), XDG_CACHE_HOME=str(tmp_path))) as build:
        _, stderr = build.communicate(timeout=30)

    assert build.returncode == 1
    assert "go cannot build etcd: install Go" in stderr
    assert stderr.endswith("no space left on device\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_build_ends_with_its_process(number: signal.Signals, tmp_path: Path) -> None:
    compiler = tmp_path / "bin" / "etcd"
    script(compiler, "while :; do /bin/sleep 1; done")
    script(tmp_path / "bin" / "go", f"{compiler} &", "wait")
    env = without_choices(PATH=str(compiler.parent), XDG_CACHE_HOME=str(tmp_path))

    with command_line("build", env=env) as build:
        eventually(lambda: "etcd" in programs_of(compiler))
        build.send_signal(number)
        build.wait(timeout=30)

    eventually(lambda: not programs_of(compiler))


def test_two_processes_build_once(tmp_path: Path) -> None:
    calls, gate = tmp_path / "calls", tmp_path / "gate"
    os.mkfifo(gate)
    waiting = f"[ ! -p {gate} ] || read -r _ < {gate}"
    script(tmp_path / "bin" / "go", f"echo $@ >> {calls}", waiting, "while [ $1 != -o ]; do shift; done", ": > $2")
    env = without_choices(PATH=str(tmp_path / "bin"), XDG_CACHE_HOME=str(tmp_path))

    with command_line("build", env=env) as first:
        eventually(calls.exists)
        with command_line("build", env=env) as second:
            assert second.stderr is not None
            assert second.stderr.readline().startswith("waiting for another process")
            with gate.open("w") as opened:
                gate.unlink()
                opened.write("\n")
            folders = {build.communicate(timeout=30)[0].strip() for build in (first, second)}

    (folder,) = map(Path, folders)
    assert len(calls.read_text().splitlines()) == len(PROGRAMS)
    assert {path.name for path in folder.iterdir()} == {*PROGRAMS, ".lock"}
    assert f"{kubernetes_version()}-{etcd_version()}-" in folder.name
