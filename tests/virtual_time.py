"""An asyncio loop whose clock jumps to the next thing that is due, so that an hour passes at once.

Only what waits on the loop's own timers takes virtual time; sockets do not work with it.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from setpoint.reconcile.ports import LoopClock

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)
"""What calendars show when a virtual clock starts."""

RESOLUTION = 1e-9
"""Seconds that every turn of the loop takes.

As with real clocks no two turns happen at the same time. aiolimiter depends on it: it waits again and again for a rest
too small to move the clock otherwise.
"""


class _Selector(selectors.SelectSelector):
    """Lets time pass instead of waiting."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("everything waits and nothing is due: this would hang for ever")
        self.passed += max(timeout, RESOLUTION)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that starts at 0 and never waits."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._clock.passed


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()


def moment() -> datetime:
    """Return the date of the running loop."""
    return START + timedelta(seconds=now())


class Clock(LoopClock):
    """Virtual time, with a date."""

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return moment()
