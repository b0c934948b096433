"""Measures how long the event loop works without a turn for others."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class LoopTime:
    """What was measured, in seconds of the loop's own processor time: what other processes take does not count."""

    longest: float = 0.0
    """The longest turn of the loop."""


@asynccontextmanager
async def loop_time() -> AsyncIterator[LoopTime]:
    """Measure for the length of the block, by taking part in every turn of the loop."""
    measured = LoopTime()

    async def beat() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            measured.longest = max(measured.longest, now - last)
            last = now

    beating = asyncio.create_task(beat())
    try:
        yield measured
        # The turn in which the block has ended counts, too.
        await asyncio.sleep(0)
    finally:
        beating.cancel()
