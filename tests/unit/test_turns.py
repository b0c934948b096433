"""Who is served while others wait: groups, connections, namespaces and priorities."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.reconcile.ports import Key, LoopClock, lane_of
from setpoint.reconcile.queue import Priority, WorkQueue
from setpoint.reconcile.turns import EIGHTH, LEVELS, QUARTER, Lane, Seats, Turns
from tests.virtual_time import run


def keys(namespace: str, count: int, connection: str = "c") -> list[Key]:
    """Return keys whose connection is named by their kind."""
    return [Key(connection, namespace, f"{namespace}-{number}") for number in range(count)]


def taken(turns: Turns[Key], most: int = 10**6) -> list[Key]:
    """Take what can be taken."""
    found: list[Key] = []
    while len(found) < most and (one := turns.take(lambda key, level: True)) is not None:
        found.append(one[0])
    return found


def of_cluster(connection: str) -> Lane:
    """Return the lane of a ClusterConnection, which is a group of its own."""
    return lane_of(Key("ClusterConnection", "", connection))


def put(turns: Turns[Key], waiting: Iterable[Key], level: int = 1) -> None:
    """Let keys wait at the ClusterConnection of their kind."""
    for key in waiting:
        turns.put(key, of_cluster(key.kind), key.namespace, level=level)


def put_of_namespace(turns: Turns[Key], waiting: Iterable[Key], level: int = 1) -> None:
    """Let keys wait at the Connection of their kind in their namespace."""
    for key in waiting:
        turns.put(key, lane_of(Key("Connection", key.namespace, key.kind)), key.namespace, level=level)


def play(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene in virtual time."""
    run(scene)


def test_a_connection_that_hangs_keeps_only_its_own_seats() -> None:
    turns: Turns[Key] = Turns(seats=4, total=64)
    put(turns, keys("a", 500, "dead"))
    assert len(taken(turns)) == 4
    put(turns, keys("a", 2, "alive"))
    assert [key.kind for key in taken(turns)] == ["alive", "alive"]
    assert taken(turns) == []
    turns.leave(of_cluster("dead"))
    assert [key.kind for key in taken(turns)] == ["dead"]


def test_the_last_quarter_is_for_connections_that_have_nothing() -> None:
    turns: Turns[Key] = Turns(seats=4, total=32)
    for number in range(100):
        put(turns, keys("a", 10, f"dead-{number}"))
    before = Counter(key.kind for key in taken(turns))
    assert sum(before.values()) == 32
    assert max(before.values()) == 1, "it goes round"
    turns.leave(of_cluster("dead-0"))
    put(turns, keys("a", 1, "alive"))
    assert [key.kind for key in taken(turns)] == ["dead-32"], "the others that have nothing came before"

    turns = Turns(seats=4, total=32)
    for number in range(8):
        put(turns, keys("a", 10, f"dead-{number}"))
    busy = Counter(key.kind for key in taken(turns))
    assert sum(busy.values()) == 32 - 32 // QUARTER, "a quarter stays free"
    put(turns, keys("a", 3, "alive"))
    assert [key.kind for key in taken(turns)] == ["alive"]


def test_five_hundred_connections_of_one_namespace_take_a_quarter_of_all_seats() -> None:
    turns: Turns[Key] = Turns(seats=32, total=512)
    for number in range(560):
        put_of_namespace(turns, keys("crowd", 1, f"dead-{number}"))
    assert len(taken(turns)) == 128
    put_of_namespace(turns, keys("neighbour", 5))
    put(turns, keys("third", 5, "shared"))
    assert Counter(key.namespace for key in taken(turns)) == {"neighbour": 5, "third": 5}
    turns.leave(lane_of(Key("Connection", "crowd", "dead-0")))
    assert [key.namespace for key in taken(turns)] == ["crowd"]


