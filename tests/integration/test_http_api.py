"""One HTTP API over real sockets: what is sent, what odd answers become, what is repeated, what never shows."""

import asyncio
import gzip
import json
import logging
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from setpoint.remotes import errors
from setpoint.remotes.commons import LARGEST_ANSWER as LARGEST_MIB
from setpoint.remotes.commons import MIB, Commons
from setpoint.remotes.credential import Credential
from setpoint.remotes.http import LARGEST_THING, HttpApi
from setpoint.remotes.limits import Limits
from setpoint.remotes.meter import Meter
from setpoint.remotes.pinned import Check, PinnedTransport
from setpoint.remotes.trust import trusting
from tests.controlplane.certs import Authority
from tests.raw_server import Act, RawServer, Request, answer, hang_up, in_turn, never, raw_server
from tests.waiting import eventually_async

LARGEST_ANSWER = LARGEST_MIB * MIB
KEY = "s3cret-Key.0123456789"
THING = "/v1/things/{thing_id}"


@asynccontextmanager
async def api(
    url: str,
    *,
    limits: Limits | None = None,
    timeout: float = 5,
    rate: int = 1000,
    key: str = KEY,
    ca: bytes | None = None,
    check: Check | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    meter: Meter | None = None,
    commons: Commons | None = None,
    owner: str = "ml",
) -> AsyncIterator[HttpApi]:
    http = HttpApi(
        "Baseten",
        url,
        Credential.authorization("Bearer", key),
        requests_per_second=rate,
        timeout=timeout,
        limits=limits or Limits(),
        ca_pem=ca,
        check=check,
        transport=transport,
        meter=meter,
        commons=commons,
        owner=owner,
    )
    try:
        yield http
    finally:
        await http.aclose()


async def get(http: HttpApi, thing: str = "x") -> Any:
    return await http.request("GET", THING, {"thing_id": thing}, urgent=False)


async def get_list(http: HttpApi) -> list[Any]:
    """Return the items of a list that stands in an object."""
    return await http.request_list("/v1/things", {}, lambda body: body["things"], urgent=False)


async def patch(http: HttpApi) -> Any:
    return await http.request("PATCH", THING, {"thing_id": "x"}, {"a": 1}, urgent=False)


async def failure(act: Act, *, timeout: float = 5, write: bool = False) -> tuple[errors.RemoteError, RawServer]:
    """Return what one request raises when it is answered like that."""
    async with raw_server(act) as server, api(server.url, timeout=timeout) as http:
        with pytest.raises(errors.RemoteError) as raised:
            await (patch(http) if write else get(http))
        return raised.value, server


