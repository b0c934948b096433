"""Connects to an address that was looked at first.

The list of allowed hosts speaks of names, but a connection goes to an address, and whoever rules the name chooses it: a
Service of type ExternalName inside the cluster, or a DNS answer that changes between a check and its use. So the name is
resolved here, every address is held against a check, and the connection goes to the very address that passed, with the name
in the Host header and in TLS, where the certificate is still held against the name.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx

from setpoint.remotes.errors import HostNotAllowed

Check: TypeAlias = Callable[[str], str | None]
"""Returns one sentence why an address may not be reached, or None if it may."""
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a name; raises OSError."""

GOOD_FOR = 30.0
"""Seconds a resolved name serves further requests."""


async def system_resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends requests through another transport, to addresses that the check lets pass."""

    def __init__(self, inner: httpx.AsyncBaseTransport, check: Check, resolve: Resolve = system_resolve) -> None:
        self._inner = inner
        self._check = check
        self._resolve = resolve
        self._known: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            HostNotAllowed: one of the name's addresses may not be reached.
            httpx.TransportError: as the other transport does.
        """
        url, host = request.url, request.url.host
        place = (host, url.port or (443 if url.scheme == "https" else 80))
        addresses = await self._addresses(*place)
        for number, address in enumerate(addresses, start=1):
            request.url = url.copy_with(host=address)
            request.extensions = {**request.extensions, "sni_hostname": host}
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(addresses):
                    self._known.pop(place, None)
                    raise
        raise httpx.ConnectError(f"{host} has no address")

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._inner.aclose()

    async def _addresses(self, host: str, port: int) -> list[str]:
        now = asyncio.get_running_loop().time()
        known = self._known.get((host, port))
        if known is not None and now - known[0] < GOOD_FOR:
            return known[1]
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from None
        for address in addresses:
            refusal = self._check(address)
            if refusal is not None:
                raise HostNotAllowed(f"host {host} {refusal}")
        self._known[host, port] = (now, addresses)
        return addresses
