"""What the controller is given: the seams between decisions and the world.

`cluster/` implements them on a Kubernetes API server; tests and simulations bring their own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

from setpoint.reconcile.gate import Gate
from setpoint.reconcile.turns import Lane
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.resources.common import Managed, Origin, StatusBase


class Key(NamedTuple):
    """Which resource, as the API server names it."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def lane_of(connection: Key) -> Lane:
    """Return where work for a connection waits: a namespace is one group, a connection of the whole cluster another."""
    return Lane(connection.namespace or str(connection), connection)


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Keep the call from happening."""


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the time of day, in UTC: for what people read and what must outlive the process."""

    def monotonic(self) -> float:
        """Return seconds that never jump: for how long something takes."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back after `delay` seconds."""


class LoopClock:
    """The clock of the running asyncio loop and of the machine."""

    def now(self) -> datetime:
        """Return the machine's time of day in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back after `delay` seconds of the loop's time."""
        return asyncio.get_running_loop().call_later(delay, callback)


class View(Protocol):
    """What is known of the resources without asking."""

    def get(self, key: Key) -> Managed | None:
        """Return the newest known version of the resource, or None where there is none.

        Raises:
            pydantic.ValidationError: there is one, but it does not fit the model.
        """

    def identity(self, key: Key) -> tuple[str, int] | None:
        """Return uid and generation of the newest known version; None where there is none."""

    def lane(self, key: Key) -> Lane:
        """Return what the resource shares with those whose slowness may slow it down: its connection, in its group."""

    def bare(self, key: Key) -> Managed | None:
        """Return a resource whose spec does not fit the model, with an empty spec; None where there is none."""

    async def confirm(self, key: Key) -> Managed | None:
        """Return the resource as the API server has it now, so that what vanished unseen is never enforced.

        Raises:
            ClusterUnavailable: the API server could not tell.
        """


class EventType(StrEnum):
    """The two types of Kubernetes Events."""

    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource, for `kubectl describe`."""

    type: EventType
    reason: str
    message: str


class Reporter(Protocol):
    """Where results go."""

    async def status(self, resource: Managed, status: StatusBase) -> None:
        """Make the resource's status this one; nothing is sent where it is already.

        Raises:
            ResourceGone: the resource is not there any more, or another one has its name.
            ResourceChanged: it has another spec, or a status of somebody else, by now.
            ClusterUnavailable: the API server did not take it; to be tried again.
        """

    async def hold(self, resource: Managed) -> None:
        """Put the finalizer onto the resource; nothing is sent where it is there already. Raises as `status`."""

    async def release(self, resource: Managed) -> None:
        """Take the finalizer off the resource; nothing is sent where there is none. Raises as `status`."""

    def event(self, resource: Managed, event: Event) -> None:
        """Tell what happened; delivered in the background and dropped rather than waited for."""


class Telemetry(Protocol):
    """Who counts what happens; times in seconds."""

    def queued(self, key: Key, seconds: float, *, urgent: bool) -> None:
        """Tell how long a resource waited for its turn."""

    def looked(self, key: Key, seconds: float, *, result: str) -> None:
        """Tell that a look at a resource ended: with `done`, `retry`, `superseded` or `error`."""

    def told(self, key: Key, event: Event) -> None:
        """Tell that something happened to a resource."""


class NoTelemetry:
    """Counts nothing."""

    def queued(self, key: Key, seconds: float, *, urgent: bool) -> None:
        """Let it pass."""

    def looked(self, key: Key, seconds: float, *, result: str) -> None:
        """Let it pass."""

    def told(self, key: Key, event: Event) -> None:
        """Let it pass."""


C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Handle(Generic[C]):
    """An open connection: the client, and the gate that closes when its credential is refused."""

    name: str
    client: C
    gate: "Gate[Key]"
    origin: Origin
    """Where the client leads to and which connection it is, as `Connections.origin` says it."""


class Connections(Protocol):
    """Finds the connection of a resource and keeps it open."""

    def place(self, resource: Managed) -> str | None:
        """Return where the resource's connection leads to, alike for all that lead there; None where there is none."""

    def origin(self, resource: Managed) -> Origin | None:
        """Return that place with the connection that leads there, as a status keeps both, without an id."""

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        """Return the open connection to Baseten the resource refers to; `fresh` reads its Secret again.

        Raises:
            ConnectionNotFound: there is no such connection, Secret or key.
            ConnectionNotAllowed: there is, but not for this namespace, this host or this kind of remote.
            ClusterUnavailable: the API server could not tell.
        """

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        """Return the open connection to a Bifrost gateway the resource refers to; else as `baseten`."""


class ConnectionProblem(Exception):
    """The connection of a resource cannot be used."""


class ConnectionNotFound(ConnectionProblem):
    """The connection, its Secret or the key in it is missing."""


class ConnectionNotAllowed(ConnectionProblem):
    """The connection does not serve this namespace, host or remote."""


class ClusterUnavailable(Exception):
    """The Kubernetes API server did not answer, or not now."""


class ResourceChanged(Exception):
    """The resource has another spec or a status of somebody else by now: what was found out about it is of the past."""


class ResourceGone(Exception):
    """The resource was deleted, or replaced by another one of the same name."""
