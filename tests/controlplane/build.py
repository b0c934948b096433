"""Builds the pinned programs from their Go modules, once per machine."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.processes import Process
from tests.controlplane.progress import Progress

HERE = Path(__file__).parent
ETCD = "go.etcd.io/etcd/server/v3"
KUBERNETES = "k8s.io/kubernetes"
TICK_SECONDS = 2.0
LOCK_INTERVAL = 0.2


class Module(NamedTuple):
    """A Go module of this folder and the version of the software it pins."""

    folder: Path
    version: str


def pinned(folder: str, dependency: str) -> Module:
    """Read the version of a dependency from a module's go.mod, the one place that names it."""
    for line in (HERE / folder / "go.mod").read_text().splitlines():
        words = line.split()
        if dependency in words[:2] and words[0] != "tool":
            return Module(HERE / folder, words[words.index(dependency) + 1])
    raise ControlPlaneError(f"{HERE / folder / 'go.mod'} does not require {dependency}")


def etcd() -> Module:
    """The pinned etcd."""
    return pinned("etcd", ETCD)


def kubernetes() -> Module:
    """The pinned Kubernetes."""
    return pinned("kubernetes", KUBERNETES)


def build(names: Sequence[str], folder: Path, progress: Progress) -> None:
    """Build those of the named programs which the folder lacks; of two processes, one builds and the other waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock", progress):
        missing = [name for name in names if not (folder / name).exists()]
        if not missing:
            return
        go = shutil.which("go")
        if go is None:
            raise ControlPlaneError("there is no go on PATH")
        for leftover in folder.glob(".building-*"):
            leftover.unlink()
        progress("building a control plane once, about 5 minutes")
        for number, name in enumerate(missing, start=1):
            _build(go, name, folder, progress, step=f"building {name} ({number} of {len(missing)})")


def _build(go: str, name: str, folder: Path, progress: Progress, *, step: str) -> None:
    module, arguments = _recipe(name)
    output, log = folder / f".building-{name}", folder / f".building-{name}.log"
    command = [go, "build", "-trimpath", "-o", str(output), *arguments]
    begin = time.monotonic()
    compiler = Process(f"go build of {name}", command, log=log, cwd=module.folder)
    try:
        while not compiler.wait(TICK_SECONDS):
            progress(f"{step}, {time.monotonic() - begin:.0f} s")
        if compiler.exit_code != 0:
            raise ControlPlaneError(f"go cannot build {name}\n{compiler.tail}")
        output.rename(folder / name)
    finally:
        compiler.kill()
        log.unlink()


def _recipe(name: str) -> tuple[Module, list[str]]:
    """The module to build in and the arguments that follow the output's name."""
    if name == "etcd":
        return etcd(), [ETCD]
    module = kubernetes()
    # Without these a Kubernetes built by go build says that it is v0.0.0, which clients compare with.
    major, minor, _ = module.version.removeprefix("v").split(".", maxsplit=2)
    version = {"gitVersion": module.version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in version.items()]
    return module, ["-ldflags", " ".join(["-s", "-w", *stamps]), f"{KUBERNETES}/cmd/{name}"]


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock that goes with the process."""
    begin = time.monotonic()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _try_lock(descriptor):
            progress(f"waiting for another process that builds the control plane, {time.monotonic() - begin:.0f} s")
            time.sleep(LOCK_INTERVAL)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
