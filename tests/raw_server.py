"""An HTTP server that answers with exactly the bytes a test wants, on a real socket."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Act: TypeAlias = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]
"""Answers one request by writing to the connection, or by closing it."""


@dataclass(frozen=True)
class Request:
    """What arrived, byte for byte where it matters."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class RawServer:
    """Notes requests; `act` answers them and may be replaced at any time."""

    act: Act
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests on one connection until either side closes it."""
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                while not writer.is_closing():
                    request = await _read(reader)
                    self.requests.append(request)
                    await self.act(request, writer)
            except asyncio.CancelledError:
                writer.transport.abort()
                raise
            finally:
                writer.close()
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


@asynccontextmanager
async def raw_server(act: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve on a free port of this machine for the length of the block."""
    server = RawServer(act)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(server.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    server.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


def answer(
    status: int = 200,
    body: Any = None,
    *,
    raw: bytes | None = None,
    content_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> Act:
    """Return an act that answers every request alike: with JSON, or with `raw` bytes as the body."""
    content = json.dumps(body).encode() if raw is None else raw
    lines = {"Content-Type": content_type, "Content-Length": str(len(content)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    async def act(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)
        await writer.drain()

    return act


def in_turn(*acts: Act) -> Act:
    """Return an act that uses each of the acts once, and the last one from then on."""
    left = list(acts)

    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return act


def by_target(routes: dict[str, Act]) -> Act:
    """Return an act that looks its answer up by the request's target; others get 404."""
    missing = answer(404, {"error": "not found"})

    async def act(request: Request, writer: asyncio.StreamWriter) -> None:
        await routes.get(request.target, missing)(request, writer)

    return act


async def hang_up(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Close the connection without a word."""
    writer.close()


async def never(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Say nothing and keep the connection."""
    await asyncio.Event().wait()
