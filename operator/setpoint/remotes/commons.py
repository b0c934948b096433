"""What all clients of a process have in common, so that none takes it from the others: memory for answers, time to read them.

Each answer may grow a little without asking. One that grows further, or whose owner has many under way, needs a permit,
and there are few: one for each owner, so that nobody can take them all, and `LARGE_AT_ONCE` in the process. While an answer
waits for its permit nothing more of it is taken in, and its request's deadline goes on. Who has a permit has to be quick, since
others may wait. What is made of an answer takes many times its memory, so where its JSON is not read in one go it is read and
understood one answer after the other.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from setpoint.remotes.decoding import IN_ONE_GO
from setpoint.remotes.trust import Trusts

MIB = 1024 * 1024

LARGEST_ANSWER = 16
"""MiB of a list that are read, unless somebody says otherwise; ten thousand deployments are about half of it."""

SMALL = 256 * 1024
"""Bytes up to which an answer needs no permit: about three hundred deployments."""

SMALL_OF_ONE = 4 * MIB
SMALL_OF_ALL = 64 * MIB
"""Bytes of answers under way, of one owner and of all, from which on each one that still grows needs a permit."""

LARGE_AT_ONCE = 4

GRACE = 3.0
SLOWEST = 128 * 1024
"""Bytes a second at which an answer with a permit has to arrive; it may be so many seconds late."""


class Commons:
    """One instance is handed to every client; `largest_answer` is the MiB of a list that are read."""

    def __init__(self, largest_answer: int = LARGEST_ANSWER) -> None:
        self.largest = largest_answer * MIB
        """Bytes of a list that are read."""
        self.trusts = Trusts()
        self._reading = asyncio.Lock()
        self._permits = asyncio.Semaphore(LARGE_AT_ONCE)
        self._owners: dict[str, _Owner] = {}
        self._size = 0

    @property
    def in_flight(self) -> int:
        """Bytes of all answers under way."""
        return self._size

    @asynccontextmanager
    async def flight(self, owner: str) -> AsyncIterator["Flight"]:
        """Account for one answer of an owner, from its request until it was understood."""
        account = self._owners.setdefault(owner, _Owner())
        account.flights += 1
        async with AsyncExitStack() as held:
            flight = Flight(self, account, held)
            held.callback(self._land, owner, flight)
            yield flight

    def _land(self, owner: str, flight: "Flight") -> None:
        account = self._owners[owner]
        self.add(account, -flight.size)
        account.flights -= 1
        if not account.flights:
            del self._owners[owner]

    @asynccontextmanager
    async def reading(self, owner: "_Owner") -> AsyncIterator[None]:
        """Wait until an answer of more than a slice or two may be read: one in the process, and the owners take turns."""
        async with owner.reading, self._reading:
            yield

    def add(self, owner: "_Owner", size: int) -> None:
        """Count bytes that an answer has grown by."""
        owner.size += size
        self._size += size

    def needs_permit(self, owner: "_Owner", size: int) -> bool:
        """Tell whether an answer of that size may grow on with a permit only."""
        return size > SMALL or owner.size > SMALL_OF_ONE or self._size > SMALL_OF_ALL

    async def permit(self, owner: "_Owner", held: AsyncExitStack) -> None:
        """Wait for a permit, which is held as long as what it is put on."""
        await held.enter_async_context(owner.permit)
        await held.enter_async_context(self._permits)


class Flight:
    """One answer on its way."""

    def __init__(self, commons: Commons, owner: "_Owner", held: AsyncExitStack) -> None:
        self._commons = commons
        self._owner = owner
        self._held = held
        self._due: float | None = None
        self.size = 0
        """Bytes that are held of it."""
        self.waits = False
        """Whether it waits for its permit."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Wait until it may be read; hold that meanwhile."""
        async with AsyncExitStack() as turn:
            if self.size > IN_ONE_GO:
                await turn.enter_async_context(self._commons.reading(self._owner))
            yield

    async def grow(self, size: int) -> float | None:
        """Account for so many bytes in all, and wait until it may grow on.

        Returns the loop's time by which more has to come; None means that it is small, and has all the time of its request.
        """
        grown, self.size = size - self.size, size
        self._commons.add(self._owner, grown)
        loop = asyncio.get_running_loop()
        if self._due is None:
            if not self._commons.needs_permit(self._owner, size):
                return None
            self.waits = True
            await self._commons.permit(self._owner, self._held)
            self.waits = False
            self._due = loop.time() + GRACE
        else:
            # What came fast does not buy more time than the grace.
            self._due = min(self._due + max(grown, 0) / SLOWEST, loop.time() + GRACE)
        return self._due


@dataclass(slots=True)
class _Owner:
    """Whose answers are accounted for together."""

    permit: asyncio.Lock = field(default_factory=asyncio.Lock)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    flights: int = 0
    size: int = 0