def test_a_connection_that_works_moves_beside_those_of_its_own_namespace_that_hang() -> None:
    turns: Turns[Key] = Turns(seats=32, total=512)
    for number in range(4):
        put_of_namespace(turns, keys("a", 100, f"dead-{number}"))
    assert len(taken(turns)) == 96
    put_of_namespace(turns, keys("a", 3, "alive"))
    assert [key.kind for key in taken(turns)] == ["alive"], "the last quarter of the group's seats"
    turns.leave(lane_of(Key("Connection", "a", "alive")))
    assert [key.kind for key in taken(turns)] == ["alive"]


def test_a_group_that_has_nothing_moves_beside_any_number_that_hang() -> None:
    turns: Turns[Key] = Turns(seats=32, total=512)
    for crowd in range(4):
        for number in range(200):
            put_of_namespace(turns, keys(f"crowd-{crowd}", 2, f"dead-{number}"))
    assert len(taken(turns)) == 512 - 128
    put_of_namespace(turns, keys("neighbour", 3))
    assert [key.namespace for key in taken(turns)] == ["neighbour"]


def test_five_thousand_of_one_namespace_cost_one_of_another_a_single_turn() -> None:
    turns: Turns[Key] = Turns(seats=8, total=64)
    put(turns, keys("big", 5000))
    put(turns, keys("small", 1))
    assert "small-0" in [key.name for key in taken(turns, 2)]


def test_five_hundred_connections_of_one_namespace_cost_another_a_single_turn() -> None:
    turns: Turns[Key] = Turns(seats=8, total=64)
    for number in range(500):
        put_of_namespace(turns, keys("big", 10, f"c{number}"))
    put_of_namespace(turns, keys("small", 1))
    assert "small-0" in [key.name for key in taken(turns, 2)]


def test_the_order_within_a_namespace_is_that_of_coming() -> None:
    turns: Turns[Key] = Turns(seats=99, total=99)
    put(turns, keys("a", 7))
    assert taken(turns) == keys("a", 7)


def test_no_level_starves() -> None:
    turns: Turns[Key] = Turns(seats=10**6, total=10**6)
    for level in range(LEVELS):
        put(turns, keys(f"level{level}", 10**4), level)
    first = Counter(key.namespace for key in taken(turns, EIGHTH * LEVELS * 10))
    assert all(first[f"level{level}"] >= 10 for level in range(LEVELS))
    assert first["level0"] >= 0.8 * EIGHTH * LEVELS * 10


def test_what_is_full_costs_no_search() -> None:
    turns: Turns[Key] = Turns(seats=1, total=1000)
    put(turns, keys("a", 5000, "dead"))
    for number in range(300):
        put_of_namespace(turns, keys("crowd", 5, f"dead-{number}"))
    assert len(taken(turns)) == 1 + 250
    asked = []

    def waits(key: Key, level: int) -> bool:
        asked.append(key)
        return True

    assert turns.take(waits) is None
    assert asked == []


def test_nothing_is_remembered_of_those_who_left() -> None:
    turns: Turns[Key] = Turns(seats=4, total=64)
    for number in range(50):
        put_of_namespace(turns, keys(f"n{number}", 3, f"c{number}"), number % LEVELS)
    while (found := turns.take(lambda key, level: key.name.endswith("0"))) is not None:
        turns.leave(found[1])
    assert turns._all.is_idle
    assert not any(turns._all._open)


PATHS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, LEVELS - 1))
STEPS = st.lists(st.tuples(st.sampled_from(["put", "take", "leave", "forget"]), PATHS), max_size=120)