def everything_shown(error: BaseException) -> str:
    """Return all text by which an exception could tell a secret."""
    parts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        parts += [repr(seen), str(seen), repr(seen.args), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


async def test_a_request_has_the_headers_it_should_and_no_others() -> None:
    async with raw_server(answer(body={"ok": True})) as server, api(server.url) as http:
        assert await patch(http) == {"ok": True}

        request = server.requests[0]
        assert (request.method, request.target, request.json) == ("PATCH", "/v1/things/x", {"a": 1})
        assert request.headers.pop("user-agent").startswith("setpoint/")
        assert request.headers == {
            "host": server.url.removeprefix("http://"),
            "authorization": f"Bearer {KEY}",
            "accept": "application/json",
            "accept-encoding": "identity",
            "connection": "keep-alive",
            "content-type": "application/json",
            "content-length": str(len(request.body)),
        }


@pytest.mark.parametrize(
    ("thing", "target"),
    [
        ("a/b", "/v1/things/a%2Fb"),
        ("a?b#c", "/v1/things/a%3Fb%23c"),
        ("50%", "/v1/things/50%25"),
        ("%2e%2e", "/v1/things/%252e%252e"),
        ("..a", "/v1/things/..a"),
        ("a b+c", "/v1/things/a%20b%2Bc"),
        ("é\r\n", "/v1/things/%C3%A9%0D%0A"),
        ("../../admin", "/v1/things/..%2F..%2Fadmin"),
        ("{thing_id}", "/v1/things/%7Bthing_id%7D"),
    ],
)
async def test_an_id_stays_one_segment_of_the_path(thing: str, target: str) -> None:
    async with raw_server(answer(body={})) as server, api(server.url) as http:
        await get(http, thing)

        assert server.requests[0].target == target


@pytest.mark.parametrize("thing", ["", ".", "..", "\ud800", "x" * 5000])
async def test_an_id_that_cannot_be_a_segment_is_not_sent(thing: str) -> None:
    async with raw_server(answer(body={})) as server, api(server.url) as http:
        with pytest.raises(errors.TargetNotFound, match="cannot be a thing id"):
            await get(http, thing)

        assert server.requests == []


@pytest.mark.parametrize("prefix", ["", "/", "/pre/fix", "/pre/fix/", "/pre%2Ffix"])
async def test_the_path_of_the_base_url_comes_first(prefix: str) -> None:
    async with raw_server(answer(body={})) as server, api(server.url + prefix) as http:
        await get(http)

        assert server.requests[0].target == f"{prefix.rstrip('/')}/v1/things/x"


@pytest.mark.parametrize(
    "url", ["", "api.baseten.co", "ftp://h", "https://", "https://u:p@h", "https://[::1", "http://a\nb"]
)
async def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        async with api(url):
            pass


async def test_a_refusal_is_told_with_the_words_of_the_api() -> None:
    error, _ = await failure(answer(400, {"code": "VALIDATION_ERROR", "message": "max_replica: too many"}), write=True)

    assert isinstance(error, errors.InvalidSettings)
    assert error.message == "Baseten answered 400 to PATCH /v1/things/x: max_replica: too many"
    assert error.api_message == "max_replica: too many"
    assert error.status == 400


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            answer(502, raw=b"<h1>key</h1>", content_type="text/html; charset=utf-8"),
            "answered 502 to {} with text/html",
        ),
        (answer(503, raw=b"", content_type=""), "answered 503 to {}"),
        (answer(500, {}), "answered 500 to {}"),
    ],
)
async def test_answers_that_cannot_be_used_are_failures_of_the_remote(act: Act, message: str) -> None:
    error, server = await failure(act)

    assert type(error) is errors.RemoteFailure
    assert message.format("GET /v1/things/x") in error.message
    assert len(server.requests) == 1


def packed(raw: bytes, encoding: str, status: int = 200) -> Act:
    """Return an act whose answer is said to be packed."""
    return answer(status, raw=raw, headers={"Content-Encoding": encoding})


