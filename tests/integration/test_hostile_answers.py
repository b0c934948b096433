"""Answers that are made to take long, or much memory: each costs its own connection only, and the event loop goes on.

The remote runs in a thread of its own, so that what it does is not counted as what the operator does.
"""

import asyncio
import gc
import gzip
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import (
    PermanentError,
    RemoteError,
    RemoteUnreachable,
    TargetNotFound,
    TransientError,
    UnreadableAnswer,
)
from setpoint.remotes.limits import Limits
from setpoint.resources.autoscaling import AutoscalingSettings
from tests.controlplane.certs import Authority
from tests.loop_time import loop_time
from tests.raw_server import Act, Request, answer, raw_server

LONGEST = 0.1
"""Seconds the loop may work on one thing."""

KEY = "s3cret-Key.0123456789"
MODELS = "/v1/models"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _as_in_the_operator() -> Iterator[None]:
    """Keep what the tests have imported from the garbage collector, as the operator does with what it has."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@contextmanager
def remote(act: Act, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve in another thread for the length of the block; yield the URL."""
    url: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with raw_server(act, tls) as server:
            url.append(server.url)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield url[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@asynccontextmanager
async def baseten(url: str, ca: bytes | None = None, timeout: float = 20) -> AsyncIterator[Baseten]:
    client = Baseten.connect(
        url=url,
        credential=Credential.authorization("Bearer", KEY),
        requests_per_second=1000,
        timeout=timeout,
        limits=Limits(),
        ca_pem=ca,
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def bifrost(url: str) -> AsyncIterator[Bifrost]:
    client = Bifrost.connect(
        url=url,
        credential=Credential.basic("platform-team", KEY),
        requests_per_second=1000,
        timeout=20,
        limits=Limits(),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def measured(ask: Callable[[], Awaitable[Any]]) -> RemoteError | None:
    """Ask; return the error, if it is one, and hold the loop's longest turn against the bound."""
    error = None
    async with loop_time() as loop:
        try:
            await ask()
        except RemoteError as raised:
            error = raised
    assert loop.longest < LONGEST, f"the loop stood still for {loop.longest:.2f} s"
    return error


def listed(field: str, item: bytes, size: int = 16_700_000) -> bytes:
    """Return a list of as many equal items as fit the bound."""
    return b'{"%s":[' % field.encode() + b",".join([item] * (size // (len(item) + 1))) + b"]}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (listed("models", b'{"id":"m","name":"n"}'), "items in one list"),
        (listed("models", b"[]"), "items in one list"),
        (listed("models", b'{"a":1}', 250_000), None),
        (listed("models", b"1"), "items in one list"),
        (b'{"models":[' + b'{"a":[1,[2]]},' * 15_000 + b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}]}", None),
        (b'{"models":[' + b",".join([b"[" + b"{}," * 12_000 + b"1]"] * 20) + b"]}", "lists and objects"),
        (b'{"models":[' + (b"[" + b"1," * 16_000 + b"1],") * 100 + b"1]}", "values"),
        (b'{"models":["' + b"\\u0073" * 2_000_000 + b'"]}', "text"),
        (b'{"models":[' + b"1" * 1_000_000 + b"]}", "number"),
        (b'{"models":[' + b" " * 16_000_000 + b"]}", None),
        (listed("models", b'{"id":"m","name":"%s"}' % (b"\\u0073" * 40 + b"%2573" * 40), 8_000_000), None),
        (
            listed("models", b'{"id":"m","name":"%s"}' % (b"n" * 2000), 1_000_000),
            "a name has more than 1024 characters",
        ),
    ],
    ids=[
        "760,000 names",
        "lists",
        "objects in a small answer",
        "numbers",
        "nested deeply",
        "many lists and objects",
        "many values",
        "a long text",
        "a long number",
        "blanks",
        "escapes",
        "long names",
    ],
)
async def test_a_large_list_is_read_in_pieces_or_not_at_all(body: bytes, words: str | None) -> None:
    with remote(answer(raw=body)) as url:
        async with baseten(url) as client:
            error = await measured(client.probe)

    if words is None:
        assert error is None or isinstance(error, UnreadableAnswer)
    else:
        assert isinstance(error, UnreadableAnswer)
        assert words in error.message
        assert error.status == 200


async def test_ten_thousand_deployments_are_read() -> None:
    deployment = {
        "id": "d%07d",
        "name": "deployment-%07d",
        "model_id": "m1",
        "is_production": False,
        "is_development": False,
        "status": "ACTIVE",
        "active_replica_count": 1,
        "environment": None,
        "autoscaling_settings": {"min_replica": 0, "max_replica": 3, "concurrency_target": 2},
        "instance_type": {"id": "A10G", "description": "x" * 400, "labels": ["a", "b"]},
    }
    text = json.dumps(deployment)
    body = b'{"deployments":[' + ",".join(text.replace("%07d", f"{n:07}") for n in range(10_000)).encode() + b"]}"

    with remote(answer(raw=body)) as url:
        async with baseten(url) as client, loop_time() as loop:
            found = await client.deployment("m1", "d0009999")

    assert found.id == "d0009999"
    assert loop.longest < LONGEST


@pytest.mark.parametrize("length", [60, 199])
async def test_names_that_are_hard_to_compare_are_compared_a_little(length: int) -> None:
    random = Random(1)
    # Few letters in many orders are what a comparison takes longest for.
    names = ["".join(random.choice("ab") for _ in range(length)) for _ in range(2000)]
    body = json.dumps({"models": [{"id": f"m{n}", "name": name} for n, name in enumerate(names)]}).encode()
    wanted = "".join(random.choice("ab") for _ in range(length))

    with remote(answer(raw=body)) as url:
        async with baseten(url) as client:
            error = await measured(lambda: client.model_id(wanted))

    assert isinstance(error, TargetNotFound)
    assert ("did you mean" in error.message) == (length == 60)


ROW = b'{"id":"r","model_name":"m","budgets":[],"scope":"global"}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (listed("model_configs", b'{"model_name":"m"}'), "items in one list"),
        (listed("model_configs", b'{"model_name":"m"}', 300_000), None),
        (listed("model_configs", ROW, 900_000), None),
        (listed("model_configs", b'{"model_name":"%s"}' % (b"m" * 1025), 100_000), "more than 1024 characters"),
    ],
    ids=["600,000 rows", "rows without an id", "rows", "long names"],
)
async def test_rows_are_read_in_pieces_or_not_at_all(body: bytes, words: str | None) -> None:
    with remote(answer(raw=body)) as url:
        async with bifrost(url) as client:
            error = await measured(client.probe)

    assert (error is None) == (words is None)
    if words is not None:
        assert isinstance(error, UnreadableAnswer)
        assert words in error.message


