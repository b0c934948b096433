"""Who is served while others wait: connections, namespaces and priorities."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.reconcile.ports import Key, LoopClock
from setpoint.reconcile.queue import Priority, WorkQueue
from setpoint.reconcile.turns import EIGHTH, LEVELS, RESERVED, Turns
from tests.virtual_time import run


def keys(namespace: str, count: int, connection: str = "c") -> list[Key]:
    """Return keys whose connection is named by their kind."""
    return [Key(connection, namespace, f"{namespace}-{number}") for number in range(count)]


def taken(turns: Turns, most: int = 10**6) -> list[Key]:
    """Take what can be taken."""
    found: list[Key] = []
    while len(found) < most and (one := turns.take(lambda key, level: True)) is not None:
        found.append(one[0])
    return found


def put(turns: Turns, waiting: Iterable[Key], level: int = 1) -> None:
    """Let keys wait in the lane of their kind."""
    for key in waiting:
        turns.put(key, key.kind, level)


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene in virtual time."""
    run(scene)


def test_a_connection_that_hangs_keeps_only_its_own_seats() -> None:
    turns = Turns(seats=4, total=64)
    put(turns, keys("a", 500, "dead"))
    assert len(taken(turns)) == 4
    put(turns, keys("a", 2, "alive"))
    assert [key.kind for key in taken(turns)] == ["alive", "alive"]
    assert taken(turns) == []
    turns.leave("dead")
    assert [key.kind for key in taken(turns)] == ["dead"]


def test_the_last_quarter_is_for_connections_that_have_nothing() -> None:
    turns = Turns(seats=4, total=32)
    for number in range(100):
        put(turns, keys("a", 10, f"dead-{number}"))
    before = Counter(key.kind for key in taken(turns))
    assert sum(before.values()) == 32
    assert max(before.values()) == 1, "it goes round"
    turns.leave("dead-0")
    put(turns, keys("a", 1, "alive"))
    assert [key.kind for key in taken(turns)] == ["dead-32"], "the others that have nothing came before"

    turns = Turns(seats=4, total=32)
    for number in range(8):
        put(turns, keys("a", 10, f"dead-{number}"))
    busy = Counter(key.kind for key in taken(turns))
    assert sum(busy.values()) == 32 - 32 // RESERVED, "a quarter stays free"
    put(turns, keys("a", 3, "alive"))
    assert [key.kind for key in taken(turns)] == ["alive"]


def test_five_thousand_of_one_namespace_cost_one_of_another_a_single_turn() -> None:
    turns = Turns(seats=8, total=64)
    put(turns, keys("big", 5000))
    put(turns, keys("small", 1))
    assert "small-0" in [key.name for key in taken(turns, 2)]


def test_the_order_within_a_namespace_is_that_of_coming() -> None:
    turns = Turns(seats=99, total=99)
    put(turns, keys("a", 7))
    assert taken(turns) == keys("a", 7)


def test_no_level_starves() -> None:
    turns = Turns(seats=10**6, total=10**6)
    for level in range(LEVELS):
        put(turns, keys(f"level{level}", 10**4), level)
    first = Counter(key.namespace for key in taken(turns, EIGHTH * LEVELS * 10))
    assert all(first[f"level{level}"] >= 10 for level in range(LEVELS))
    assert first["level0"] >= 0.8 * EIGHTH * LEVELS * 10


def test_a_full_lane_costs_no_search() -> None:
    turns = Turns(seats=1, total=1000)
    put(turns, keys("a", 5000, "dead"))
    taken(turns)
    asked = []

    def waits(key: Key, level: int) -> bool:
        asked.append(key)
        return True

    assert turns.take(waits) is None
    assert asked == []


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "take", "leave"]), st.integers(0, 3), st.integers(0, 2), st.integers(0, LEVELS - 1)
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(1, 6))
def test_bounds_hold_and_everybody_is_served(steps: list[tuple[str, int, int, int]], seats: int, total: int) -> None:
    turns = Turns(seats=seats, total=total)
    waiting: Counter[Key] = Counter()
    busy: list[object] = []
    for number, (step, lane, namespace, level) in enumerate(steps):
        if step == "put":
            key = Key(f"lane{lane}", f"ns{namespace}", str(number))
            turns.put(key, key.kind, level)
            waiting[key] += 1
        elif step == "take" and (found := turns.take(lambda key, level: True)) is not None:
            waiting[found[0]] -= 1
            busy.append(found[1])
        elif step == "leave" and busy:
            turns.leave(busy.pop(lane % len(busy)))
        assert len(busy) <= max(total, seats)
        assert max(Counter(busy).values(), default=0) <= seats
    while busy or +waiting:
        if (found := turns.take(lambda key, level: True)) is not None:
            assert waiting[found[0]] == 1
            waiting[found[0]] -= 1
            busy.append(found[1])
        else:
            assert busy, "somebody waits, nobody is served, and nothing is going on"
            turns.leave(busy.pop())


def test_the_queue_waits_for_a_seat_and_goes_on_when_one_is_free() -> None:
    async def scene() -> None:
        work = WorkQueue(LoopClock(), Random(1), lane_of=lambda key: key.kind, seats=2, total=99)
        for key in keys("a", 3, "dead"):
            work.add(key)
        first, second = [(await work.get())[0] for _ in range(2)]
        third = asyncio.create_task(work.get())
        await asyncio.sleep(5)
        assert not third.done()
        work.add(Key("alive", "b", "x"), Priority.ROUTINE)
        assert (await third)[0].kind == "alive"
        last = asyncio.create_task(work.get())
        await asyncio.sleep(5)
        assert not last.done()
        work.done(second)
        assert (await last)[0] not in {first, second}

    play(scene())