def headless(content: bytes) -> bytes:
    """Return what some servers send as deflate, without the header that should be there."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("act", "words"),
    [
        (answer(200, raw=b'{"a": '), "application/json that is no readable JSON"),
        (answer(200, raw=b"[" * 500_000), "application/json that is no readable JSON"),
        (answer(200, raw=b"OK", content_type="text/plain"), "text/plain that is no readable JSON"),
        (answer(200, raw=b"", content_type=""), "nothing in it"),
        (answer(202, raw=b""), "nothing in it"),
        (answer(204, raw=b"", content_type=""), "nothing in it"),
        (packed(b"?", "br"), "a body packed as br, which was not asked for"),
        (packed(b"{}", "gzip, gzip"), "a body packed as gzip, gzip, which was not asked for"),
        (packed(b"{}", "gzip"), "a compressed body that cannot be unpacked"),
        (packed(b"\xff\xff\xff", "deflate"), "a compressed body that cannot be unpacked"),
        (packed(gzip.compress(b"{}")[:-9], "gzip"), "a compressed body that ends too early"),
        (packed(b"x", "deflate"), "a compressed body that ends too early"),
    ],
)
async def test_a_success_that_cannot_be_understood_says_that_it_is_one(act: Act, words: str, *, write: bool) -> None:
    error, server = await failure(act, write=write)

    assert type(error) is errors.UnreadableAnswer
    assert error.status is not None
    assert 200 <= error.status < 300
    assert (
        error.message == f"Baseten answered {error.status} to {'PATCH' if write else 'GET'} /v1/things/x with {words}"
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pack", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "X-GZip"),
        (zlib.compress, "deflate"),
        (headless, "deflate"),
        (bytes, "identity"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 1000])
async def test_an_answer_that_was_packed_unasked_is_unpacked(
    pack: Callable[[bytes], bytes], encoding: str, pieces: int
) -> None:
    content = pack(json.dumps({"text": ["x" * number for number in range(300)]}).encode())

    async def in_pieces(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        for start in range(0, len(content), max(len(content) // pieces, 1)):
            writer.write(content[start : start + max(len(content) // pieces, 1)])
            await writer.drain()

    async with raw_server(in_pieces) as server, api(server.url) as http:
        assert len((await get(http))["text"]) == 300
        assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_a_refusal_that_was_packed_unasked_is_read() -> None:
    error, _ = await failure(packed(gzip.compress(b'{"message": "too large"}'), "gzip", 400))

    assert error.api_message == "too large"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_stopped_while_it_is_unpacked(encoding: str) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS)
    block = packer.compress(b" " * (128 * LARGEST_THING)) + packer.flush(zlib.Z_SYNC_FLUSH)
    sent = [0]

    async def bomb(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        while sent[0] < LARGEST_ANSWER:
            writer.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
            await writer.drain()
            sent[0] += len(block)

    tracemalloc.start()
    try:
        error, _ = await failure(bomb, timeout=60)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert type(error) is errors.UnreadableAnswer
    assert error.message == "Baseten answered 200 to GET /v1/things/x with more than 1 MiB"
    assert sent[0] < LARGEST_ANSWER, "what came after the bound was not read"
    assert most < 5 * LARGEST_THING, "nor was more unpacked"


PAGE = b"<!doctype html><title>Bifrost</title>"


@pytest.mark.parametrize("write", [False, True])
@pytest.mark.parametrize(
    ("act", "words"),
    [
        (
            answer(200, raw=PAGE, content_type="text/html; charset=utf-8"),
            "200 to {} with a page of HTML instead of JSON",
        ),
        (packed(gzip.compress(PAGE), "gzip"), "200 to {} with a page of HTML instead of JSON"),
        (answer(404, raw=PAGE, content_type="text/html"), "404 to {} with text/html"),
        (answer(404, raw=b"default backend - 404", content_type="text/plain"), "404 to {} with text/plain"),
        (answer(405, raw=b"Method Not Allowed", content_type="text/plain"), "405 to {} with text/plain"),
        (answer(400, raw=PAGE, content_type="text/html"), "400 to {} with text/html"),
        (answer(301, raw=b"", headers={"Location": "/v1/things/x/"}), "301 to {} with a redirect to /v1/things/x/,"),
        (
            answer(302, raw=PAGE, headers={"Location": "https://sso.example.com/?a=b"}),
            "to https://sso.example.com/, which",
        ),
        (answer(511, raw=PAGE, content_type="text/html"), "511 to {} with text/html"),
    ],
)
async def test_what_is_not_the_api_is_told_from_it(act: Act, words: str, *, write: bool) -> None:
    error, server = await failure(act, write=write)

    assert type(error) is errors.UnexpectedAnswer
    assert words.format("PATCH /v1/things/x" if write else "GET /v1/things/x") in error.message
    assert error.message.endswith(", so it is not the API that answers; correct the URL of the connection")
    assert len(server.requests) == 1


async def test_a_list_that_is_not_there_means_that_the_api_is_not() -> None:
    async with raw_server(answer(404, {"message": "no such route"})) as server, api(server.url) as http:
        with pytest.raises(errors.UnexpectedAnswer, match="no such route, so it is not the API that answers"):
            await http.request("GET", "/v1/things", {}, urgent=False)
        with pytest.raises(errors.TargetNotFound):
            await get(http)
        with pytest.raises(errors.TargetNotFound):
            await http.request("POST", "/v1/things", {}, {"of": "another"}, urgent=False)


async def test_a_redirect_is_not_followed() -> None:
    async with raw_server(answer(body={})) as target:
        error, _ = await failure(answer(307, raw=b"", headers={"Location": f"{target.url}/stolen"}))

        assert isinstance(error, errors.UnexpectedAnswer)
        assert target.connections == 0


async def test_cookies_are_not_kept() -> None:
    act = answer(body={}, headers={"Set-Cookie": "a=b; Path=/"})
    async with raw_server(act) as server, api(server.url) as http:
        await get(http)
        await get(http)

        assert "cookie" not in server.requests[1].headers


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(answer(body={})) as proxy, raw_server(answer(body={})) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with api(server.url) as http:
            await get(http)

        assert (proxy.connections, server.connections) == (0, 1)


def endless(status: int) -> tuple[Act, list[int]]:
    """Return an act whose answer does not end, and a list to which it adds what it has sent."""
    sent = [0]

    async def act(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Whatever\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        while True:
            writer.write(block)
            await writer.drain()
            sent[0] += 0x10000

    return act, sent


async def test_an_endless_answer_is_cut_off() -> None:
    act, sent = endless(200)

    error, _ = await failure(act, timeout=60)

    assert isinstance(error, errors.UnreadableAnswer)
    assert error.message == "Baseten answered 200 to GET /v1/things/x with more than 1 MiB"
    assert sent[0] < 16 * LARGEST_THING


@pytest.mark.parametrize("largest", [1, 16])
async def test_an_endless_list_is_cut_off_where_a_setting_says(largest: int) -> None:
    act, sent = endless(200)

    async with raw_server(act) as server, api(server.url, timeout=60, commons=Commons(largest)) as http:
        with pytest.raises(errors.UnreadableAnswer) as raised:
            await get_list(http)

    assert raised.value.message == f"Baseten answered 200 to GET /v1/things with more than {largest} MiB"
    assert sent[0] < (largest + 16) * MIB


async def test_an_endless_refusal_is_still_a_refusal() -> None:
    act, _ = endless(401)

    error, _ = await failure(act, timeout=60)

    assert isinstance(error, errors.AuthenticationFailed)


async def test_a_large_list_within_the_bound_is_read() -> None:
    things = ["x" * 2000] * (LARGEST_ANSWER // 2005)
    body = json.dumps({"things": things}).encode()
    assert LARGEST_ANSWER * 0.99 < len(body) < LARGEST_ANSWER
    async with raw_server(answer(raw=body)) as server, api(server.url, timeout=60) as http:
        assert await get_list(http) == things


async def test_the_deadline_covers_an_answer_that_drips() -> None:
    async def drip(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    begun = asyncio.get_running_loop().time()
    error, server = await failure(drip, timeout=0.3)

    assert isinstance(error, errors.RemoteUnreachable)
    assert error.message == "Baseten did not answer GET /v1/things/x within 0.3 s"
    assert asyncio.get_running_loop().time() - begun < 2
    assert len(server.requests) == 1


async def test_silence_ends_at_the_deadline() -> None:
    error, server = await failure(never, timeout=0.2, write=True)

    assert isinstance(error, errors.RemoteUnreachable)
    assert error.message == "Baseten did not answer PATCH /v1/things/x within 0.2 s"
    assert len(server.requests) == 1


async def test_a_refused_connection_is_tried_three_times_within_a_second() -> None:
    async with raw_server(never) as gone:
        pass
    begun = asyncio.get_running_loop().time()

    async with api(gone.url) as http:
        with pytest.raises(errors.RemoteUnreachable, match="could not be reached for PATCH /v1/things/x: ") as raised:
            await patch(http)

    assert raised.value.status is None
    assert 0.3 <= asyncio.get_running_loop().time() - begun < 1.5


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async with api("http://no-such-host.invalid") as http:
        with pytest.raises(errors.RemoteUnreachable, match="could not be reached"):
            await get(http)


async def test_a_read_is_repeated_on_a_connection_that_was_dropped() -> None:
    async with raw_server(in_turn(hang_up, answer(body={"n": 2}))) as server, api(server.url) as http:
        assert await get(http) == {"n": 2}
        assert len(server.requests) == 2


async def test_a_write_is_not_repeated_on_a_connection_that_was_dropped() -> None:
    error, server = await failure(in_turn(hang_up, answer(body={})), write=True)

    assert isinstance(error, errors.RemoteUnreachable)
    assert "did not answer PATCH /v1/things/x, the connection broke" in error.message
    assert len(server.requests) == 1


async def test_a_server_that_always_hangs_up_is_asked_three_times() -> None:
    error, server = await failure(hang_up)

    assert isinstance(error, errors.RemoteUnreachable)
    assert len(server.requests) == 3


async def test_a_truncated_answer_is_unreachable() -> None:
    async def truncate(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"a"')
        writer.close()

    error, _ = await failure(truncate, write=True)

    assert isinstance(error, errors.RemoteUnreachable)


async def test_bytes_that_are_no_http_are_unreachable() -> None:
    async def nonsense(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        writer.close()

    error, _ = await failure(nonsense, write=True)

    assert isinstance(error, errors.RemoteUnreachable)


async def test_failures_of_the_remote_are_not_repeated() -> None:
    _, server = await failure(answer(500, {"message": "oops"}))

    assert len(server.requests) == 1


async def test_a_server_error_may_say_how_long_to_wait() -> None:
    error, _ = await failure(answer(503, {}, headers={"Retry-After": "7"}))

    assert isinstance(error, errors.RemoteFailure)
    assert error.retry_after == 7


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        ({"error": "Rate limit exceeded...", "retry_after": 37}, {}, 37),
        ({}, {"Retry-After": "12"}, 12),
        ({}, {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True)}, 3600),
        ({}, {}, 1),
    ],
)
async def test_a_limited_request_tells_how_long_to_wait(body: Any, headers: dict[str, str], wait: float) -> None:
    error, server = await failure(answer(429, body, headers=headers))

    assert isinstance(error, errors.RateLimited)
    assert error.retry_after == wait
    assert len(server.requests) == 1


@pytest.mark.parametrize("clients", [1, 2])
async def test_everybody_with_the_same_key_waits_after_a_limited_request(clients: int) -> None:
    loop = asyncio.get_running_loop()
    arrived: list[float] = []
    act = in_turn(answer(429, {"retry_after": 0.5}), answer(body={}))

    async def note(request: Request, writer: asyncio.StreamWriter) -> None:
        arrived.append(loop.time())
        await act(request, writer)

    limits = Limits()
    async with (
        raw_server(note) as server,
        api(server.url, limits=limits) as first,
        api(f"{server.url}/", limits=limits) as second,
    ):
        with pytest.raises(errors.RateLimited):
            await get(first)
        await asyncio.gather(*(get(http) for http in (first, second)[:clients] for _ in range(5)))

    assert min(arrived[1:]) - arrived[0] >= 0.5


async def test_a_long_wait_is_told_to_everybody_without_a_request() -> None:
    async with raw_server(answer(429, {"retry_after": 37})) as server, api(server.url) as http:
        with pytest.raises(errors.RateLimited):
            await get(http)
        with pytest.raises(errors.RateLimited) as raised:
            await get(http, "y")

        assert raised.value.message == "Baseten asked not to be called with GET /v1/things/y for 37 s more"
        assert raised.value.retry_after == pytest.approx(37, abs=1)
        assert raised.value.status is None
        assert len(server.requests) == 1


async def test_another_endpoint_does_not_wait_after_a_limited_request() -> None:
    async with (
        raw_server(in_turn(answer(429, {"retry_after": 60}), answer(body={}))) as server,
        api(server.url) as http,
    ):
        with pytest.raises(errors.RateLimited):
            await get(http)
        async with asyncio.timeout(5):
            await patch(http)


async def test_more_callers_than_connections_are_served() -> None:
    async with raw_server(answer(body={})) as server, api(server.url, timeout=60) as http:
        await asyncio.gather(*(get(http) for _ in range(200)))

        assert len(server.requests) == 200
        assert server.connections <= 32


async def test_a_cancelled_caller_gives_its_connection_back() -> None:
    async with raw_server(never) as server, api(server.url) as http:
        waiting = [asyncio.create_task(get(http)) for _ in range(40)]

        async def all_connections_are_in_use() -> bool:
            return len(server.requests) == 32

        await eventually_async(all_connections_are_in_use, interval=0.01)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        server.act = answer(body={})
        async with asyncio.timeout(5):
            await asyncio.gather(*(get(http) for _ in range(40)))


async def test_a_request_after_the_end_of_the_connection_is_unreachable() -> None:
    async with raw_server(answer(body={})) as server:
        async with api(server.url) as http:
            pass
        with pytest.raises(errors.RemoteUnreachable, match="was closed before GET /v1/things/x was sent"):
            await get(http)

        assert server.requests == []


@pytest.mark.parametrize(
    "act",
    [
        answer(401, {"message": f"bad key {KEY}"}),
        answer(403, {"error": {"message": f"{KEY} may not"}}),
        answer(404, {"detail": [{"msg": KEY}]}),
        answer(400, {"message": "x" * 1010 + KEY}),
        answer(429, {"error": KEY}),
        answer(500, raw=KEY.encode(), content_type="text/plain"),
        answer(200, raw=KEY.encode(), content_type="text/plain"),
        hang_up,
        never,
    ],
)
async def test_the_key_is_in_no_error_and_no_log(act: Act, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    error, _ = await failure(act, timeout=0.3)

    assert KEY not in everything_shown(error)
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [200, 500])
async def test_the_key_is_in_no_error_though_the_answer_has_it_as_its_type(status: int) -> None:
    error, _ = await failure(answer(status, raw=b"?", content_type=f"text/{KEY}"))

    assert "text/[redacted]" in error.message
    assert KEY not in everything_shown(error)


async def test_the_key_is_in_no_error_about_bytes_that_are_no_http() -> None:
    async def nonsense(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{KEY} {KEY}\r\n\r\n".encode())
        writer.close()

    error, _ = await failure(nonsense)

    assert KEY not in everything_shown(error)


async def test_the_key_is_in_no_repr() -> None:
    async with api("https://api.baseten.co") as http:
        assert repr(http) == "<HttpApi https://api.baseten.co>"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ssl.SSLContext]:
    """A private authority such as people have, and what a server of it serves with."""
    signer = Authority("private", bare=True)
    return signer.pem, signer.serving(tmp_path_factory.mktemp("tls"))


async def test_an_own_authority_is_trusted_only_where_it_is_given(authority: tuple[bytes, ssl.SSLContext]) -> None:
    certificate, tls = authority
    async with raw_server(answer(body={"ok": True}), tls) as server:
        async with api(server.url, ca=certificate) as http:
            assert await get(http) == {"ok": True}
        for other in (None, Authority("private", bare=True).pem):
            async with api(server.url, ca=other) as http:
                with pytest.raises(errors.RemoteUnreachable, match="certificate verify failed"):
                    await get(http)


async def loopback(host: str, port: int) -> list[str]:
    """Resolve every name to this machine."""
    return ["127.0.0.1"]


async def test_a_looked_at_address_still_has_to_show_the_names_certificate(
    authority: tuple[bytes, ssl.SSLContext],
) -> None:
    certificate, tls = authority
    async with raw_server(answer(body={"ok": True}), tls) as server:
        named = server.url.replace("127.0.0.1", "localhost")
        async with api(named, ca=certificate, check=lambda _: None) as http:
            assert await get(http) == {"ok": True}
        inner = httpx.AsyncHTTPTransport(verify=trusting(certificate))
        other = server.url.replace("127.0.0.1", "gateway.ai.svc")
        async with api(other, transport=PinnedTransport(inner, lambda _: None, loopback)) as http:
            with pytest.raises(errors.RemoteUnreachable, match="certificate verify failed"):
                await get(http)


def bundles(certificate: bytes) -> dict[str, bytes]:
    """Return a certificate in files such as people put together."""
    text = certificate.decode()
    other = Authority("another").pem.decode()
    return {
        "comment in UTF-8": f"# Zertifikat für die Gateways\n{text}".encode(),
        "comment in Latin-1": f"# Zertifikat für die Gateways\n{text}".encode("latin-1"),
        "byte order mark": text.encode("utf-8-sig"),
        "UTF-16 of a Windows shell": text.encode("utf-16"),
        "line ends of Windows": text.replace("\n", "\r\n").encode(),
        "indented": text.replace("\n", "\n    ").encode(),
        "several with comments": f"été\n{other}\n\u200b naïve \n{text}\nÜ".encode(),
        "with another key in it": f"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{text}".encode(),
        "old label": text.replace("BEGIN CERT", "BEGIN X509 CERT").replace("END CERT", "END X509 CERT").encode(),
    }


@pytest.mark.parametrize("form", bundles(b""))
async def test_a_bundle_is_taken_by_its_pem_blocks(form: str, authority: tuple[bytes, ssl.SSLContext]) -> None:
    certificate, tls = authority
    async with (
        raw_server(answer(body={"ok": True}), tls) as server,
        api(server.url, ca=bundles(certificate)[form]) as http,
    ):
        assert await get(http) == {"ok": True}


NONE = "the CA bundle holds no certificate: there is no text from -----BEGIN CERTIFICATE-----"


@pytest.mark.parametrize(
    ("ca", "words"),
    [
        (b"", NONE),
        (b"no certificate", NONE),
        (b"\x30\x82\x01\x0a\xff\xfe", NONE),
        ("für".encode("utf-16"), NONE),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", NONE),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate 1 of 1 in the CA bundle"),
        ("-----BEGIN CERTIFICATE-----\nÄÖÜ\n-----END CERTIFICATE-----".encode(), "certificate 1 of 1 in the CA bundle"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "certificate 1 of 1 in the CA bundle"),
        (
            Authority("private").pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "certificate 2 of 2 in the CA bundle cannot be read",
        ),
    ],
)
async def test_a_bundle_that_cannot_be_used_is_refused_in_plain_words(ca: bytes, words: str) -> None:
    with pytest.raises(ValueError, match="CA bundle") as raised:
        async with api("https://api.baseten.co", ca=ca):
            pass

    assert words in str(raised.value)


class Ledger:
    """Keeps what the meter is told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str, str]] = []
        self.waits: list[float] = []
        self.durations: list[float] = []

    def waited(self, service: str, seconds: float) -> None:
        self.waits.append(seconds)

    def answered(self, service: str, method: str, code: str, seconds: float) -> None:
        self.ends.append((service, method, code))
        self.durations.append(seconds)


