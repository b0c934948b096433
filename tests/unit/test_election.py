"""Several candidates for one lease under virtual time: whatever happens to them, at most one acts, and in the end one does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal

import pytest

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.cluster.leader import RENEW_DEADLINE, Elector, LeadershipLost
from setpoint.reconcile.ports import ClusterUnavailable, LoopClock, ResourceGone
from tests.virtual_time import moment, now, run

CANDIDATES = 3
HOUR = 3600.0
LONGEST_GAP = 20.0
TROUBLES = ("refuse", "hang", "lose answers", "suspend", "step", "kill", "stop")

Way = Literal["", "refuse", "hang", "lose answers"]


@dataclass
class Lease:
    """The one object of an API server, with versions."""

    body: dict[str, Any] | None = None
    version: int = 0

    def put(self, body: dict[str, Any]) -> dict[str, Any]:
        """Store it."""
        self.version += 1
        self.body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.body


@dataclass
class Candidate(LoopClock, KubeApi):
    """A process: its clocks, its way to the API server, and its elector."""

    lease: Lease
    random: Random
    name: str
    way: Way = ""
    day_is_off: timedelta = timedelta()
    asleep: float = 0.0
    """Seconds that its monotonic clock does not know of."""
    frozen_at: float | None = None
    elector: Elector = field(init=False)
    tasks: "list[asyncio.Task[Any]]" = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.awake = asyncio.Event()
        self.awake.set()
        self.elector = Elector(self, self, self.random, namespace="ns", identity=self.name)

    # its clocks

    def now(self) -> datetime:
        """Return the time of day, which somebody may set."""
        return moment() + self.day_is_off

    def monotonic(self) -> float:
        """Return a time that stands still while the machine sleeps."""
        return (now() if self.frozen_at is None else self.frozen_at) - self.asleep

    def acts(self) -> bool:
        """Tell whether it would write now; one that sleeps does nothing."""
        return self.frozen_at is None and self.elector.held()

    # its way to the API server

    async def get(self, path: str) -> dict[str, Any]:
        """Return the lease."""
        await self._there()
        if self.lease.body is None:
            raise ResourceGone("no lease")
        body = self.lease.body
        await self._back()
        return body

    async def create(self, path: str, body: Any) -> dict[str, Any]:
        """Create the lease."""
        await self._there()
        if self.lease.body is not None:
            raise RequestRefused(409, "there is one")
        made = self.lease.put(dict(body))
        await self._back()
        return made

    async def replace(self, path: str, body: Any) -> dict[str, Any]:
        """Replace the lease, if it is the version that is known."""
        await self._there()
        known = self.lease.body
        if known is None or known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise RequestRefused(409, "another version")
        made = self.lease.put(dict(body))
        await self._back()
        return made

    async def _there(self) -> None:
        await asyncio.sleep(self.random.uniform(0.001, 0.3))
        await self.awake.wait()
        if self.way == "hang":
            await asyncio.sleep(HOUR)
        if self.way == "refuse":
            raise ClusterUnavailable("connection refused")

    async def _back(self) -> None:
        await asyncio.sleep(self.random.uniform(0.001, 0.3))
        await self.awake.wait()
        if self.way == "lose answers":
            raise ClusterUnavailable("the answer was lost")

    # its life

    async def live(self) -> None:
        """Stand by, lead, and begin again like a container that is restarted."""
        while True:
            self.stopping = asyncio.Event()
            if await self.elector.acquire(self.stopping):
                with contextlib.suppress(LeadershipLost):
                    await self.elector.hold(lost=lambda: None)
            self.elector = Elector(self, self, self.random, namespace="ns", identity=f"{self.name}-{now():.0f}")

    def start(self) -> None:
        """Begin to live."""
        self.tasks = [asyncio.create_task(self.live())]

    async def kill(self) -> None:
        """End at once, and begin again some time later."""
        await self._end()
        await asyncio.sleep(self.random.uniform(0, 30))
        self._anew()

    async def stop(self) -> None:
        """End cleanly, and begin again."""
        elector = self.elector
        await self._end()
        await elector.release()
        self._anew()

    async def _end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _anew(self) -> None:
        self.elector = Elector(self, self, self.random, namespace="ns", identity=f"{self.name}-{now():.0f}")
        self.start()

    async def suspend(self, seconds: float) -> None:
        """Sleep with the whole machine."""
        began = now()
        self.frozen_at = began
        self.awake.clear()
        await asyncio.sleep(seconds)
        self.asleep += now() - began
        self.frozen_at = None
        self.awake.set()


async def trouble(candidates: list[Candidate], random: Random) -> None:
    """Let one thing after the other happen to anybody."""
    while True:
        await asyncio.sleep(random.uniform(0, 40))
        one, what = random.choice(candidates), random.choice(TROUBLES)
        match what:
            case "refuse" | "hang" | "lose answers":
                one.way = what
                await asyncio.sleep(random.uniform(0, 40))
                one.way = ""
            case "suspend":
                await one.suspend(random.uniform(1, 90))
            case "step":
                one.day_is_off += timedelta(seconds=random.choice([-HOUR, -3, 3, HOUR]))
            case "kill":
                await one.kill()
            case _:
                await one.stop()


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Candidate, Candidate]]:
    """Let one lead and then another stand by; end both."""
    random, lease = Random(1), Lease()
    leader, other = (Candidate(lease, random, name) for name in ("leader", "other"))
    leader.start()
    await asyncio.sleep(5)
    other.start()
    yield leader, other
    for one in (leader, other):
        await one._end()


@pytest.mark.parametrize("seed", range(12))
def test_at_most_one_acts_for_an_hour_of_trouble_and_one_does_in_the_calm_after_it(seed: int) -> None:
    async def scene() -> None:
        random, lease = Random(seed), Lease()
        candidates = [Candidate(lease, random, f"c{number}") for number in range(CANDIDATES)]
        for one in candidates:
            one.start()
        troubles = asyncio.create_task(trouble(candidates, random))
        led = set()
        while now() < HOUR:
            await asyncio.sleep(random.uniform(0.01, 0.5))
            acting = [one.name for one in candidates if one.acts()]
            assert len(acting) <= 1, f"at {now():.1f} s"
            led.update(acting)
        assert led == {one.name for one in candidates}
        troubles.cancel()
        await asyncio.gather(troubles, return_exceptions=True)
        for one in candidates:
            one.way, one.frozen_at = "", None
            one.awake.set()
        await asyncio.sleep(LONGEST_GAP)
        for _ in range(50):
            await asyncio.sleep(1)
            assert sum(one.acts() for one in candidates) == 1
        for one in candidates:
            await one._end()

    run(scene())


def test_a_machine_that_slept_does_not_act_before_it_has_renewed() -> None:
    async def scene() -> None:
        async with pair() as (sleeper, other):
            assert sleeper.acts()
            await sleeper.suspend(60)
            assert sleeper.monotonic() < RENEW_DEADLINE, "its own clock knows of nothing"
            assert other.acts()
            assert not sleeper.acts()

    run(scene())


def test_a_lease_that_somebody_deletes_is_its_holders_again() -> None:
    async def scene() -> None:
        async with pair() as (leader, other):
            await asyncio.sleep(5)
            leader.lease.body = None
            for _ in range(60):
                await asyncio.sleep(0.5)
                assert not other.acts()
            assert leader.acts()

    run(scene())


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_time_of_day_that_is_set_costs_the_leader_two_seconds_and_not_the_lease(step: timedelta) -> None:
    async def scene() -> None:
        async with pair() as (leader, other):
            leader.day_is_off += step
            other.day_is_off -= step
            await asyncio.sleep(3)
            assert leader.acts()
            await asyncio.sleep(60)
            assert leader.acts()
            assert not other.acts()

    run(scene())
