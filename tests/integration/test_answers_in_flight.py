"""Answers of all connections together have a bound: whoever holds many, or large ones that stall, holds up nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from setpoint.remotes.baseten import Baseten
from setpoint.remotes.commons import MIB, SMALL, SMALL_OF_ONE, Commons
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import RemoteError, RemoteUnreachable
from setpoint.remotes.limits import Limits
from tests.raw_server import Request, answer, raw_server
from tests.waiting import eventually_async

ANSWERS = 32


async def grown(commons: Commons, size: int) -> None:
    """Wait until so many bytes are under way."""

    async def is_so() -> bool:
        return commons.in_flight > size

    await eventually_async(is_so)


@asynccontextmanager
async def baseten(url: str, commons: Commons, owner: str, timeout: float = 30) -> AsyncIterator[Baseten]:
    client = Baseten.connect(
        url=url,
        credential=Credential.authorization("Bearer", f"key-of-{owner}"),
        requests_per_second=1000,
        timeout=timeout,
        limits=Limits(),
        commons=commons,
        owner=owner,
    )
    try:
        yield client
    finally:
        await client.aclose()


async def stalled(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send most of a large answer, and then nothing."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16000000\r\n\r\n")
    for _ in range(15):
        writer.write(b" " * 1_000_000)
        await writer.drain()
    await asyncio.Event().wait()


async def test_answers_that_stall_hold_little_and_hold_up_nobody_else() -> None:
    commons = Commons()
    body = json.dumps({"models": [{"id": f"m{n}", "name": f"model-{n}", "x": "y" * 500} for n in range(5000)]}).encode()
    async with (
        raw_server(stalled) as hostile,
        raw_server(answer(raw=body)) as healthy,
        baseten(hostile.url, commons, "hostile", timeout=10) as client,
        baseten(healthy.url, commons, "healthy") as neighbour,
    ):
        asking = [asyncio.create_task(client.deployment(f"m{n}", "d1")) for n in range(ANSWERS)]
        await grown(commons, 15_000_000)
        assert await neighbour.model_id("model-4999") == "m4999"
        assert commons.in_flight <= 16 * MIB + SMALL_OF_ONE + ANSWERS * SMALL
        errors = await asyncio.gather(*asking, return_exceptions=True)

    assert all(isinstance(error, RemoteUnreachable) for error in errors)
    told = {str(error).replace(f"m{n}/", "") for n, error in enumerate(errors)}
    # The one that was let in last has its own deadline first.
    assert told - {"Baseten did not answer GET /v1/models/deployments within 10 s"} == {
        "Baseten sends a large answer to GET /v1/models/deployments too slowly for others to wait for it",
        "the answer of Baseten to GET /v1/models/deployments is large, and others were read until its time was over",
    }
    assert commons.in_flight == 0


async def test_large_answers_of_one_owner_are_all_read() -> None:
    body = json.dumps({"deployments": [{"id": f"d{n}", "x": "y" * 500} for n in range(2000)]}).encode()
    assert len(body) > SMALL
    commons = Commons()
    async with raw_server(answer(raw=body)) as server, baseten(server.url, commons, "ml") as client:
        found = await asyncio.gather(*(client.deployment(f"m{n}", "d1999") for n in range(20)))

    assert {one.id for one in found} == {"d1999"}
    assert commons.in_flight == 0


@pytest.mark.parametrize("status", [200, 500])
async def test_a_request_that_is_cancelled_gives_back_what_it_holds(status: int) -> None:
    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            await stalled(request, writer)
        await answer(status, raw=b'{"models": []}')(request, writer)

    commons = Commons()
    async with raw_server(act) as server, baseten(server.url, commons, "ml") as client:
        asking = asyncio.create_task(client.probe())
        await grown(commons, SMALL)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert commons.in_flight == 0
        if status == 200:
            await client.probe()
        else:
            with pytest.raises(RemoteError, match="500"):
                await client.probe()
    assert commons.in_flight == 0
