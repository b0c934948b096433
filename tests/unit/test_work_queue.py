"""The promises of the work queue, under a clock that the tests move."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.reconcile.ports import Key, LoopClock
from setpoint.reconcile.queue import Priority, ShutDown, WorkQueue
from setpoint.reconcile.turns import Lane
from tests.virtual_time import run

A, B, C = (Key("Kind", "ns", name) for name in "abc")


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene in virtual time."""
    run(scene)


def queue() -> WorkQueue:
    """Return an empty queue on the running loop's clock."""
    return WorkQueue(LoopClock(), Random(1), lane_of=lambda key: Lane(None, None), seats=99, total=99)


def test_a_key_added_twice_is_handed_out_once() -> None:
    async def scene() -> None:
        work = queue()
        work.add(A)
        work.add(A)
        assert (await work.get())[0] == A
        work.done(A)
        assert len(work) == 0

    play(scene())


def test_what_is_added_while_it_is_worked_on_is_handed_out_again_afterwards() -> None:
    async def scene() -> None:
        work = queue()
        work.add(A)
        await work.get()
        work.add(A)
        second = asyncio.create_task(work.get())
        await asyncio.sleep(1)
        assert not second.done()
        work.done(A)
        assert (await second)[0] == A

    play(scene())


def test_urgent_goes_first_and_promotes_what_waits() -> None:
    async def scene() -> None:
        work = queue()
        work.add(A, Priority.ROUTINE)
        work.add(B, Priority.ROUTINE)
        work.add(B, Priority.URGENT)
        assert (await work.get())[:2] == (B, Priority.URGENT)
        assert (await work.get())[:2] == (A, Priority.ROUTINE)

    play(scene())


def test_a_turn_tells_how_long_it_was_waited_for_since_the_first_call() -> None:
    async def scene() -> None:
        work = queue()
        work.add(A, Priority.ROUTINE)
        await asyncio.sleep(3)
        work.add(B)
        work.add(A, Priority.URGENT)
        await asyncio.sleep(1)
        assert work.oldest == pytest.approx(4)
        turns = [await work.get(), await work.get()]
        assert {turn.key: round(turn.waited) for turn in turns} == {A: 4, B: 1}
        assert work.oldest == 0

    play(scene())


def test_of_two_delays_the_earlier_counts_and_being_handed_out_drops_it() -> None:
    async def scene() -> None:
        work = queue()
        loop = asyncio.get_running_loop()
        work.add_after(A, 10)
        work.add_after(A, 5)
        work.add_after(A, 20)
        started = loop.time()
        await work.get()
        assert loop.time() - started == pytest.approx(5, abs=0.01)
        work.add_after(A, 7)
        work.add(A)
        work.done(A)
        await work.get()
        work.done(A)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work.get(), 30)

    play(scene())


def test_the_backoff_doubles_with_jitter_until_it_is_forgotten() -> None:
    async def scene() -> None:
        work = queue()
        pauses = []
        for _ in range(9):
            pauses.append(work.add_rate_limited(A))
            await work.get()
            work.done(A)
        nominal = [1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert all(half / 2 <= pause <= half for half, pause in zip(nominal, pauses, strict=True))
        assert work.failures(A) == 9
        work.forget(A)
        assert work.add_rate_limited(A) <= 1
        assert work.add_rate_limited(B, at_least=37) > 37

    play(scene())


def test_a_cancelled_getter_loses_no_key() -> None:
    async def scene() -> None:
        work = queue()
        first = asyncio.create_task(work.get())
        second = asyncio.create_task(work.get())
        await asyncio.sleep(0)
        work.add(A)
        first.cancel()
        assert (await asyncio.wait_for(second, 1))[0] == A

    play(scene())


def test_shutting_down_ends_every_wait() -> None:
    async def scene() -> None:
        work = queue()
        waiting = [asyncio.create_task(work.get()) for _ in range(3)]
        await asyncio.sleep(0)
        work.shut_down()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [ShutDown] * 3

    play(scene())


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "urgent", "after", "limited", "forget", "wait"]), st.sampled_from([A, B, C])),
    max_size=40,
)


def act(work: WorkQueue, action: str, key: Key) -> None:
    """Do one thing to the queue."""
    match action:
        case "add":
            work.add(key, Priority.ROUTINE)
        case "urgent":
            work.add(key)
        case "after":
            work.add_after(key, 3)
        case "limited":
            work.add_rate_limited(key)
        case _:
            work.forget(key)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.integers(1, 4))
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(actions: list[tuple[str, Key]], workers: int) -> None:
    async def scene() -> None:
        work = queue()
        busy: set[Key] = set()
        last_done: dict[Key, float] = {}
        last_added: dict[Key, float] = {}
        loop = asyncio.get_running_loop()

        async def worker() -> None:
            while True:
                key = (await work.get()).key
                assert key not in busy
                busy.add(key)
                begun = loop.time()
                await asyncio.sleep(0.7)
                busy.discard(key)
                last_done[key] = begun
                work.done(key)

        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        for action, key in actions:
            if action == "wait":
                await asyncio.sleep(0.5)
                continue
            act(work, action, key)
            if action != "forget":
                last_added[key] = loop.time()
        await asyncio.sleep(600)
        assert not busy
        assert all(last_done[key] >= moment for key, moment in last_added.items())
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    play(scene())
