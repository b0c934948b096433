"""The ground of an attack: an operator as installed, a neighbour who works, an eye on both, and the attacker's namespace."""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import NAMESPACE, OperatorProcess
from tests.e2e.stage import Object, Place
from tests.security import limited
from tests.security.figures import Figures
from tests.security.hostile import Hostile
from tests.security.kube import PLURALS, Kube
from tests.security.neighbour import NAME, BasetenNeighbour, GatewayNeighbour, Neighbour
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

LEASE = "setpoint-leader"
STEP = 0.05
PATIENCE = 2.0
"""Seconds for one try of a probe; what counts is how long it takes until one is answered, and well."""
BLOCK = re.compile(r"^setpoint_event_loop_longest_block_seconds ([0-9.e+-]+)$", re.MULTILINE)
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
STRUCK = 60.0
"""Seconds an attack may take until all of it is there; one that was turned away before is over then, too."""


@dataclass(frozen=True)
class Ground:
    """What all attacks share: a control plane with the operator's rights in it, and the remotes."""

    plane: ControlPlane
    kube: Kube
    hostile: Hostile
    baseten: BasetenSimulator
    bifrost: BifrostSimulator


@contextmanager
def ground_of(plane: ControlPlane) -> Iterator[Ground]:
    """Start the remotes beside a control plane in which the operator is installed."""
    with (
        Kube(plane.kubeconfig) as kube,
        Hostile.launch() as hostile,
        BasetenSimulator.start() as baseten,
        BifrostSimulator.start() as bifrost,
    ):
        yield Ground(plane, kube, hostile, baseten, bifrost)


class Eye:
    """Asks `/healthz` all the time, and looks how much memory the operator has taken at most."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.slowest = 0.0
        self.memory = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        asked: float | None = None
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            while not self._over.is_set() and not self._operator.ended:
                self._look_at_memory()
                asked = asked or time.monotonic()
                try:
                    answered = client.get(f"{self._operator.health}/healthz").is_success
                except httpx.TransportError:
                    answered = False
                if not self._operator.ended:
                    self.slowest = max(self.slowest, time.monotonic() - asked)
                asked = None if answered else asked
                self._over.wait(STEP)

    def _look_at_memory(self) -> None:
        """Count the most that the process ever had, and the most of each that it has started and that is there now."""
        self.memory = max(
            self.memory, sum(_memory(pid) for pid in (self._operator.pid, *_children(self._operator.pid)))
        )


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = PEAK.search(text)
    return int(found[1]) * 1024 if found else 0


@dataclass(frozen=True)
class Siege(Place):
    """One attack while it goes on. `namespace` is the attacker's; what it promises to others is noted in `figures`."""

    ground: Ground
    operator: OperatorProcess
    neighbour: Neighbour
    home: Place
    """The neighbour's namespace."""
    seconds: float
    """For how long an attack goes on once all of it is there."""
    figures: Figures = field(default_factory=Figures)

    def create(self, *objects: Object) -> None:
        """Create objects of the attacker's, in the attacker's namespace unless they have another one."""
        for one in objects:
            one["metadata"].setdefault("namespace", self.namespace)
        self.ground.kube.create(*objects)

    def remote(self, how: str) -> str:
        """Return the base URL of a remote of this attack's own that answers that way."""
        return self.ground.hostile.at(f"{how}~{self.namespace}")

    def sent(self, how: str) -> list[str]:
        """Return the credentials of all requests that came to it, empty texts for none."""
        return self.ground.hostile.sent(f"{how}~{self.namespace}")

    def endure(self, struck: Callable[[], object] = lambda: True) -> None:
        """Wait until all of the attack is there, and then for as long as it is to go on; or until the operator has ended."""
        self._wait(struck, STRUCK)
        over = time.monotonic() + self.seconds
        self._wait(lambda: time.monotonic() >= over, self.seconds + 1)

    def promise(self, what: str, kept: Callable[[], object], *, within: float = 20.0) -> bool:
        """Note whether something comes to be so in time."""
        self.figures.promises[what] = self._wait(kept, within)
        return self.figures.promises[what]

    def reach(self, what: str, there: Callable[[], object], *, within: float = 20.0) -> None:
        """Wait until an attack is as far as it has to be; where it does not, it has shown nothing, which is noted."""
        if not self._wait(there, within):
            self.figures.promises[what] = False

    def _wait(self, done: Callable[[], object], seconds: float) -> bool:
        try:
            return bool(eventually(lambda: self.operator.ended or done(), timeout=seconds)) and not self.operator.ended
        except AssertionError:
            return False


@contextmanager
def siege(
    ground: Ground,
    *,
    open_gateway: bool = False,
    seconds: float,
    settings: Mapping[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "setpoint"),
    limit: int | None = None,
) -> Iterator[Siege]:
    """Start an operator and a neighbour who works already; at the end `figures` are complete and all is gone again.

    `open_gateway`: the neighbour's remote is a gateway that lets in everybody. `program` runs instead of the operator's own.
    `limit` is how many bytes of memory the operator can get at all.
    """
    names = [f"{role}-{uuid.uuid4().hex[:8]}" for role in ("foe", "near")]
    ground.baseten.reset()
    ground.bifrost.reset()
    plane = ground.plane
    plane.kubectl("delete", "lease", LEASE, "-n", NAMESPACE, "--ignore-not-found")
    for name in names:
        plane.kubectl("create", "namespace", name)
    home = Place(plane, names[1])
    neighbour: Neighbour = (
        GatewayNeighbour(ground.kube, home.namespace, ground.bifrost)
        if open_gateway
        else BasetenNeighbour(ground.kube, home.namespace, ground.baseten)
    )
    ground.kube.create(*neighbour.manifests())
    if limit is not None:
        program = (str(Path(limited.__file__)), str(limit), *program)
    operator = OperatorProcess.start(plane, {"SETPOINT_LEADER_ELECT": "true", **(settings or {})}, program=program)
    try:
        home.until(PLURALS[neighbour.KIND], NAME, "Synced", timeout=30)
        begun = Siege(plane, names[0], ground, operator, neighbour, home, seconds)
        with ExitStack() as stack:
            eye = stack.enter_context(Eye(operator))
            stack.enter_context(neighbour)
            yield begun
            begun.figures.pending = neighbour.stop()
            eye.close()
        figures = begun.figures
        figures.changes = neighbour.seconds
        figures.probe, figures.memory = eye.slowest, eye.memory
        figures.ended = operator.wait(1) if operator.ended else None
        figures.block = _longest_block(operator)
        figures.log = operator.log()
    finally:
        operator.kill()
        for name in names:
            ground.kube.clear(name)
            plane.kubectl("delete", "namespace", name, "--wait=false")


def _longest_block(operator: OperatorProcess) -> float | None:
    found = None if operator.ended else BLOCK.search(operator.probe("/metrics")[1])
    return None if found is None else float(found[1])
