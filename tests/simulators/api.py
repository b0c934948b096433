"""The way of a request through a simulator: journal, faults, key, rate limit, and the API itself.

An API is a table of path templates with a handler per method. A handler is a plain function from a `Call` to a `Reply`;
a refusal is raised. The templates are those of the API's documentation, because it limits rates by them.
"""

import asyncio
import functools
import json
import math
import time
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.simulators.faults import Compress, Delay, Drop, Encoding, Fault, Faults, Huge, Respond, Truncate
from tests.simulators.journal import NO_TEMPLATE, Journal
from tests.simulators.rates import Peaks, RateLimit
from tests.simulators.server import transport_under

PIECE = 64 * 1024
"""Bytes of a huge answer that are sent at once."""
_BODILESS = frozenset({204, 304})
"""Their answers tell no length, not even none."""
_WINDOW: Mapping[Encoding, int] = {"gzip": 31, "deflate": 15}
"""What zlib calls them."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is allowed."""

    params: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]
    """The last value of each parameter."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; the body is sent as JSON, or as it is when it is bytes."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    encoding: Encoding | None = None
    """How it is compressed on its way."""

    def encoded(self) -> bytes:
        """Return the bytes of the body."""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


class RefusedError(Exception):
    """An API's refusal of a request."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


Seconds: TypeAlias = int | float
"""Told apart where arguments are checked, so that 37 does not go out as 37.0."""
Handler: TypeAlias = Callable[[Call], Reply]
Table: TypeAlias = Mapping[str, Mapping[str, Handler]]


def answer(table: Table, method: str, path: str, body: bytes) -> Reply:
    """Return what an API answers where there is no socket, no key and no limit between it and the client.

    The path is as it is sent, still quoted and with its query.
    """
    path, _, query = path.partition("?")
    given = path.split("/")
    for template, handlers in table.items():
        wanted = template.split("/")
        if len(wanted) != len(given):
            continue
        pairs = list(zip(wanted, given, strict=True))
        if any(name != value and not name.startswith("{") for name, value in pairs):
            continue
        params = {name.strip("{}"): unquote(value) for name, value in pairs if name.startswith("{")}
        try:
            return handlers[method](Call(params, body, dict(parse_qsl(query, keep_blank_values=True))))
        except RefusedError as refusal:
            return refusal.reply
    return Reply(404, {"message": "There is no such path"})


@dataclass(slots=True)
class Throttling:
    """How a refusal because of the rate looks."""

    retry_after: Seconds | str | None = None
    """Seconds to tell, as a number or in words; None tells the true ones, rounded up."""
    told_in: Literal["body", "header", "both", "neither"] = "body"


@dataclass(frozen=True, slots=True)
class Errors:
    """Answers of an API that do not depend on what is asked for."""

    unauthorized: Reply
    not_found: Reply
    not_allowed: Reply
    too_many: Mapping[str, Any]
    """Body without `retry_after`."""


