"""By which names and addresses the Kubernetes API is reached, so that Connections are kept from it by all of them.

It has many: the one in the operator's own configuration, the Service `kubernetes`, the addresses of the machines it runs on,
perhaps a public name. Its Endpoints would tell some of them, to whoever has a right to read these; its certificate tells them
to everybody who opens a connection, since its clients check what they called it against the names in there.
"""

import asyncio
import logging
import os
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Protocol

from setpoint.cluster.api import KubeApi
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.pinned import Resolve, system_resolve

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that one look may take; what was found by then counts."""

AGAIN = 300.0
"""Seconds between two looks."""

LOOKS = 12
"""Looks whose findings count: of many addresses a name may tell a few at a time."""

MOST_NAMES = 64
"""Names that are resolved at most; an API server has about ten."""

_SERVICE = "kubernetes.default.svc"


class Guarded(Protocol):
    """What is kept from the API server."""

    hosts: AllowedHosts


class ApiServerGuard:
    """Keeps connections from the API server, by all that is found out about it."""

    def __init__(self, kube: KubeApi, connections: Guarded, resolve: Resolve = system_resolve) -> None:
        self._kube = kube
        self._resolve = resolve
        self._connections = connections
        self._listed = connections.hosts
        self._found: deque[frozenset[str]] = deque(maxlen=LOOKS)

    async def look(self) -> None:
        """Find out what there is now."""
        self._found.append(await known_as(self._kube, self._resolve))
        self._connections.hosts = self._listed.guarding(*frozenset().union(*self._found))

    async def run(self) -> None:
        """Look again for ever."""
        while True:
            await asyncio.sleep(AGAIN)
            await self.look()


async def known_as(kube: KubeApi, resolve: Resolve = system_resolve) -> frozenset[str]:
    """Return the names and addresses of the API server that can be found out now; never fails, but may find few."""
    found = {kube.host, _SERVICE, os.environ.get("KUBERNETES_SERVICE_HOST", "")} - {""}
    try:
        async with asyncio.timeout(PATIENCE):
            found |= await _certified(kube)
            # One after the other: each takes one of the few threads of the process.
            for name in sorted(found)[:MOST_NAMES]:
                with suppress(OSError):
                    found |= set(await resolve(name, kube.port))
    except TimeoutError:
        log.debug("not all addresses of the API server were found within %d s", PATIENCE)
    return frozenset(found)


async def _certified(kube: KubeApi) -> set[str]:
    """Return the names and addresses in the certificate of the API server, with the address that showed it."""
    if kube.tls is None:
        return set()
    try:
        _, writer = await asyncio.open_connection(kube.host, kube.port, ssl=kube.tls, server_hostname=kube.tls_name)
    except (OSError, ssl.SSLError) as error:
        log.debug("the certificate of the API server was not seen: %s", error)
        return set()
    try:
        certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
        return {*_names(certificate), str(writer.get_extra_info("peername")[0])}
    finally:
        writer.close()


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        # One with a wildcard is most likely that of a company, and covers gateways beside the API server.
        if kind in {"DNS", "IP Address"} and "*" not in name:
            yield name.strip()
