"""The pace of requests: windows, pauses, urgency, cancellation, all in virtual time."""

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import BURST, HEADROOM, SPARE_ACCOUNTS, URGENT_IN_A_ROW, Allowance, LanePaused, Limits
from tests.virtual_time import now, run

READ = "GET /v1/models/{model_id}/deployments"
WRITE = "PATCH /v1/models/{model_id}/deployments/{deployment_id}/autoscaling_settings"
URL = "https://api.baseten.co"
OPEN = Credential.none().fingerprint
"""Stands for no key, where a gateway asks for none."""


def most_in_a_second(times: Iterable[float]) -> int:
    """Return the most events that any window of one second holds; only windows that begin at an event matter."""
    events = sorted(times)
    return max((sum(start <= time <= start + 1 for time in events) for start in events), default=0)


class Caller:
    """Sends requests that take no time, and notes when each left and for whom."""

    def __init__(self, allowance: Allowance, connections: int = 32) -> None:
        self.allowance = allowance
        self.connections = asyncio.Semaphore(connections)
        self.left: list[float] = []
        self.names: list[str] = []

    async def send(self, endpoint: str = READ, *, urgent: bool = False, name: str = "", takes: float = 0) -> None:
        async with self.allowance.turn(endpoint, self.connections, urgent=urgent):
            self.left.append(now())
            self.names.append(name)
            await asyncio.sleep(takes)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.integers(1, 30),
    arrivals=st.lists(st.floats(0, 3), min_size=40, max_size=80),
    takes=st.floats(0, 0.5),
    connections=st.integers(1, 32),
)
def test_no_window_of_a_second_sees_more_than_the_rate(
    rate: int, arrivals: list[float], takes: float, connections: int
) -> None:
    async def main() -> list[float]:
        caller = Caller(Limits().join(URL, "key", rate), connections)

        async def arrive(at: float) -> None:
            await asyncio.sleep(at)
            await caller.send(takes=takes)

        await asyncio.gather(*map(arrive, arrivals))
        return caller.left

    left = run(main())

    assert len(left) == len(arrivals)
    assert most_in_a_second(left) <= rate


def test_the_rate_is_used_up_to_the_headroom() -> None:
    async def main() -> float:
        caller = Caller(Limits().join(URL, "key", 80))
        await asyncio.gather(*(caller.send() for _ in range(801)))
        return now()

    assert run(main()) == pytest.approx((801 - BURST) / (80 - BURST) * HEADROOM, rel=0.01)


def test_clients_of_the_same_key_share_a_rate_and_the_slowest_counts() -> None:
    async def main() -> list[float]:
        limits = Limits()
        fast, slow = Caller(limits.join(URL, "key", 100)), Caller(limits.join(URL, "key", 10))
        await asyncio.gather(*(caller.send() for caller in (fast, slow) for _ in range(20)))
        return fast.left + slow.left

    assert most_in_a_second(run(main())) <= 10


def test_other_keys_urls_and_endpoints_have_lanes_of_their_own() -> None:
    async def main() -> float:
        limits = Limits()
        callers = [Caller(limits.join(*account, 1)) for account in ((URL, "a"), (URL, "b"), ("https://other", "a"))]
        await asyncio.gather(*(caller.send(endpoint) for caller in callers for endpoint in (READ, WRITE)))
        return now()

    assert run(main()) == pytest.approx(0, abs=0.001)


def test_where_no_key_is_asked_for_the_slowest_rate_of_one_group_is_not_that_of_another() -> None:
    async def main() -> tuple[float, float]:
        limits = Limits()
        slow = Caller(limits.of("slow").join(URL, OPEN, 1))
        same = Caller(limits.of("slow").join(URL, OPEN, 100))
        fast = Caller(limits.of("fast").join(URL, OPEN, 100))
        slow.allowance.pause(READ, 3)
        await asyncio.gather(*(fast.send() for _ in range(101)))
        fast_done = now()
        await asyncio.gather(*(caller.send() for caller in (slow, same) for _ in range(5)))
        return fast_done, now()

    fast_done, slow_done = run(main())

    assert fast_done < 1.2
    assert slow_done > 10, "within the group the slowest counts, as ever"


