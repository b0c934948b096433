"""How kopf's watches log in at the API server: one session for as long as they run, which renews its credentials itself.

An API server that has just started, or whose authenticators cannot be reached, refuses good credentials for a while, and a
ServiceAccount's token is another one every hour. kopf 1.45.2 would meet each 401 with a new session and close the one before,
together with the watches of all other kinds. One of them whose answer has just begun is then left with a connection that is
gone and nobody to say so: it waits in vain until kopf gives it up after 70 seconds, or it fails with `RuntimeError: Connection
closed.`, for which kopf ends altogether. It also ends when it is told credentials that equal refused ones.

So kopf is given a session, and never sees a 401. A request that is refused reads the credentials again, for all that were
refused with it, and is sent again; the others go on.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from itertools import chain, repeat
from typing import Any, TypeAlias

import aiohttp
import kopf
from aiohttp.client_middlewares import ClientHandlerType

from setpoint.reconcile.ports import Clock
from setpoint.remotes.trust import lenient

log = logging.getLogger(__name__)

CALM = 120.0
"""Seconds after which credentials that were not refused count as good."""
PATIENCE = 2.0
"""Seconds until credentials are looked for again that could not be read at the start."""

Credentials: TypeAlias = kopf.ConnectionInfo | None


class EndlessBackoffs:
    """Pauses in seconds between tries that are refused or not answered, without an end.

    kopf ends the whole process after its last pause. But a namespace may be served whose Role is not there yet, or not any
    more, and that must not keep the others from being served.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8, 13, 21), repeat(30))


async def credentials(**given: Any) -> Credentials:
    """Return what opens the API server by now: the pod's service account, else the kubeconfig."""
    return await asyncio.to_thread(kopf.login_via_client, **given)


class Login:
    """The credentials of the watches, and the session that carries them."""

    def __init__(self, clock: Clock, read: Callable[..., Awaitable[Credentials]] = credentials) -> None:
        self._clock = clock
        self._read = read
        self._reread: Callable[[], Awaitable[Credentials]] = read
        self.info = kopf.ConnectionInfo(server="")
        """The credentials in use; other ones, or at least another object, each time they were read again."""
        self._tls: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._reading = asyncio.Lock()
        self._pauses: Iterator[float] = iter(())
        self._read_at = float("-inf")
        self._not_before = float("-inf")

    async def log_in(self, **given: Any) -> kopf.AiohttpSession | None:
        """Return the session for kopf, which calls this when it starts; None without any credentials.

        Raises:
            TemporaryError: the credentials cannot be read right now; kopf asks again.
        """
        self._reread = partial(self._read, **given)
        try:
            info = await self._reread()
        except Exception as error:  # noqa: BLE001 - a file that is being written may hold anything
            raise kopf.TemporaryError(_unreadable(error), delay=PATIENCE) from None
        if info is None:
            return None
        await self.aclose()
        self.info, self._tls = info, _tls(info)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls), middlewares=(self.authenticate,)
        )
        return kopf.AiohttpSession(
            server=info.server, default_namespace=info.default_namespace, aiohttp_session=self._session
        )

    async def authenticate(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request of the session with the credentials of the moment, until they are not refused.

        It ends with the answer, or with the request's own timeout.
        """
        while True:
            used = self.info
            request.headers.update(used.as_http_headers())
            response = await send(request)
            if response.status != HTTPStatus.UNAUTHORIZED:
                return response
            # The connection goes, too: it may have been opened with a certificate that is another one by now.
            response.close()
            await self.renew(used)

    async def renew(self, refused: kopf.ConnectionInfo) -> None:
        """Read the credentials again after those were refused: once for all who ask, and after growing pauses."""
        # The pause is kept as a moment, so that requests which run into their timeouts meanwhile do not begin it anew.
        await asyncio.sleep(max(self._not_before - self._clock.monotonic(), 0.0))
        async with self._reading:
            if self.info is not refused:
                return
            if self._clock.monotonic() - self._read_at > CALM:
                self._pauses = iter(EndlessBackoffs())
            pause = next(self._pauses)
            log.warning(
                "the API server refuses the operator's credentials; they are read again now, and next in %d s", pause
            )
            # Another object in any case, by which those that were refused with it know that it is their turn to try again.
            info = replace(refused)
            try:
                info = await self._reread() or info
                self._load(info)
            except Exception as error:  # noqa: BLE001 - as above; what there is may be good again
                log.warning(_unreadable(error))
            self.info = info
            self._read_at = self._clock.monotonic()
            self._not_before = self._read_at + pause

    async def aclose(self) -> None:
        """Close the session; kopf closes only one that it has used."""
        if self._session is not None:
            await self._session.close()

    def _load(self, info: kopf.ConnectionInfo) -> None:
        """Let new connections be opened with what was read again."""
        if self._tls is not None and info.ca_path:
            self._tls.load_verify_locations(cafile=info.ca_path)
        if self._tls is not None and info.certificate_path and info.private_key_path:
            self._tls.load_cert_chain(info.certificate_path, info.private_key_path)


def _tls(info: kopf.ConnectionInfo) -> ssl.SSLContext:
    """Return what connections are opened with: an authority that is named for the cluster is trusted as before Python 3.13."""
    context = info.as_ssl_context()
    return lenient(context) if info.ca_path or info.ca_data else context


def _unreadable(error: Exception) -> str:
    # Not its text: that of a YAML error shows the line, and the line may be a token.
    return f"the operator's credentials cannot be read: {type(error).__name__}"
