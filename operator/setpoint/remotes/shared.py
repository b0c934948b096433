"""One read for all who want to know the same thing at the same time.

Thousands of resources look at a few lists (the deployments of a model, the names of all models). Whoever asks while a
read runs shares it, and its result serves those who ask within a second.

A caller that has written something may not be shown what was read before: `not_before` rules out every read that
started up to that time. Then a new one is started, but only once the running one has ended, so that however many
callers verify their writes there is at most one read running and one to follow. Urgent callers share among themselves,
because an ordinary read may wait long at the limiter.

Failures go to those who wait for the read that failed and are not kept. All times are those of the running loop.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

LIFETIME = 1.0
"""Seconds a result serves further callers."""


class SharedReads:
    """Runs reads once for all concurrent callers of the same key, and keeps results for a second."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._flights: dict[_Lane, list[_Flight]] = {}
        self._results: dict[Hashable, _Result] = {}

    async def get(
        self,
        key: Hashable,
        fetch: Callable[[], Awaitable[T]],
        *,
        not_before: float | None = None,
        urgent: bool = False,
    ) -> T:
        """Return what `fetch` returns, now or for another caller of the same key.

        `not_before` is a time of the loop: a read that started at that time or earlier is not used. Raises whatever the
        fetch raises. A caller that is cancelled leaves the read to the others; without others it is cancelled too.
        """
        earliest = -math.inf if not_before is None else not_before
        result = self._results.get(key)
        if result is not None and result.started > earliest:
            value: T = result.value
            return value
        lane = _Lane(key, urgent)
        flights = self._flights.setdefault(lane, [])
        flight = next((flight for flight in flights if flight.serves(earliest)), None)
        if flight is None:
            flight = _Flight(fetch, after=flights[-1] if flights else None)
            flights.append(flight)
            flight.task.add_done_callback(partial(self._landed, lane, flight))
        flight.waiters += 1
        try:
            value = await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._leave(lane, flight)
                flight.task.cancel()
                await asyncio.wait({flight.task})
        return value

    def _landed(self, lane: "_Lane", flight: "_Flight", task: "asyncio.Task[Any]") -> None:
        self._leave(lane, flight)
        if task.cancelled() or task.exception() is not None or flight.started is None:
            return
        kept = self._results.get(lane.key)
        if kept is None or kept.started < flight.started:
            result = _Result(flight.started, task.result())
            self._results[lane.key] = result
            asyncio.get_running_loop().call_later(self._lifetime, self._expire, lane.key, result)

    def _leave(self, lane: "_Lane", flight: "_Flight") -> None:
        flights = self._flights.get(lane, [])
        if flight in flights:
            flights.remove(flight)
            if not flights:
                del self._flights[lane]

    def _expire(self, key: Hashable, result: "_Result") -> None:
        if self._results.get(key) is result:
            del self._results[key]


class _Lane(NamedTuple):
    key: Hashable
    urgent: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    started: float
    value: Any


class _Flight:
    """One read and how many wait for it; `started` is None until the fetch is called."""

    def __init__(self, fetch: Callable[[], Awaitable[Any]], after: "_Flight | None") -> None:
        self.started: float | None = None
        self.waiters = 0
        self.task: asyncio.Task[Any] = asyncio.create_task(self._run(fetch, after))

    async def _run(self, fetch: Callable[[], Awaitable[Any]], after: "_Flight | None") -> Any:
        if after is not None and not after.task.done():
            await asyncio.wait({after.task})
        self.started = asyncio.get_running_loop().time()
        return await fetch()

    def serves(self, not_before: float) -> bool:
        return self.started is None or self.started > not_before
