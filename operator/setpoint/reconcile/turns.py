"""Whose turn it is: the order in which waiting resources are handed out, fair between connections and between namespaces.

- Each connection has so many seats. A remote that hangs keeps its own seats taken, and nobody else's.
- There are seats for all connections together, too, so that a thousand dead remotes do not hold tens of thousands of sockets.
  The last quarter of these is for connections that have none taken, so that a healthy one always moves.
- Among connections, and among the namespaces of one connection, it goes round: five thousand resources of one namespace make
  one of another wait for one turn, not for five thousand.
- Levels go before that: a person or a pipeline waits for urgent keys; and within each priority, keys whose delay has ended go
  before those that were added (a thousand new resources wait for the remote's limit; a look that merely reads whether a write
  has come into force would otherwise wait for all of them). Every eighth turn begins at another level, so that none starves.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from setpoint.reconcile.ports import Key

LEVELS = 4
EIGHTH = 8
RESERVED = 4
"""The share of all seats that only connections without any may take is one in so many."""


@dataclass(slots=True)
class _Lane:
    """One connection: who waits at each level, by namespace, and how many are being looked at."""

    lines: tuple[OrderedDict[str, deque[Key]], ...] = field(
        default_factory=lambda: tuple(OrderedDict() for _ in range(LEVELS))
    )
    taken: int = 0

    def pop(self, level: int) -> Key:
        """Return the first of the namespace whose turn it is."""
        lines = self.lines[level]
        namespace, line = next(iter(lines.items()))
        key = line.popleft()
        if line:
            lines.move_to_end(namespace)
        else:
            del lines[namespace]
        return key

    @property
    def idle(self) -> bool:
        return not self.taken and not any(self.lines)


class Turns:
    """Keys that wait, by level (0 goes first) and lane; `seats` of each lane and `total` of all can be taken."""

    def __init__(self, *, seats: int, total: int) -> None:
        self._seats = seats
        self._total = max(total, seats)
        self._taken = 0
        self._turn = 0
        self._lanes: dict[Hashable, _Lane] = {}
        self._open: tuple[OrderedDict[Hashable, None], ...] = tuple(OrderedDict() for _ in range(LEVELS))
        """Lanes by level where somebody waits and a seat is free."""

    def put(self, key: Key, lane: Hashable, level: int) -> None:
        """Let a key wait."""
        found = self._lanes.setdefault(lane, _Lane())
        found.lines[level].setdefault(key.namespace, deque()).append(key)
        if found.taken < self._seats:
            self._open[level].setdefault(lane)

    def take(self, waits: Callable[[Key, int], bool]) -> tuple[Key, Hashable] | None:
        """Return the next key, which takes a seat of its lane, and that lane; None where nobody can be served now.

        `waits` tells whether a key still waits at that level: one that was promoted or discarded left its place behind.
        """
        if self._taken >= self._total:
            return None
        scarce = self._total - self._taken <= self._total // RESERVED
        first = 0
        if self._turn % EIGHTH == EIGHTH - 1:
            first = self._turn // EIGHTH % LEVELS
        for level in (first, *(other for other in range(LEVELS) if other != first)):
            found = self._take_at(level, waits, scarce=scarce)
            if found is not None:
                self._turn += 1
                return found
        return None

    def leave(self, lane: Hashable) -> None:
        """Give a seat back."""
        found = self._lanes[lane]
        found.taken -= 1
        self._taken -= 1
        for level, lines in enumerate(found.lines):
            if lines:
                self._open[level].setdefault(lane)
        self._tidy(lane, found)

    def _take_at(self, level: int, waits: Callable[[Key, int], bool], *, scarce: bool) -> tuple[Key, Hashable] | None:
        for lane in list(self._open[level]):
            found = self._lanes[lane]
            if scarce and found.taken:
                continue
            while found.lines[level]:
                key = found.pop(level)
                if waits(key, level):
                    self._sit_down(lane, found, level)
                    return key, lane
            del self._open[level][lane]
            self._tidy(lane, found)
        return None

    def _sit_down(self, lane: Hashable, found: _Lane, level: int) -> None:
        found.taken += 1
        self._taken += 1
        if found.taken >= self._seats:
            for open_ in self._open:
                open_.pop(lane, None)
        elif found.lines[level]:
            self._open[level].move_to_end(lane)
        else:
            del self._open[level][lane]

    def _tidy(self, lane: Hashable, found: _Lane) -> None:
        if found.idle:
            del self._lanes[lane]
