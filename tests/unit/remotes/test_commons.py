"""What clients of a process share: permits for large answers, bytes in flight, and what they trust."""

import asyncio
import gc
import ssl
from contextlib import AsyncExitStack

from setpoint.remotes.commons import GRACE, LARGE_AT_ONCE, MIB, SLOWEST, SMALL, SMALL_OF_ONE, Commons, Flight
from setpoint.remotes.trust import Trusts
from tests.controlplane.certs import Authority
from tests.virtual_time import run


async def flights(commons: Commons, held: AsyncExitStack, owner: str, number: int) -> list[Flight]:
    return [await held.enter_async_context(commons.flight(owner)) for _ in range(number)]


def test_a_small_answer_asks_nobody() -> None:
    async def main() -> None:
        commons = Commons()
        async with AsyncExitStack() as held:
            for flight in await flights(commons, held, "ml", 8):
                assert await flight.grow(SMALL) is None
            assert commons.in_flight == 8 * SMALL
        assert commons.in_flight == 0

    run(main())


def test_of_one_owner_one_large_answer_comes_at_a_time_and_of_all_a_few() -> None:
    async def main() -> None:
        commons = Commons()
        async with AsyncExitStack() as held:
            greedy = await flights(commons, held, "greedy", 5)
            growing = [asyncio.create_task(flight.grow(SMALL + 1)) for flight in greedy]
            await asyncio.sleep(1)
            assert [flight.waits for flight in greedy] == [False, True, True, True, True]
            others = [(await flights(commons, held, f"other-{n}", 1))[0] for n in range(LARGE_AT_ONCE)]
            growing += [asyncio.create_task(flight.grow(SMALL + 1)) for flight in others]
            await asyncio.sleep(1)
            assert [flight.waits for flight in others] == [False] * (LARGE_AT_ONCE - 1) + [True]
            for task in growing:
                task.cancel()
            await asyncio.gather(*growing, return_exceptions=True)
        async with commons.flight("greedy") as flight:
            assert await flight.grow(SMALL + 1) is not None, "all permits were given back"

    run(main())


def test_many_answers_of_one_owner_count_like_a_large_one() -> None:
    async def main() -> None:
        commons = Commons()
        async with AsyncExitStack() as held:
            for flight in await flights(commons, held, "ml", SMALL_OF_ONE // SMALL):
                assert await flight.grow(SMALL) is None
            [first, second] = await flights(commons, held, "ml", 2)
            assert await first.grow(1) is not None
            waiting = asyncio.create_task(second.grow(1))
            await asyncio.sleep(1)
            assert second.waits
            waiting.cancel()
            [other] = await flights(commons, held, "other", 1)
            assert await other.grow(SMALL) is None

    run(main())


def test_an_answer_with_a_permit_has_to_be_quick() -> None:
    async def main() -> None:
        async with Commons().flight("ml") as flight:
            begun = asyncio.get_running_loop().time()
            assert await flight.grow(MIB) == begun + GRACE
            await asyncio.sleep(2)
            assert round((await flight.grow(MIB + SLOWEST) or 0) - begun, 3) == GRACE + 1
            assert round((await flight.grow(16 * MIB) or 0) - begun, 3) == 2 + GRACE, "what came fast buys no time"

    run(main())


def test_large_answers_are_read_one_after_the_other_and_the_owners_take_turns() -> None:
    async def main() -> None:
        commons = Commons()
        order: list[str] = []

        async def read(owner: str) -> None:
            async with commons.flight(owner) as flight:
                await flight.grow(100_000)
                async with flight.reading():
                    order.append(owner)
                    await asyncio.sleep(1)
                    assert order[-1] == owner

        await asyncio.gather(*(read("greedy") for _ in range(5)), read("other"))
        assert order[:2] == ["greedy", "other"]
        async with commons.flight("ml") as flight, commons.flight("other") as other:
            await flight.grow(100_000)
            async with flight.reading(), other.reading():
                pass

    run(main())


def test_clients_that_trust_the_same_share_it() -> None:
    trusts = Trusts()
    one, other = Authority("one").pem, Authority("other").pem
    context = trusts.context(one)
    assert trusts.context(bytes(one)) is context
    assert trusts.context(other) is not context
    assert trusts.context(None) is trusts.context(None)
    assert trusts.context(None) is not context
    assert context.verify_mode is trusts.context(None).verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    del context
    gc.collect()
    assert not trusts._named, "what nobody has any more goes"
