"""Ids by name, in virtual time."""

import asyncio
import time

import pytest

from setpoint.remotes.errors import AmbiguousName, TargetNotFound
from setpoint.remotes.names import Listing, Named, Names
from tests.virtual_time import now, run


class Remote:
    """Has things with names; notes from when on each read was to be."""

    def __init__(self, **ids: tuple[str, ...]) -> None:
        self.ids = ids
        self.team_of: dict[str, str] = {}
        self.reads: list[float] = []

    async def read(self, not_before: float) -> Listing:
        self.reads.append(not_before)
        await asyncio.sleep(0.1)
        return Listing(Named(id_, name, self.team_of.get(id_)) for name, ids in self.ids.items() for id_ in ids)


def test_one_list_serves_all_names_for_five_minutes() -> None:
    async def main() -> tuple[str, str, int, int]:
        remote = Remote(llama=("m1",), whisper=("m2",))
        names = Names("model", remote.read)
        first = await names.id("llama")
        await asyncio.sleep(299)
        second = await names.id("whisper")
        early = len(remote.reads)
        await asyncio.sleep(2)
        await names.id("llama")
        return first, second, early, len(remote.reads)

    assert run(main()) == ("m1", "m2", 1, 2)


def test_a_name_that_is_missing_in_an_old_list_is_looked_up_again() -> None:
    async def main() -> str:
        remote = Remote(llama=("m1",))
        names = Names("model", remote.read)
        await names.id("llama")
        remote.ids = {**remote.ids, "new": ("m3",)}
        await asyncio.sleep(11)
        return await names.id("new")

    assert run(main()) == "m3"


def test_a_name_that_is_missing_in_a_recent_list_needs_no_request() -> None:
    async def main() -> int:
        remote = Remote(llama=("m1",))
        names = Names("model", remote.read)
        for _ in range(100):
            with pytest.raises(TargetNotFound):
                await names.id("nobody")
        return len(remote.reads)

    assert run(main()) == 1


def test_forgotten_names_are_read_anew_and_not_from_a_read_before() -> None:
    async def main() -> tuple[str, str, bool]:
        remote = Remote(llama=("m1",))
        names = Names("model", remote.read)
        first = await names.id("llama")
        remote.ids = {"llama": ("m9",)}
        names.forget()
        forgotten = now()
        return first, await names.id("llama"), remote.reads[-1] == forgotten

    assert run(main()) == ("m1", "m9", True)


def test_a_list_that_was_being_read_when_names_were_forgotten_is_not_kept() -> None:
    async def main() -> int:
        remote = Remote(llama=("m1",))
        names = Names("model", remote.read)
        reading = asyncio.create_task(names.id("llama"))
        await asyncio.sleep(0.05)
        names.forget()
        await reading
        await names.id("llama")
        return len(remote.reads)

    assert run(main()) == 2


def test_an_ambiguous_name_lists_the_ids_and_what_to_do() -> None:
    async def main() -> None:
        await Names("model", Remote(llama=("m2", "m1")).read).id("llama")

    with pytest.raises(AmbiguousName) as raised:
        run(main())

    assert raised.value.message == (
        "2 models are named llama, with the ids m1, m2: say which one with modelId instead of modelName"
    )


@pytest.mark.parametrize(
    ("teams", "message"),
    [
        (
            {"m1": "Red", "m2": "Blue"},
            "the ids m1 (team Red), m2 (team Blue): say which one with target.team, or with modelId instead of modelName",
        ),
        (
            {"m1": "Red", "m2": "Red"},
            "the ids m1 (team Red), m2 (team Red): say which one with modelId instead of modelName",
        ),
    ],
)
def test_an_ambiguous_name_tells_of_the_teams_where_they_decide(teams: dict[str, str], message: str) -> None:
    async def main() -> None:
        remote = Remote(llama=("m2", "m1"))
        remote.team_of = teams
        await Names("model", remote.read).id("llama")

    with pytest.raises(AmbiguousName) as raised:
        run(main())

    assert raised.value.message == f"2 models are named llama, with {message}"


def test_an_id_leads_to_the_name_of_now_by_a_list_that_is_not_old() -> None:
    async def main() -> tuple[list[str | None], int]:
        remote = Remote(llama=("m1", "m2"), whisper=("m3",))
        names = Names("model", remote.read)
        told = [await names.name(id_) for id_ in ("m1", "m2", "m3", "m4")]
        remote.ids = {"alpaca": ("m1",)}
        await asyncio.sleep(11)
        return [*told, await names.name("m1"), await names.name("m3")], len(remote.reads)

    assert run(main()) == (["llama", "llama", "whisper", None, "alpaca", None], 2)


def test_a_thing_is_found_by_its_id_before_its_name() -> None:
    async def main() -> list[str]:
        names = Names("team", Remote(red=("t1",), t1=("t2",)).read)
        return [(await names.find(text)).id for text in ("t1", "red", "t2")]

    assert run(main()) == ["t1", "t1", "t2"]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("blue", TargetNotFound, "there is no team with the id or name blue; there are red"),
        ("red", AmbiguousName, "2 teams are named red, with the ids t1, t2: say which one by its id"),
    ],
)
def test_a_thing_that_is_not_found_or_twice(text: str, error: type[Exception], message: str) -> None:
    async def main() -> None:
        await Names("team", Remote(red=("t1", "t2")).read).find(text)

    with pytest.raises(error) as raised:
        run(main())

    assert str(raised.value) == message


def test_very_many_things_of_one_name_are_listed_in_no_time() -> None:
    things = [Named(f"m{number}", "twin") for number in range(200_000)]
    begun = time.process_time()

    assert len(Listing(things).named("twin")) == len(things)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (["lama", "llama-2", "whisper"], "there is no chain named llama; did you mean lama or llama-2?"),
        (["whisper", "bert"], "there is no chain named llama; there are bert, whisper"),
        ([f"x{n}" for n in range(8)], "there is no chain named llama; there are x0, x1, x2, x3, x4 and 3 more"),
        ([], "there is no chain named llama; this key sees none"),
    ],
)
def test_an_unknown_name_is_told_with_what_there_is(known: list[str], message: str) -> None:
    async def main() -> None:
        await Names("chain", Remote(**{name: (f"id-{name}",) for name in known}).read).id("llama")

    with pytest.raises(TargetNotFound) as raised:
        run(main())

    assert raised.value.message == message
