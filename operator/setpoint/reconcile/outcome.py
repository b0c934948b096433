"""What goes into one look at a resource and what comes out of it."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from setpoint.reconcile.ownership import Contest, Standing, Thing
from setpoint.reconcile.ports import Event, Key
from setpoint.remotes.answers import Answer
from setpoint.resources.common import Origin, Serving, StatusBase

S = TypeVar("S")
T = TypeVar("T")


class ObservationOutdated(Exception):
    """What was read before a write is not what there is: it is read again before anything is written."""


NOWHERE = Origin(endpoint="")
"""Where nothing has been opened yet."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that the target of a resource belongs to."""

    id: Hashable
    title: str


@dataclass(frozen=True, slots=True)
class Observation(Generic[S]):
    """What the remote API reports."""

    settings: S
    busy: bool = False
    """The remote is in the middle of a build, a start or a stop, so that waiting is normal."""
    promotion: str | None = None
    """Word for the promotion that runs, if one does."""
    schedule_id: str | None = None
    """Schedule of the platform that holds other values on purpose, if one does."""
    part_of: Part | None = None
    """What the target belongs to, if that can be managed, too."""
    current: str | None = None
    """Id of the deployment that serves the target now; another one than before means that a promotion has ended."""
    serving: Serving | None = None
    """Whether anything serves, where the remote tells."""
    warning: str | None = None
    """What somebody should know of the target though its settings hold, in one sentence; None where there is nothing."""


@dataclass(frozen=True, slots=True)
class Written(Generic[S, T]):
    """What came of a write."""

    answer: Answer
    target: T
    """The target as it is known now; a write may create it."""
    seen: Observation[S] | None = None
    """What the answer shows of the settings, where it shows them as they now are; None where a read has to."""
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """The circumstances of one look."""

    key: Key
    urgent: bool
    """Somebody waits for this one: it goes ahead of sweeps at the limiter too."""
    failures: int
    """Tries in a row that failed for a transient reason."""
    confirm: Callable[[], Awaitable[None]]
    """To be awaited before every write; raises what ends the look when the resource is gone or changed."""
    hold: Callable[[StatusBase], Awaitable[None]]
    """To be awaited before a write that is to be undone one day: keeps the resource from vanishing, and the status."""
    claim: Callable[[frozenset[Thing], Standing], Contest]
    """Says which remote things the resource manages, and what is known of its right to; returns what stands against it."""
    crowded: Callable[[Thing], bool]
    """Says that the resource manages something that has several names; tells whether another one does, too."""
    manager: Callable[[Thing], Key | None]
    """Tells which resource manages a thing."""
    origin: Origin = NOWHERE
    """Where the connection of this look leads to: all it finds out is about what is there, wherever it leads meanwhile."""
    restoring: bool = False
    """What was found before the first write is put back: it goes out word for word, whatever a spec may say."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one look."""

    status: StatusBase | None
    """The status to report; None leaves what is there."""
    due: float = 0.0
    """Seconds until the next look."""
    backoff: bool = False
    """Add the key's growing backoff to `due`, since this was a failure."""
    urgent: bool = False
    """The next look goes ahead of sweeps."""
    events: tuple[Event, ...] = ()
    asked: bool = True
    """The remote was asked and answered, so that its credential is known to work."""
    release: bool = False
    """What the deletion policy asks for is done, or cannot be: nothing keeps the resource any more."""
    wake: frozenset[Key] = field(default_factory=frozenset)
    """Resources that waited for this connection and can go on."""
