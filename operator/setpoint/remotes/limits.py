"""How fast a remote API may be called.

Baseten counts requests for each key and endpoint (method and path template), so there is one lane for each of them,
shared by every client that has the same key for the same URL. Entering a lane takes four steps:

1. A place in the lane's line. Urgent callers (somebody changed a spec and waits) go ahead of ordinary ones (a sweep);
   among equals the first one goes first. Only the one in front takes the next steps, so nothing below queues again.
2. The end of the lane's pause. A 429 tells how long to wait; everybody in the lane waits, not only the caller it hit,
   and then they leave at the lane's pace rather than all at once. A pause that would keep callers longer than
   `LONGEST_WAIT` is told to them instead (`LanePaused`), so that they can do something for somebody else meanwhile.
3. A connection of the client. It is taken before the token, because a request that has its token has to leave at once:
   tokens spent while waiting for a connection would leave as a burst.
4. A token of aiolimiter's bucket. No second may hold more than the rate, wherever it begins: it can hold a full bucket
   and what drips in meanwhile, so the drip is slower than the rate by the size of the bucket. (`AsyncLimiter(rate, 1)`
   lets nearly twice the rate into its first second; measured: 199 requests at rate 100.) A bucket of one token spaces
   requests evenly, but never makes up for a timer that was late (measured: 88 a second at rate 100); a bucket of
   `BURST` does, which is why it is used where the rate is large enough to spare it.

All times are those of the running loop.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiolimiter import AsyncLimiter

BURST = 2
"""Tokens of the bucket where the rate is at least `BURST_FROM` a second; below that a single one."""
BURST_FROM = 30

HEADROOM = 1.06
"""The drip is this much slower than it might be, so that a request may be 60 ms late and still fit its second.

Measured on two busy cores: with 20 ms, 101 requests arrived within one second at rate 100.
"""

LONGEST_WAIT = 5.0
"""Seconds of a pause that callers sit out."""

SPARE_ACCOUNTS = 64
"""Accounts kept after their last client has left, so that one that comes back finds its pauses; the oldest go first."""


class LanePaused(Exception):
    """The endpoint is not to be called for `seconds` more."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"paused for {seconds:.0f} s more")
        self.seconds = seconds


class Limits:
    """All lanes of the process; one instance is handed to every client."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()

    def join(self, url: str, fingerprint: str, requests_per_second: int) -> "Allowance":
        """Return one client's share in the lanes of a URL and a key.

        `fingerprint` is any text that stands for the key. Of clients that differ in their rate the slowest one counts.
        """
        key = (url, fingerprint)
        if key not in self._accounts:
            self._accounts[key] = _Account(requests_per_second)
        account = self._accounts[key]
        account.join(requests_per_second)
        self._accounts.move_to_end(key)
        unused = [other for other, lanes in self._accounts.items() if not lanes.in_use]
        for other in unused[: max(len(unused) - SPARE_ACCOUNTS, 0)]:
            del self._accounts[other]
        return Allowance(account, requests_per_second)


class Allowance:
    """One client's share in the lanes of its key."""

    def __init__(self, account: "_Account", requests_per_second: int) -> None:
        self._account = account
        self._rate = requests_per_second
        self._left = False

    @asynccontextmanager
    async def turn(self, endpoint: str, connections: asyncio.Semaphore, *, urgent: bool) -> AsyncIterator[None]:
        """Wait until a request to the endpoint may leave; hold one of the client's connections meanwhile.

        Raises:
            LanePaused: it may not leave for longer than anybody should wait here.
        """
        await self._account.lane(endpoint).enter(connections, urgent=urgent)
        try:
            yield
        finally:
            connections.release()

    def pause(self, endpoint: str, seconds: float) -> None:
        """Keep everybody from calling the endpoint for that long; a longer pause stays."""
        self._account.lane(endpoint).pause(seconds)

    def leave(self) -> None:
        """Give the share back; the client's rate does not count any more."""
        if not self._left:
            self._left = True
            self._account.leave(self._rate)


class _Account:
    """The lanes of one key at one URL. Endpoints are templates in the code, so they are few."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        """The slowest rate of the clients, or of those that were here last."""
        self._rates: list[int] = []
        self._lanes: dict[str, _Lane] = {}

    @property
    def in_use(self) -> bool:
        return bool(self._rates)

    def join(self, rate: int) -> None:
        self._rates.append(rate)
        self.rate = min(self._rates)

    def leave(self, rate: int) -> None:
        self._rates.remove(rate)
        self.rate = min(self._rates, default=self.rate)

    def lane(self, endpoint: str) -> "_Lane":
        if endpoint not in self._lanes:
            self._lanes[endpoint] = _Lane(self)
        return self._lanes[endpoint]


class _Lane:
    """The line, the pause and the bucket of one endpoint."""

    def __init__(self, account: _Account) -> None:
        self._account = account
        self._urgent: dict[asyncio.Future[None], None] = {}
        self._ordinary: dict[asyncio.Future[None], None] = {}
        self._front_taken = False
        self._resume_at = -math.inf
        self._rate = account.rate
        self._bucket = _bucket(account.rate)

    def pause(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + seconds)

    async def enter(self, connections: asyncio.Semaphore, *, urgent: bool) -> None:
        await self._reach_front(self._urgent if urgent else self._ordinary)
        try:
            while True:
                await self._unpaused()
                await connections.acquire()
                free = False
                try:
                    await self._token()
                    free = self._rest() <= 0
                finally:
                    if not free:
                        connections.release()
                if free:
                    return
        finally:
            self._call_next()

    async def _reach_front(self, line: dict[asyncio.Future[None], None]) -> None:
        if not self._front_taken:
            self._front_taken = True
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line[place] = None
        try:
            await place
        except asyncio.CancelledError:
            if place in line:
                del line[place]
            else:
                # Called to the front and cancelled at the same moment: the next one must not wait for ever.
                self._call_next()
            raise

    def _call_next(self) -> None:
        for line in (self._urgent, self._ordinary):
            place = next((place for place in line if not place.done()), None)
            if place is not None:
                del line[place]
                place.set_result(None)
                return
        self._front_taken = False

    def _rest(self) -> float:
        return self._resume_at - asyncio.get_running_loop().time()

    async def _unpaused(self) -> None:
        rest = self._rest()
        if rest > LONGEST_WAIT:
            raise LanePaused(rest)
        if rest > 0:
            await asyncio.sleep(rest)

    async def _token(self) -> None:
        if self._rate != self._account.rate:
            self._rate = self._account.rate
            self._bucket = _bucket(self._rate)
            # The tokens of the new bucket stand for the last ones of the old: no burst on top of a burst.
            await self._bucket.acquire(self._bucket.max_rate)
        await self._bucket.acquire()


def _bucket(rate: int) -> AsyncLimiter:
    if rate < BURST_FROM:
        return AsyncLimiter(1, HEADROOM / rate)
    drip = (rate - BURST) / HEADROOM
    return AsyncLimiter(BURST, BURST / drip)