def test_groups_that_have_the_same_key_are_one_caller_and_take_turns() -> None:
    async def main() -> tuple[list[float], list[str]]:
        limits = Limits()
        crowd = Caller(limits.of("crowd").join(URL, "key", 10))
        neighbour = Caller(limits.of("neighbour").join(URL, "key", 10))
        neighbour.left, neighbour.names = crowd.left, crowd.names
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(crowd.send(name=f"crowd {number}"))
            await asyncio.sleep(0.95)
            for number in range(5):
                tasks.create_task(neighbour.send(name=f"neighbour {number}"))
        return crowd.left, crowd.names

    left, names = run(main())

    assert most_in_a_second(left) <= 10
    waited = [names.index(f"neighbour {number}") for number in range(5)]
    assert waited == list(range(waited[0], waited[0] + 10, 2)), "every other turn is theirs"
    assert waited[0] <= 12
    assert [name for name in names if name.startswith("crowd")] == [f"crowd {number}" for number in range(100)]


def test_urgent_callers_without_end_do_not_starve_an_ordinary_one() -> None:
    async def main() -> list[str]:
        caller = Caller(Limits().join(URL, "key", 10))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(caller.send(urgent=True, name="urgent"))
            tasks.create_task(caller.send(name="sweep"))
        return caller.names

    assert run(main()).index("sweep") <= URGENT_IN_A_ROW + 2


def test_a_client_tells_whether_it_has_something_under_way() -> None:
    async def main() -> list[bool]:
        limits = Limits()
        caller, idle = Caller(limits.join(URL, "key", 1)), Caller(limits.join(URL, "key", 1))
        tasks = [asyncio.create_task(caller.send(takes=3)) for _ in range(2)]
        told = [caller.allowance.is_busy]
        await asyncio.sleep(0.5)
        told += [caller.allowance.is_busy, idle.allowance.is_busy]
        tasks[1].cancel()
        await asyncio.sleep(0.5)
        told.append(caller.allowance.is_busy)
        await tasks[0]
        told.append(caller.allowance.is_busy)
        return told

    assert run(main()) == [False, True, False, True, False]


def test_accounts_of_one_group_push_out_no_pause_of_another() -> None:
    async def main() -> tuple[float, int]:
        limits = Limits()
        ours = limits.of("ours").join(URL, "key", 10)
        ours.pause(READ, 4)
        ours.leave()
        for number in range(10 * SPARE_ACCOUNTS):
            theirs = limits.of("theirs").join(URL, str(number), 10)
            theirs.pause(READ, 3600)
            theirs.leave()
        kept = len(limits._accounts)
        await Caller(limits.of("ours").join(URL, "key", 10)).send()
        return now(), kept

    done, kept = run(main())
    assert done >= 4
    assert kept <= SPARE_ACCOUNTS + 3


def test_an_account_without_clients_and_pauses_is_forgotten() -> None:
    async def main() -> int:
        limits = Limits()
        for number in range(SPARE_ACCOUNTS):
            limits.join(URL, str(number), 10).leave()
        await asyncio.sleep(10)
        limits.join(URL, "another", 10)
        return len(limits._accounts)

    assert run(main()) == 1


def test_a_client_that_leaves_frees_the_others_from_its_rate_without_a_burst() -> None:
    async def main() -> list[float]:
        limits = Limits()
        slow, fast = Caller(limits.join(URL, "key", 2)), Caller(limits.join(URL, "key", 20))
        await fast.send()
        await fast.send()
        slow.allowance.leave()
        slow.allowance.leave()
        await asyncio.gather(*(fast.send() for _ in range(40)))
        return fast.left

    left = run(main())

    assert most_in_a_second(left) <= 20
    assert left[-1] < 5


def test_a_client_that_comes_back_finds_the_pause() -> None:
    async def main() -> float:
        limits = Limits()
        first = limits.join(URL, "key", 10)
        first.pause(READ, 4)
        first.leave()
        await Caller(limits.join(URL, "key", 10)).send()
        return now()

    assert run(main()) >= 4


def test_accounts_without_clients_are_bounded() -> None:
    async def main() -> int:
        limits = Limits()
        kept = limits.join(URL, "kept", 10)
        for number in range(10 * SPARE_ACCOUNTS):
            limits.join(URL, str(number), 10).leave()
        kept.leave()
        return len(limits._accounts)

    assert run(main()) <= SPARE_ACCOUNTS + 2


def test_a_pause_holds_everybody_and_then_they_leave_at_the_pace() -> None:
    async def main() -> list[float]:
        limits = Limits()
        callers = [Caller(limits.join(URL, "key", 10)) for _ in range(2)]
        await callers[0].send()
        callers[0].allowance.pause(READ, 5)
        await asyncio.gather(*(caller.send() for caller in callers for _ in range(20)))
        return sorted(callers[0].left + callers[1].left)[1:]

    left = run(main())

    assert min(left) >= 5
    assert most_in_a_second(left) <= 10


