"""Whose turn it is: the order in which waiting work is handed out, fair between groups, connections and namespaces.

- Whoever makes a connection owns the seats it takes: all Connections of one namespace are one group, each ClusterConnection,
  which only administrators make, is a group of its own. A group has so many seats however many connections it has, so that
  a namespace with five hundred of them takes no more from the others than one with five.
- Within a group each connection has so many seats. A remote that hangs keeps its own seats taken, and nobody else's.
- There are seats for all groups together, too, so that a thousand dead remotes do not hold tens of thousands of sockets.
  The last quarter of these is for groups that have none taken, and the last quarter of a group's for connections that have
  none taken, so that a healthy one always moves.
- Among groups, among the connections of one group and among the namespaces of one connection it goes round: five thousand
  resources of one namespace make one of another wait for one turn, not for five thousand.
- Levels go before that: a person or a pipeline waits for urgent keys; and within each priority, keys whose delay has ended go
  before those that were added (a thousand new resources wait for the remote's limit; a look that merely reads whether a write
  has come into force would otherwise wait for all of them). Every eighth turn begins at another level, so that none starves.

One mechanism serves whatever has to be shared: resources wait in the work queue (`queue`), and what is not a queue takes a
seat while it works (`Seats`).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

LEVELS = 4
EIGHTH = 8
QUARTER = 4
"""The share of seats that only those without any may take is one in so many; so is the share of all that one group may take."""

T = TypeVar("T")

_NOBODY = object()

Waits: TypeAlias = Callable[[T, int], bool]
"""Tells whether something still waits at a level: what was promoted or discarded left its place behind."""


class Lane(NamedTuple):
    """What work shares with all whose slowness may slow it down: a connection, and the group that the connection is of."""

    group: Hashable
    connection: Hashable


class Turns(Generic[T]):
    """What waits, by level (0 goes first), lane and namespace.

    Of each lane `seats` can be taken, of each group a quarter of all, but no less than one lane's, and of all `total`.
    """

    def __init__(self, *, seats: int, total: int) -> None:
        total = max(total, seats)
        of_group = max(total // QUARTER, seats)

        def lane() -> _Share[T]:
            return _Share(seats, 0, _Line)

        def group() -> _Share[T]:
            return _Share(of_group, min(of_group // QUARTER, of_group - seats), lane)

        self._all: _Share[T] = _Share(total, total // QUARTER, group)
        self._turn = 0

    def put(self, item: T, lane: Lane, namespace: Hashable = None, *, level: int = 0) -> None:
        """Let something wait."""
        self._all.put((*lane, namespace), item, level)

    def take(self, waits: Waits[T]) -> tuple[T, Lane] | None:
        """Return what comes next, which takes a seat of its lane, and that lane; None where nothing can be served now."""
        if self._all.is_full:
            return None
        first = 0
        if self._turn % EIGHTH == EIGHTH - 1:
            first = self._turn // EIGHTH % LEVELS
        for level in (first, *(other for other in range(LEVELS) if other != first)):
            found = self._all.take(level, waits)
            if found is not None:
                self._turn += 1
                item, (group, connection, _) = found
                return item, Lane(group, connection)
        return None

    def leave(self, lane: Lane) -> None:
        """Give a seat back."""
        self._all.leave(lane)


class Seats:
    """Lets so many work at the same time, in turns that are fair; times are those of the running loop."""

    def __init__(self, *, seats: int, total: int) -> None:
        self._turns: Turns[asyncio.Future[None]] = Turns(seats=seats, total=total)

    @asynccontextmanager
    async def seat(self, lane: Lane, *, level: int = 0) -> AsyncIterator[None]:
        """Wait for a seat of the lane, and keep it for as long as the block lasts."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.put(place, lane, level=level)
        self._call()
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                # Called and cancelled at the same moment.
                self._leave(lane)
            raise
        try:
            yield
        finally:
            self._leave(lane)

    def _leave(self, lane: Lane) -> None:
        self._turns.leave(lane)
        self._call()

    def _call(self) -> None:
        while (taken := self._turns.take(lambda place, _: not place.done())) is not None:
            taken[0].set_result(None)


class _Line(Generic[T]):
    """What waits of one namespace at one connection, by level, in the order of its coming."""

    taken = 0

    def __init__(self) -> None:
        self._waiting: tuple[deque[T], ...] = tuple(deque() for _ in range(LEVELS))

    @property
    def is_idle(self) -> bool:
        return not any(self._waiting)

    def is_open(self, level: int) -> bool:
        return bool(self._waiting[level])

    def put(self, path: tuple[Hashable, ...], item: T, level: int) -> None:
        self._waiting[level].append(item)

    def take(self, level: int, waits: Waits[T]) -> tuple[T, tuple[Hashable, ...]] | None:
        line = self._waiting[level]
        while line:
            item = line.popleft()
            if waits(item, level):
                return item, ()
        return None


class _Share(Generic[T]):
    """Seats and who shares them: all groups, the connections of a group, or the namespaces of a connection.

    Of `seats` the last `reserved` are for parts that have none taken; `make` returns a new part.
    """

    def __init__(self, seats: int, reserved: int, make: "Callable[[], _Share[T] | _Line[T]]") -> None:
        self._seats = seats
        self._reserved = reserved
        self._make = make
        self._parts: dict[Hashable, Any] = {}
        self._open: tuple[OrderedDict[Hashable, None], ...] = tuple(OrderedDict() for _ in range(LEVELS))
        """Parts by level where somebody may wait and a seat may be free, the one first whose turn it is.

        One that turns out to have nobody to send leaves it, until somebody comes or goes there.
        """
        self.taken = 0

    @property
    def is_full(self) -> bool:
        return self.taken >= self._seats

    @property
    def is_idle(self) -> bool:
        return not self.taken and not self._parts

    def is_open(self, level: int) -> bool:
        return not self.is_full and bool(self._open[level])

    def put(self, path: tuple[Hashable, ...], item: T, level: int) -> None:
        name, *rest = path
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = self._make()
        part.put(tuple(rest), item, level)
        if part.is_open(level):
            self._open[level].setdefault(name)

    def take(self, level: int, waits: Waits[T]) -> tuple[T, tuple[Hashable, ...]] | None:
        """Return what comes next, which takes a seat, and the names of the parts it was found in."""
        scarce = self._seats - self.taken <= self._reserved
        open_ = self._open[level]
        while (name := next((one for one in open_ if not (scarce and self._parts[one].taken)), _NOBODY)) is not _NOBODY:
            part = self._parts[name]
            found = part.take(level, waits)
            if found is None:
                del open_[name]
                self._settle(name, part)
                continue
            self.taken += 1
            self._settle(name, part)
            if name in open_:
                open_.move_to_end(name)
            item, path = found
            return item, (name, *path)
        return None

    def leave(self, path: tuple[Hashable, ...]) -> None:
        """Give back a seat that was taken in the parts of these names."""
        self.taken -= 1
        if not path:
            return
        name, *rest = path
        part = self._parts[name]
        part.leave(tuple(rest))
        for level in range(LEVELS):
            if part.is_open(level):
                self._open[level].setdefault(name)
        self._settle(name, part)

    def _settle(self, name: Hashable, part: "_Share[T] | _Line[T]") -> None:
        """Take a part off the levels at which it sends nobody now, and away where nothing is left of it."""
        for level in range(LEVELS):
            if not part.is_open(level):
                self._open[level].pop(name, None)
        if part.is_idle:
            del self._parts[name]
