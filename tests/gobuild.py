"""Builds programs of Go modules that pin them, once per machine.

A folder with a go.mod (and its go.sum) pins a program; what is built is kept outside the tree.
"""

import fcntl
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.processes import Process
from tests.controlplane.progress import Progress

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
TICK_SECONDS = 2.0
LOCK_INTERVAL = 0.2


class Recipe(NamedTuple):
    """How a program is built: in the folder of its module, with these arguments of `go build`."""

    folder: Path
    arguments: Sequence[str]


def pinned(folder: Path, dependency: str) -> str:
    """Read the version of a dependency from a folder's go.mod, the one place that names it."""
    for line in (folder / "go.mod").read_text().splitlines():
        words = line.split()
        if dependency in words[:2] and words[0] != "tool":
            return words[words.index(dependency) + 1]
    raise ControlPlaneError(f"{folder / 'go.mod'} does not require {dependency}")


def cache(*parts: str) -> Path:
    """A folder for built programs, outside the tree.

    The variable and its default are those of the XDG Base Directory Specification, which has relative paths ignored.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base.joinpath("setpoint", *parts)


def target() -> str:
    """What the programs are built for."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ARCHITECTURES.get(machine, machine)}"


def build(recipes: Mapping[str, Recipe], folder: Path, progress: Progress, *, aim: str) -> None:
    """Build those of the programs which the folder lacks; of two processes, one builds and the other waits.

    `aim` says what for and how long that takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / ".lock", progress):
        missing = [name for name in recipes if not (folder / name).exists()]
        if not missing:
            return
        go = shutil.which("go")
        if go is None:
            raise ControlPlaneError("there is no go on PATH")
        for leftover in folder.glob(".building-*"):
            leftover.unlink()
        progress(aim)
        for number, name in enumerate(missing, start=1):
            _build(go, name, recipes[name], folder, progress, step=f"building {name} ({number} of {len(missing)})")


def _build(go: str, name: str, recipe: Recipe, folder: Path, progress: Progress, *, step: str) -> None:
    output, log = folder / f".building-{name}", folder / f".building-{name}.log"
    command = [go, "build", "-trimpath", "-o", str(output), *recipe.arguments]
    begin = time.monotonic()
    compiler = Process(f"go build of {name}", command, log=log, cwd=recipe.folder)
    try:
        while not compiler.wait(TICK_SECONDS):
            progress(f"{step}, {time.monotonic() - begin:.0f} s")
        if compiler.exit_code != 0:
            raise ControlPlaneError(f"go cannot build {name}\n{compiler.tail}")
        output.rename(folder / name)
    finally:
        compiler.kill()
        log.unlink()


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock that goes with the process."""
    begin = time.monotonic()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _try_lock(descriptor):
            progress(f"waiting for another process that builds the same, {time.monotonic() - begin:.0f} s")
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