@pytest.mark.parametrize("number", [65, 15_000, 100_000])
async def test_a_row_with_very_many_windows_costs_itself_or_the_list(number: int) -> None:
    budget = b'{"id":"b","max_limit":1,"reset_duration":"1d"}'
    many = b'{"id":"many","model_name":"n","scope":"global","budgets":[' + b",".join([budget] * number) + b"]}"
    body = b'{"model_configs":[' + ROW + b"," + many + b"]}"

    with remote(answer(raw=body)) as url:
        async with bifrost(url) as client:
            error = await measured(client.rows)
            if error is not None:
                assert number == 100_000
                assert isinstance(error, UnreadableAnswer)
                return
            healthy, sick = await client.rows()

    assert healthy.problem is None
    assert sick.problem == "of model config many: there should be at most 64 budgets"
    assert not sick.usage


async def in_small_chunks(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    for _ in range(50):
        writer.write(b"1\r\n \r\n" * 10_000)
        await writer.drain()


async def interim_answers(_request: Request, writer: asyncio.StreamWriter) -> None:
    for _ in range(50):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000)
        await writer.drain()


async def short_headers(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"a:\r\n" * 24_000 + b"\r\n{}")
    await writer.drain()


async def long_trailers(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a:\r\n" * 24_000 + b"\r\n")
    await writer.drain()


async def long_extensions(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(CHUNKED)
    for _ in range(50):
        writer.write((b"1;" + b"x" * 60_000 + b"\r\n \r\n") * 10)
        await writer.drain()


def bomb() -> bytes:
    return gzip.compress(b'{"models":[' + b" " * 15_000_000 + b"]}")


HOSTILE: dict[str, tuple[Act, type[RemoteError], str]] = {
    "chunks of one byte": (in_small_chunks, UnreadableAnswer, "a body in chunks of a few bytes each"),
    "interim answers": (interim_answers, RemoteUnreachable, "more than 32 KiB without content"),
    "headers": (short_headers, RemoteUnreachable, "more than 32 KiB without content"),
    "trailers": (long_trailers, RemoteUnreachable, "more than 32 KiB without content"),
    "chunk extensions": (long_extensions, RemoteUnreachable, "more than 32 KiB without content"),
}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("attack", HOSTILE)
async def test_what_carries_no_content_has_an_end(attack: str, secure: bool, tmp_path: Path) -> None:  # noqa: FBT001
    act, kind, words = HOSTILE[attack]
    authority = Authority("attacks")
    tls = None
    if secure:
        tls = authority.serving(tmp_path)
    with remote(act, tls) as url:
        async with baseten(url, authority.pem if secure else None) as client:
            error = await measured(client.probe)

    assert type(error) is kind
    assert words in error.message


@pytest.mark.parametrize("attack", HOSTILE)
async def test_after_a_write_such_an_answer_tells_nothing(attack: str) -> None:
    act, kind, _ = HOSTILE[attack]
    with remote(act) as url:
        async with baseten(url) as client:
            error = await measured(
                lambda: client.update_deployment("m1", "d1", AutoscalingSettings(max_replica=3), urgent=True)
            )

    assert type(error) is kind
    assert isinstance(error, TransientError)
    assert not isinstance(error, PermanentError)


async def test_a_small_answer_that_unpacks_to_a_large_one_is_unpacked_in_pieces() -> None:
    with remote(answer(raw=bomb(), headers={"Content-Encoding": "gzip"})) as url:
        async with baseten(url) as client:
            assert await measured(client.probe) is None


async def test_a_refusal_with_a_very_long_message_is_read_in_no_time() -> None:
    body = json.dumps({"message": "no " * 20_000}).encode()
    with remote(answer(400, raw=body)) as url:
        async with baseten(url) as client:
            error = await measured(client.probe)

    assert error is not None
    assert error.api_message is not None
    assert error.api_message.startswith("no no no")
    assert len(error.api_message) == 1024


async def test_an_answer_to_a_write_with_a_very_long_message_is_read_in_no_time() -> None:
    body = json.dumps({"status": "ACCEPTED", "message": "ab " * 20_000}).encode()
    with remote(answer(raw=body)) as url:
        async with baseten(url) as client:
            settings = AutoscalingSettings(max_replica=3)
            assert await measured(lambda: client.update_deployment("m1", "d1", settings, urgent=True)) is None
