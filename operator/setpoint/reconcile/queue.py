"""The work queue: which resource is looked at next.

It has the words and guarantees of client-go's workqueue, which everybody in this field knows, on asyncio:

- a key that is added twice is handed out once (`dirty`), and never to two workers at once (`processing`): what is added
  while it is worked on is handed out again afterwards, so no change is lost and none is done twice in parallel;
- `add_after` puts a key in later. One delayed entry is kept per key, the earliest; handing a key out drops it, since whoever
  works on it says anew when it is due next;
- `add_rate_limited` puts it in after a pause that doubles with every failure and carries jitter, until `forget`;
- urgent keys (a person or a pipeline waits for them) go before routine ones (drift sweeps, re-lists), and the turns go round
  among groups, connections and namespaces (`turns`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from random import Random
from typing import NamedTuple

from setpoint.reconcile.ports import Clock, Key, Timer
from setpoint.reconcile.turns import Lane, Turns

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0


class Priority(IntEnum):
    """Who goes first."""

    URGENT = 0
    ROUTINE = 1


class Turn(NamedTuple):
    """A key whose turn has come, and the seconds it waited for that."""

    key: Key
    priority: Priority
    waited: float


class ShutDown(Exception):
    """The queue is closed and hands out nothing more."""


@dataclass(slots=True)
class _Waiting:
    priority: Priority
    since: float


@dataclass(slots=True)
class _Delayed:
    due: float
    priority: Priority
    timer: Timer


class WorkQueue:
    """A deduplicating, delaying, rate-limiting queue with two priorities; times in seconds.

    Of one lane, which `lane_of` tells of a key, at most `seats` keys are handed out at the same time, of all at most `total`.
    """

    def __init__(self, clock: Clock, random: Random, *, lane_of: Callable[[Key], Lane], seats: int, total: int) -> None:
        self._clock = clock
        self._random = random
        self._lane_of = lane_of
        self._turns: Turns[Key] = Turns(seats=seats, total=total)
        self._dirty: dict[Key, _Waiting] = {}
        self._processing: dict[Key, Lane] = {}
        """Keys that are handed out, each with the lane whose seat it takes."""
        self._delayed: dict[Key, _Delayed] = {}
        self._failures: dict[Key, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._dirty)

    @property
    def oldest(self) -> float:
        """Seconds for which the key has waited that waits longest; 0 where none does."""
        now = self._clock.monotonic()
        return max((now - waiting.since for waiting in self._dirty.values()), default=0.0)

    def add(self, key: Key, priority: Priority = Priority.URGENT) -> None:
        """Hand the key out as soon as a worker is free; an urgent call promotes a routine one that waits."""
        if self._closed:
            return
        self._put(key, priority)

    def add_after(self, key: Key, delay: float, priority: Priority = Priority.ROUTINE) -> None:
        """Add the key after `delay` seconds, unless it is due earlier anyway."""
        if self._closed:
            return
        due = self._clock.monotonic() + delay
        known = self._delayed.get(key)
        if known is not None:
            if known.due <= due:
                return
            known.timer.cancel()
        timer = self._clock.call_later(delay, lambda: self._ripen(key))
        self._delayed[key] = _Delayed(due, priority, timer)

    def add_rate_limited(self, key: Key, *, at_least: float = 0.0, priority: Priority = Priority.ROUTINE) -> float:
        """Add the key after its backoff, at least `at_least` seconds; return the pause.

        Jitter makes every pause 50 to 100 % of its nominal length on top of `at_least`, so that what failed together is
        not tried again together.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        nominal = min(FIRST_BACKOFF * 2.0 ** min(failures, 16), LONGEST_BACKOFF)
        jittered = nominal * self._random.uniform(0.5, 1.0)
        delay = at_least + jittered if at_least else jittered
        self.add_after(key, delay, priority)
        return delay

    def failures(self, key: Key) -> int:
        """Return how often the key was rate limited since it was forgotten last."""
        return self._failures.get(key, 0)

    def forget(self, key: Key) -> None:
        """Forget the key's failures: it works again."""
        self._failures.pop(key, None)

    def discard(self, key: Key) -> None:
        """Forget everything about the key: its resource is gone."""
        self.forget(key)
        self._dirty.pop(key, None)
        delayed = self._delayed.pop(key, None)
        if delayed is not None:
            delayed.timer.cancel()

    async def get(self) -> Turn:
        """Return the next key, once there is one and a seat for it; `done` must follow.

        Raises:
            ShutDown: the queue was closed.
        """
        while True:
            if self._closed:
                raise ShutDown
            taken = self._turns.take(self._waits)
            if taken is not None:
                return self._hand_out(*taken)
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise

    def done(self, key: Key) -> None:
        """Tell that work on the key ended; what was added meanwhile is handed out again."""
        self._turns.leave(self._processing.pop(key))
        waiting = self._dirty.get(key)
        if waiting is not None:
            self._wait(key, waiting.priority)
        self._wake()

    def shut_down(self) -> None:
        """Hand out nothing more and let every waiting worker end."""
        self._closed = True
        for delayed in self._delayed.values():
            delayed.timer.cancel()
        self._delayed.clear()
        while self._waiters:
            self._wake()

    def _wait(self, key: Key, priority: Priority, *, ripe: bool = False) -> None:
        self._turns.put(key, self._lane_of(key), key.namespace, level=2 * priority + (not ripe))
        self._wake()

    def _waits(self, key: Key, level: int) -> bool:
        waiting = self._dirty.get(key)
        return waiting is not None and waiting.priority == level // 2 and key not in self._processing

    def _hand_out(self, key: Key, lane: Lane) -> Turn:
        waiting = self._dirty.pop(key)
        self._processing[key] = lane
        delayed = self._delayed.pop(key, None)
        if delayed is not None:
            delayed.timer.cancel()
        return Turn(key, waiting.priority, self._clock.monotonic() - waiting.since)

    def _ripen(self, key: Key) -> None:
        """Add a key whose time has come."""
        delayed = self._delayed.pop(key, None)
        if delayed is None:
            return
        self._put(key, delayed.priority, ripe=True)

    def _put(self, key: Key, priority: Priority, *, ripe: bool = False) -> None:
        waiting = self._dirty.get(key)
        if waiting is None:
            self._dirty[key] = _Waiting(priority, self._clock.monotonic())
        elif waiting.priority > priority:
            waiting.priority = priority
        else:
            return
        if key not in self._processing:
            self._wait(key, priority, ripe=ripe)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