def test_a_pause_that_begins_while_callers_wait_for_a_connection_holds_them() -> None:
    async def main() -> list[float]:
        caller = Caller(Limits().join(URL, "key", 10), connections=1)
        busy = asyncio.create_task(caller.send(takes=3))
        waiting = asyncio.create_task(caller.send())
        await asyncio.sleep(1)
        caller.allowance.pause(READ, 4)
        await asyncio.gather(busy, waiting)
        return caller.left

    assert run(main())[1] >= 5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    async def main() -> float:
        caller = Caller(Limits().join(URL, "key", 10))
        caller.allowance.pause(READ, 4)
        caller.allowance.pause(READ, 1)
        await caller.send()
        return now()

    assert run(main()) >= 4


def test_urgent_callers_go_ahead_of_those_who_wait_longer() -> None:
    async def main() -> list[str]:
        caller = Caller(Limits().join(URL, "key", 10))
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(caller.send(name=f"sweep {number}"))
            await asyncio.sleep(1)
            tasks.create_task(caller.send(urgent=True, name="first"))
            tasks.create_task(caller.send(urgent=True, name="second"))
        return caller.names

    names = run(main())

    before = [f"sweep {number}" for number in range(names.index("first"))]
    assert names[: len(before)] == before
    assert len(before) <= 12
    assert names[len(before) : len(before) + 2] == ["first", "second"]
    assert names[len(before) + 2 :] == [f"sweep {number}" for number in range(len(before), 100)]


def test_connections_are_taken_only_by_those_whose_turn_is_near() -> None:
    async def main() -> float:
        caller = Caller(Limits().join(URL, "key", 10), connections=2)
        caller.allowance.pause(READ, 5)
        paused = [asyncio.create_task(caller.send(READ)) for _ in range(50)]
        await asyncio.sleep(1)
        await caller.send(WRITE)
        written = now()
        await asyncio.gather(*paused)
        return written

    assert run(main()) < 2


def test_a_long_pause_is_told_to_everybody_at_once() -> None:
    async def main() -> tuple[list[float], float, int]:
        caller = Caller(Limits().join(URL, "key", 10))
        waiting = [asyncio.create_task(caller.send()) for _ in range(20)]
        await asyncio.sleep(0.95)
        caller.allowance.pause(READ, 37)
        late = asyncio.create_task(caller.send(urgent=True))
        results = await asyncio.gather(*waiting, late, return_exceptions=True)
        told = [result.seconds for result in results if isinstance(result, LanePaused)]
        return told, now(), len(caller.left)

    told, done, left = run(main())

    assert len(told) + left == 21
    assert left <= 11
    assert all(seconds == pytest.approx(37, abs=0.2) for seconds in told)
    assert done < 1.2


def test_the_lane_opens_when_a_long_pause_is_over() -> None:
    async def main() -> float:
        caller = Caller(Limits().join(URL, "key", 10))
        caller.allowance.pause(READ, 37)
        with pytest.raises(LanePaused):
            await caller.send()
        await asyncio.sleep(33)
        await caller.send()
        return now()

    assert run(main()) >= 37


@settings(max_examples=60, deadline=None)
@given(cancelled=st.lists(st.tuples(st.integers(0, 19), st.floats(0, 4)), max_size=30), pause=st.floats(0, 2))
def test_cancelled_callers_neither_block_nor_leak(cancelled: list[tuple[int, float]], pause: float) -> None:
    async def main() -> tuple[int, int]:
        caller = Caller(Limits().join(URL, "key", 10), connections=3)
        tasks = [asyncio.create_task(caller.send(urgent=number % 3 == 0, takes=0.5)) for number in range(20)]
        loop = asyncio.get_running_loop()
        for number, at in cancelled:
            loop.call_later(at, tasks[number].cancel)
        loop.call_later(1, caller.allowance.pause, READ, pause)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(caller.send() for _ in range(3)))
        gone = sum(isinstance(result, asyncio.CancelledError) for result in results)
        free = 0
        while not caller.connections.locked():
            await caller.connections.acquire()
            free += 1
        return gone, free

    gone, free = run(main())

    assert gone <= len({number for number, _ in cancelled})
    assert free == 3
