"""How fast a remote API may be called.

Baseten counts requests for each key and endpoint (method and path template), so there is one lane for each of them,
shared by every client that has the same key for the same URL. Where no key is asked for, everybody who reaches the URL would
be one caller, and the slowest rate that anybody declares would be everyone's; so there each group (a namespace's connections,
or one of the whole cluster) is a caller of its own. Entering a lane takes four steps:

1. A place in the lane's line. Urgent callers (somebody changed a spec and waits) go ahead of ordinary ones (a sweep), but
   of every eight one is ordinary where some wait; among equals groups take turns, and of a group the first one goes first.
   Only the one in front takes the next steps, so nothing below queues again.
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

from setpoint.remotes.credential import Credential

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
"""Accounts of one group kept after their last client has left, so that one that comes back finds its pauses; the oldest go
first."""

FORGOTTEN = 2.0
"""Seconds after which an account without clients and pauses is as good as a new one: no second holds its last request."""

URGENT_IN_A_ROW = 7
"""Urgent callers that go ahead of an ordinary one that waits."""


class LanePaused(Exception):
    """The endpoint is not to be called for `seconds` more."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"paused for {seconds:.0f} s more")
        self.seconds = seconds


class Limits:
    """All lanes of the process, as the clients of one group see them; `of` returns them for another group."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[tuple[str, str, str], _Account] = OrderedDict()
        self._group = ""

    def of(self, group: str) -> "Limits":
        """Return the same lanes for the clients of a group, which share where they have to and take turns there."""
        limits = Limits()
        limits._accounts = self._accounts
        limits._group = group
        return limits

    def join(self, url: str, fingerprint: str, requests_per_second: int) -> "Allowance":
        """Return one client's share in the lanes of a URL and a key.

        `fingerprint` is any text that stands for the key. Of clients that differ in their rate the slowest one counts.
        """
        is_open = fingerprint == Credential.none().fingerprint
        key = (url, fingerprint, self._group if is_open else "")
        if key not in self._accounts:
            self._accounts[key] = _Account(requests_per_second)
        account = self._accounts[key]
        account.join(requests_per_second, self._group)
        self._accounts.move_to_end(key)
        self._tidy()
        return Allowance(account, requests_per_second, self._group)

    def _tidy(self) -> None:
        """Drop accounts without clients: those that have nothing to remember, and the oldest where a group has many."""
        unused = [key for key, account in self._accounts.items() if not account.in_use]
        for key in unused:
            if self._accounts[key].is_forgotten:
                del self._accounts[key]
        ours = [key for key in unused if key in self._accounts and self._accounts[key].group == self._group]
        for key in ours[: max(len(ours) - SPARE_ACCOUNTS, 0)]:
            del self._accounts[key]


class Allowance:
    """One client's share in the lanes of its key."""

    def __init__(self, account: "_Account", requests_per_second: int, group: str) -> None:
        self._account = account
        self._rate = requests_per_second
        self._group = group
        self._inside = 0
        self._left = False

    @property
    def is_busy(self) -> bool:
        """Whether a request of this client waits for its turn, or has it."""
        return self._inside > 0

    @asynccontextmanager
    async def turn(self, endpoint: str, connections: asyncio.Semaphore, *, urgent: bool) -> AsyncIterator[None]:
        """Wait until a request to the endpoint may leave; hold one of the client's connections meanwhile.

        Raises:
            LanePaused: it may not leave for longer than anybody should wait here.
        """
        self._inside += 1
        try:
            await self._account.lane(endpoint).enter(connections, self._group, urgent=urgent)
            try:
                yield
            finally:
                connections.release()
        finally:
            self._inside -= 1

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
        self.group = ""
        """Whose client came last."""
        self._rates: list[int] = []
        self._lanes: dict[str, _Lane] = {}
        self._left_at = -math.inf

    @property
    def in_use(self) -> bool:
        return bool(self._rates)

    @property
    def is_forgotten(self) -> bool:
        """Whether a new account would be the same: nobody is here, and nothing that happened here counts any more."""
        since = max([self._left_at + FORGOTTEN, *(lane.resume_at for lane in self._lanes.values())])
        return not self.in_use and since < asyncio.get_running_loop().time()

    def join(self, rate: int, group: str) -> None:
        self.group = group
        self._rates.append(rate)
        self.rate = min(self._rates)

    def leave(self, rate: int) -> None:
        self._rates.remove(rate)
        self.rate = min(self._rates, default=self.rate)
        self._left_at = asyncio.get_running_loop().time()

    def lane(self, endpoint: str) -> "_Lane":
        if endpoint not in self._lanes:
            self._lanes[endpoint] = _Lane(self)
        return self._lanes[endpoint]


class _Line:
    """Those who wait at an endpoint, by group: groups take turns, and of a group the first one goes first."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, OrderedDict[asyncio.Future[None], None]] = OrderedDict()

    def add(self, place: asyncio.Future[None], group: str) -> None:
        self._groups.setdefault(group, OrderedDict())[place] = None

    def discard(self, place: asyncio.Future[None], group: str) -> None:
        places = self._groups.get(group, OrderedDict())
        places.pop(place, None)
        if not places:
            self._groups.pop(group, None)

    def next(self) -> asyncio.Future[None] | None:
        """Return who goes next, who waits no longer; None where nobody waits."""
        while self._groups:
            group, places = next(iter(self._groups.items()))
            place, _ = places.popitem(last=False)
            if places:
                self._groups.move_to_end(group)
            else:
                del self._groups[group]
            if not place.done():
                return place
        return None


class _Lane:
    """The line, the pause and the bucket of one endpoint."""

    def __init__(self, account: _Account) -> None:
        self._account = account
        self._urgent = _Line()
        self._ordinary = _Line()
        self._urgent_in_a_row = 0
        self._front_taken = False
        self.resume_at = -math.inf
        self._rate = account.rate
        self._bucket = _bucket(account.rate)

    def pause(self, seconds: float) -> None:
        self.resume_at = max(self.resume_at, asyncio.get_running_loop().time() + seconds)

    async def enter(self, connections: asyncio.Semaphore, group: str, *, urgent: bool) -> None:
        await self._reach_front(self._urgent if urgent else self._ordinary, group)
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

    async def _reach_front(self, line: _Line, group: str) -> None:
        if not self._front_taken:
            self._front_taken = True
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.add(place, group)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                line.discard(place, group)
            else:
                # Called to the front and cancelled at the same moment: the next one must not wait for ever.
                self._call_next()
            raise

    def _call_next(self) -> None:
        lines = [self._urgent, self._ordinary]
        if self._urgent_in_a_row >= URGENT_IN_A_ROW:
            lines.reverse()
        for line in lines:
            place = line.next()
            if place is not None:
                self._urgent_in_a_row = self._urgent_in_a_row + 1 if line is self._urgent else 0
                place.set_result(None)
                return
        self._front_taken = False

    def _rest(self) -> float:
        return self.resume_at - asyncio.get_running_loop().time()

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