class Model:
    """What has to be true of turns whatever happens: the bounds, and that nothing is lost or served twice."""

    def __init__(self, seats: int, total: int) -> None:
        self.turns: Turns[int] = Turns(seats=seats, total=total)
        self.seats = seats
        self.total = max(total, seats)
        self.of_group = max(self.total // QUARTER, seats)
        self.waiting: dict[int, Lane] = {}
        self.busy: list[Lane] = []
        self.count = 0

    def put(self, group: int, connection: int, namespace: int, level: int) -> None:
        self.count += 1
        self.waiting[self.count] = Lane(group, connection)
        self.turns.put(self.count, Lane(group, connection), namespace, level=level)

    def take(self) -> bool:
        found = self.turns.take(lambda item, level: item in self.waiting)
        if found is None:
            assert not any(self.is_due(lane) for lane in self.waiting.values())
            return False
        item, lane = found
        assert self.waiting.pop(item) == lane
        self.busy.append(lane)
        assert len(self.busy) <= self.total
        assert Counter(self.busy)[lane] <= self.seats
        assert Counter(busy.group for busy in self.busy)[lane.group] <= self.of_group
        return True

    def is_due(self, lane: Lane) -> bool:
        """Tell whether a lane must be served now: its group has nothing, and there is a seat."""
        return len(self.busy) < self.total and all(busy.group != lane.group for busy in self.busy)

    def leave(self, number: int) -> None:
        if self.busy:
            self.turns.leave(self.busy.pop(number % len(self.busy)))

    def forget(self) -> None:
        """Let the oldest one not wait any more, as if it were promoted or discarded: its place stays."""
        if self.waiting:
            del self.waiting[next(iter(self.waiting))]


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(1, 24))
def test_bounds_hold_and_everybody_is_served(
    steps: list[tuple[str, tuple[int, int, int, int]]], seats: int, total: int
) -> None:
    model = Model(seats, total)
    for step, path in steps:
        match step:
            case "put":
                model.put(*path)
            case "take":
                model.take()
            case "leave":
                model.leave(path[0])
            case _:
                model.forget()
    while model.waiting or model.busy:
        if not model.take():
            assert model.busy, "somebody waits, nobody is served, and nothing is going on"
            model.leave(0)
    assert not model.take()
    assert model.turns._all.is_idle


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60), st.integers(1, 4))
def test_a_group_waits_no_longer_than_one_turn_of_each_other(crowd: list[tuple[int, int]], seats: int) -> None:
    turns: Turns[str] = Turns(seats=seats, total=16 * seats)
    for group, connection in crowd:
        turns.put("crowd", Lane(group, connection))
    turns.put("small", Lane("small", None))
    served = 0
    while (found := turns.take(lambda item, level: True)) is not None and found[0] != "small":
        served += 1
        turns.leave(found[1])
    assert found is not None
    assert served <= len({group for group, _ in crowd})


def test_the_queue_waits_for_a_seat_and_goes_on_when_one_is_free() -> None:
    async def scene() -> None:
        work = WorkQueue(LoopClock(), Random(1), lane_of=lambda key: of_cluster(key.kind), seats=2, total=99)
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


def test_a_namespace_whose_work_hangs_leaves_seats_to_the_others() -> None:
    async def scene() -> None:
        seats = Seats(seats=1, total=32)
        loop = asyncio.get_running_loop()
        began: dict[str, list[float]] = {}

        async def work(group: str, connection: int, takes: float) -> None:
            async with seats.seat(Lane(group, connection)):
                began.setdefault(group, []).append(loop.time())
                await asyncio.sleep(takes)

        hung = [asyncio.create_task(work("crowd", number, 30)) for number in range(560)]
        await asyncio.sleep(1)
        assert len(began["crowd"]) == 8
        await asyncio.gather(*(work("neighbour", number, 0.1) for number in range(8)), work("cluster", 0, 0.1))
        assert loop.time() < 1.5
        await asyncio.gather(*hung)
        assert len(began["crowd"]) == 560
        assert max(Counter(began["crowd"]).values()) <= 8

    play(scene())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 19), st.floats(0, 4)), max_size=30))
def test_who_is_cancelled_leaves_no_seat_taken(cancelled: list[tuple[int, float]]) -> None:
    async def scene() -> None:
        seats = Seats(seats=2, total=8)

        async def work(number: int) -> None:
            async with seats.seat(Lane(number % 3, number % 2)):
                await asyncio.sleep(0.5)

        tasks = [asyncio.create_task(work(number)) for number in range(20)]
        for number, at in cancelled:
            asyncio.get_running_loop().call_later(at, tasks[number].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert seats._turns._all.is_idle

    play(scene())
