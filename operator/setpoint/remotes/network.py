"""The network under the clients of remote APIs: little at a time, so that whoever answers holds up nobody else.

What httpx has below it reads 64 KiB in one go and works through all of it without a pause: thousands of interim answers, of
chunks or of headers, if that is what a remote sends, with everything else in the process waiting, its deadline too. Here every
read takes little and gives the event loop a turn, and whatever carries no content has a bound: heads, interim answers, what
stands beside chunks, and trailers.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpcore
import httpx

AT_ONCE = 16 * 1024
"""Bytes of one read."""

LONGEST_HEAD = 32 * 1024
"""Bytes that are read without a piece of content among them; measured: 20 ms for the shortest headers that fit."""

CHUNKS_PER_TURN = 64
"""Chunks handed on until the event loop has a turn."""


class HeadTooLong(httpx.RemoteProtocolError):
    """A remote sends headers, or answers before the answer, without an end."""


class Transport(httpx.AsyncBaseTransport):
    """Sends requests over connections of its own, kept open for `keep_alive` seconds; at most `connections` at once."""

    def __init__(self, context: ssl.SSLContext, *, connections: int, keep_alive: float) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=keep_alive,
            network_backend=_Backend(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            httpx.TransportError: it was not sent, or not answered.
        """
        url = request.url
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await self._pool.handle_async_request(sent)
        except _ERRORS as error:
            raise _translated(error) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Content(response, response.extensions["network_stream"]),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Content(httpx.AsyncByteStream):
    """The body of an answer, as it arrives."""

    def __init__(self, response: httpcore.Response, stream: "_Stream") -> None:
        self._response = response
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self._stream.brought_content()
        number = 0
        try:
            async for chunk in self._response.aiter_stream():
                self._stream.brought_content()
                number += 1
                if number % CHUNKS_PER_TURN == 0:
                    await asyncio.sleep(0)
                yield chunk
        except _ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Opens connections that are read a little at a time."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._without_content = 0

    def brought_content(self) -> None:
        """Tell that something of what was read was worth it."""
        self._without_content = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._inner.read(min(max_bytes, AT_ONCE), timeout)
        self._without_content += len(data)
        if self._without_content > LONGEST_HEAD:
            raise _TooLongError
        await asyncio.sleep(0)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._without_content = 0
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _TooLongError(httpcore.RemoteProtocolError):
    pass


_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def _translated(error: Exception) -> httpx.TransportError:
    """Return httpx' error of the same name."""
    if isinstance(error, _TooLongError):
        return HeadTooLong(
            f"more than {LONGEST_HEAD >> 10} KiB without content: headers, answers before the answer, or trailers"
        )
    for kind in type(error).__mro__:
        found = getattr(httpx, kind.__name__, None)
        if isinstance(found, type) and issubclass(found, httpx.TransportError):
            return found(str(error))
    raise AssertionError(f"httpx has no error for {type(error).__name__}")
