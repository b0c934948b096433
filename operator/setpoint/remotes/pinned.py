"""Connects to an address that was looked at first, and to the one that answers.

The list of allowed hosts speaks of names, but a connection goes to an address, and whoever rules the name chooses it: a
Service of type ExternalName inside the cluster, or a DNS answer that changes between a check and its use. So the name is
resolved here, every address is held against a check, and the connection goes to the very address that passed, with the name
in the Host header and in TLS, where the certificate is still held against the name.

Of several addresses some may not answer, and a firewall that swallows packets shows only by the time that passes. So the time
in which a connection has to be there is shared among the addresses, and the one that worked goes first from then on.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import TypeAlias

import httpx

from setpoint.remotes.errors import HostNotAllowed

Check: TypeAlias = Callable[[str], str | None]
"""Returns one sentence why an address may not be reached, or None if it may."""
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a name; raises OSError."""
_Place: TypeAlias = tuple[str, int]

GOOD_FOR = 30.0
"""Seconds a resolved name serves further requests."""


async def system_resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name as the system knows them; an address is its own."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends requests through another transport, to addresses that the check lets pass; without a check, to all of them."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, check: Check | None = None, resolve: Resolve = system_resolve
    ) -> None:
        self._inner = inner
        self._check = check
        self._resolve = resolve
        self._known: dict[_Place, tuple[float, list[str]]] = {}
        self._worked: dict[_Place, str] = {}
        self._looking = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request.

        Raises:
            HostNotAllowed: one of the name's addresses may not be reached.
            httpx.TransportError: as the other transport does.
        """
        url = request.url
        host = url.raw_host.decode("ascii")
        place = (host, url.port or (443 if url.scheme == "https" else 80))
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        patience = timeouts.get("connect")
        begun = _now()
        try:
            async with asyncio.timeout(patience):
                addresses = await self._addresses(place)
        except TimeoutError:
            raise httpx.ConnectTimeout(f"{host} was not resolved in time") from None
        for number, address in enumerate(addresses):
            left = len(addresses) - number
            share = None if patience is None else max(patience - (_now() - begun), 0.0) / left
            request.url = url.copy_with(host=address)
            request.extensions = {
                **request.extensions,
                "sni_hostname": host,
                "timeout": {**timeouts, "connect": share},
            }
            try:
                response = await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if left == 1:
                    self._known.pop(place, None)
                    raise
            else:
                self._worked[place] = address
                return response
        raise httpx.ConnectError(f"{host} has no address")

    async def aclose(self) -> None:
        """Close the other transport."""
        await self._inner.aclose()

    async def _addresses(self, place: _Place) -> list[str]:
        """Return the addresses of a name, the one that worked last before the others."""
        # Many who come at the same time need one answer; each lookup takes one of the few threads of the process.
        async with self._looking:
            known = self._known.get(place)
            if known is None or _now() - known[0] >= GOOD_FOR:
                known = self._known[place] = (_now(), await self._looked_at(place))
        worked = self._worked.get(place)
        return sorted(known[1], key=lambda address: address != worked)

    async def _looked_at(self, place: _Place) -> list[str]:
        host, port = place
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from None
        if self._check is not None:
            for refusal in filter(None, map(self._check, addresses)):
                raise HostNotAllowed(f"host {host} {refusal}")
        return addresses


def _now() -> float:
    return asyncio.get_running_loop().time()
