"""The simulators' own tables behind a transport without sockets, with a place for somebody who garbles the answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.simulators.api import Reply, Table, answer


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what was answered; no status and no body where the connection broke."""

    method: str
    path: str
    """As it was sent, still quoted."""
    sent: Any
    """The body of the request."""
    status: int | None
    answered: bytes | None
    at: float
    """When it was answered."""

    @property
    def writes(self) -> bool:
        """Whether it was to change something."""
        return self.method != "GET"

    def told(self) -> Any:
        """Return the body of a successful answer, None where there is none that can be read."""
        if self.answered is None or self.status is None or not 200 <= self.status < 300:
            return None
        try:
            return json.loads(self.answered)
        except (ValueError, RecursionError):
            return None


Garble = Callable[[httpx.Request, Reply], httpx.Response]


def plain(_: httpx.Request, reply: Reply) -> httpx.Response:
    """Return an answer as it is meant."""
    return response(reply.status, reply.encoded(), dict(reply.headers))


class Pieces(httpx.AsyncByteStream):
    """A body that comes in several pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def response(status: int, body: bytes, headers: dict[str, str], size: int | None = None) -> httpx.Response:
    """Return an answer that is still to be read, as one from a socket is: at once, or so many bytes at a time."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    pieces = [body] if size is None else [body[at : at + size] for at in range(0, len(body), size)]
    return httpx.Response(status, headers=encoded, stream=Pieces(pieces))


@dataclass
class Remote(httpx.AsyncBaseTransport):
    """One remote API."""

    table: Table
    garble: Garble = plain
    exchanges: list[Exchange] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Do what is asked for, and answer more or less as the simulator does."""
        await asyncio.sleep(0.001)
        content = await request.aread()
        path = request.url.raw_path.decode()
        reply = answer(self.table, request.method, path, content)
        sent = json.loads(content) if content else None
        try:
            garbled = self.garble(request, reply)
        except httpx.HTTPError:
            self.exchanges.append(Exchange(request.method, path, sent, None, None, asyncio.get_running_loop().time()))
            raise
        pieces = [chunk async for chunk in garbled.aiter_raw()]
        body, at = b"".join(pieces), asyncio.get_running_loop().time()
        self.exchanges.append(Exchange(request.method, path, sent, garbled.status_code, body, at))
        return httpx.Response(garbled.status_code, headers=garbled.headers.raw, stream=Pieces(pieces))