class Api:
    """What all endpoints of one simulated API share."""

    def __init__(self, *, errors: Errors, schemes: tuple[str, ...], keys: list[str], rate: int) -> None:
        self.errors = errors
        self._schemes = schemes
        self._first_keys, self._first_rate = keys, rate
        self.journal = Journal()
        self.faults = Faults()
        self.peaks = Peaks()
        self.limit = RateLimit(rate)
        self.throttling = Throttling()
        self.keys = set(keys)
        self.resets = 0

    def reset(self) -> None:
        """Go back to how it was at the start of the process."""
        self.journal.clear()
        self.faults.clear()
        self.peaks.clear()
        self.limit = RateLimit(self._first_rate)
        self.throttling = Throttling()
        self.keys = set(self._first_keys)
        self.resets += 1

    def routes(self, table: Table, *, prefix: str = "", public: Container[str] = ()) -> list[Route]:
        """Return the routes of an API, the last of which answers for all paths it does not have.

        The paths begin with the prefix, of which the templates know nothing; public ones need no key.
        """
        return [
            *(Route(prefix + path, _Endpoint(self, path, handlers, public)) for path, handlers in table.items()),
            Route("/{path:path}", _Endpoint(self, NO_TEMPLATE, {}, public)),
        ]

    def elsewhere(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Return the answer at a path that the API does not have."""
        return self.errors.not_found

    def key(self, headers: Mapping[str, str]) -> str:
        """Return the credential of a request, whether it is valid or not."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key if scheme in self._schemes else ""

    def authenticate(self, key: str, headers: Mapping[str, str]) -> None:
        """Raise `RefusedError` when the key is not valid."""
        if key not in self.keys:
            raise RefusedError(self.errors.unauthorized)

    def admit(self, key: str, endpoint: str) -> None:
        """Raise `RefusedError` when the rate is too high."""
        wait = self.limit.admit(key, endpoint, time.monotonic())
        if wait is None:
            return
        throttling = self.throttling
        seconds = math.ceil(wait) if throttling.retry_after is None else throttling.retry_after
        body, headers = dict(self.errors.too_many), {}
        if throttling.told_in in {"body", "both"}:
            body["retry_after"] = seconds
        if throttling.told_in in {"header", "both"}:
            headers["retry-after"] = str(seconds)
        raise RefusedError(Reply(429, body, headers))


class _Endpoint:
    """One path of an API, as an ASGI application."""

    def __init__(self, api: Api, template: str, handlers: Mapping[str, Handler], public: Container[str]) -> None:
        self._api = api
        self._handlers = handlers
        self._template = template
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            path = f"{path}?{scope['query_string'].decode('latin-1')}"
        headers = _headers(tuple(scope["headers"]))
        entry = self._api.journal.open(
            method=request.method,
            path=path,
            template=self._template,
            headers=headers,
            key=self._api.key(headers),
            body=body,
        )
        endpoint = f"{request.method} {self._template}"
        self._api.peaks.add(entry.key, endpoint, entry.monotonic)
        resets = self._api.resets

        def apply() -> Reply:
            if self._api.resets != resets:
                # A fault held it back until the test it belongs to was over.
                return Reply(503, {"message": "the simulator was reset meanwhile"})
            try:
                if self._template not in self._public:
                    self._api.authenticate(entry.key, headers)
                self._api.admit(entry.key, endpoint)
                if not self._handlers:
                    return self._api.elsewhere(request.method, scope["raw_path"].decode("latin-1"), headers)
                return self._handle(request.method, Call(request.path_params, body, request.query_params))
            except RefusedError as refusal:
                return refusal.reply

        fault = self._api.faults.take(request.method, path)
        if fault is None:
            reply: Reply | None = apply()
        else:
            entry.fault = fault.kind
            reply = await _suffer(fault, apply, scope, receive, send)
        answer = None if reply is None else reply.encoded()
        # Before it is sent, so that whoever has the answer finds it in the journal.
        self._api.journal.close(entry, None if reply is None else reply.status, answer)
        if reply is not None and answer is not None and not isinstance(fault, Huge | Truncate):
            await _send(send, reply, answer)

    def _handle(self, method: str, call: Call) -> Reply:
        handler = self._handlers.get(method)
        return handler(call) if handler else self._api.errors.not_allowed


@functools.lru_cache(maxsize=1024)
def _headers(raw: tuple[tuple[bytes, bytes], ...]) -> dict[str, str]:
    """Return headers as texts; a client's are mostly the same, so that the journal keeps few of them."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}


async def _suffer(fault: Fault, apply: Callable[[], Reply], scope: Scope, receive: Receive, send: Send) -> Reply | None:
    """Do what a fault demands and return the answer to send or already sent, None when there is none."""
    match fault:
        case Respond() | Compress():
            return _respond(fault, apply)
        case Delay(seconds=None):
            if fault.applied:
                apply()
            await _gone(receive)
            return None
        case Delay():
            reply = apply() if fault.applied else None
            await asyncio.sleep(fault.seconds or 0)
            return reply or apply()
        case Drop():
            if fault.applied:
                apply()
            transport_under(scope).abort()
            await _gone(receive)
            return None
        case Huge():
            if fault.applied:
                apply()
            await _send_huge(send, fault)
            return Reply(fault.status, f"{fault.size} bytes")
        case Truncate():
            reply = apply()
            answer = reply.encoded()
            await _send_start(send, reply, {"content-length": str(len(answer))})
            await send({"type": "http.response.body", "body": answer[: len(answer) // 2], "more_body": True})
            # Not abort, which would throw away what is not sent yet.
            transport_under(scope).close()
            await _gone(receive)
            return reply


def _respond(fault: Respond | Compress, apply: Callable[[], Reply]) -> Reply:
    if isinstance(fault, Compress):
        return replace(apply(), encoding=fault.encoding)
    if fault.applied:
        apply()
    match fault.body:
        case None:
            body: Any = b""
        case str(text):
            body = text.encode()
        case other:
            body = other
    return Reply(fault.status, body, {name.lower(): value for name, value in fault.headers.items()})


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, reply: Reply, answer: bytes) -> None:
    body = b"".join(_coded([answer], reply.encoding))
    await _send_start(send, reply, {} if reply.status in _BODILESS else {"content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body})


async def _send_start(send: Send, reply: Reply, more: Mapping[str, str]) -> None:
    coding = {} if reply.encoding is None else {"content-encoding": reply.encoding}
    headers = {"content-type": "application/json", **reply.headers, **coding, **more}
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})


async def _send_huge(send: Send, fault: Huge) -> None:
    await _send_start(send, Reply(fault.status, None, encoding=fault.encoding), {})
    for piece in _coded(_text(fault.size), fault.encoding):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # A client that reads on would keep us from all other requests.
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


def _text(size: int) -> Iterator[bytes]:
    """Give a JSON text of so many bytes piece by piece."""
    left = size - 2
    yield b'"'
    yield from (b"x" * min(left - done, PIECE) for done in range(0, left, PIECE))
    yield b'"'


def _coded(pieces: Iterable[bytes], encoding: Encoding | None) -> Iterator[bytes]:
    """Give a body in an encoding, as it is where there is none."""
    if encoding is None:
        yield from pieces
        return
    coder = zlib.compressobj(wbits=_WINDOW[encoding])
    yield from map(coder.compress, pieces)
    yield coder.flush()