async def test_every_request_is_metered_however_it_ends() -> None:
    ledger = Ledger()
    acts = in_turn(answer(200, {}), answer(503, {}), answer(200, raw=b"<html>"), never)
    async with raw_server(acts) as server, api(server.url, timeout=0.5, meter=ledger) as http:
        await get(http)
        for _ in range(3):
            with pytest.raises(errors.RemoteError):
                await patch(http)
    async with api("http://127.0.0.1:1", meter=ledger) as http:
        with pytest.raises(errors.RemoteUnreachable):
            await patch(http)
    patches = [("Baseten", "PATCH", code) for code in ("503", "200", "timeout")]
    assert ledger.ends[:4] == [("Baseten", "GET", "200"), *patches]
    assert set(ledger.ends[4:]) == {("Baseten", "PATCH", "unreachable")}
    assert len(ledger.waits) == len(ledger.durations) == len(ledger.ends)
    assert ledger.durations[3] >= 0.5


async def test_the_wait_for_a_turn_is_metered_apart_from_the_request() -> None:
    ledger = Ledger()
    async with raw_server(answer(200, {})) as server, api(server.url, rate=5, meter=ledger) as http:
        await asyncio.gather(*(get(http) for _ in range(4)))
    assert max(ledger.waits) > 0.4
