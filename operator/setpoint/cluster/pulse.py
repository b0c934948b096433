"""Notices when the event loop was held up: everything in the process, probes and lease included, waits then.

A task wakes up ever so often and looks how late it is. So a block is noticed but for the part of it that falls into the task's
own sleep, `BEAT` at most.
"""

import asyncio
from collections import deque

from setpoint.reconcile.ports import Clock

BEAT = 0.05
"""Seconds between two looks."""

WINDOW = 300.0
"""Seconds for which a block is told: longer than any usual interval of scrapes."""


class Pulse:
    """Keeps the longest block of the running loop in the last five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._blocks: deque[tuple[float, float]] = deque()
        """When a block was noticed, and its seconds; each is longer than those after it, so the first is the longest."""

    @property
    def longest_block(self) -> float:
        """Seconds for which nothing else in the process could be done, at most, in the last five minutes."""
        self._forget()
        return self._blocks[0][1] if self._blocks else 0.0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            before = self._clock.monotonic()
            await asyncio.sleep(BEAT)
            self.noticed(self._clock.monotonic() - before - BEAT)

    def noticed(self, seconds: float) -> None:
        """Note that the loop was late by so many seconds."""
        while self._blocks and self._blocks[-1][1] <= seconds:
            self._blocks.pop()
        self._blocks.append((self._clock.monotonic(), max(seconds, 0.0)))
        self._forget()

    def _forget(self) -> None:
        while self._blocks and self._clock.monotonic() - self._blocks[0][0] > WINDOW:
            self._blocks.popleft()
