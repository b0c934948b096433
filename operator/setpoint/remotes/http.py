"""One HTTP API behind one base URL and one credential.

A request goes through a fixed sequence: the path template is filled, the limiter gives the request its turn (`limits`),
one httpx client sends it, the answer is read up to a bound, and anything but a 2xx with JSON becomes an error.

What httpx does not do by itself and this module adds:

- It has no bound on the size of an answer, and decompression multiplies it: no compression is asked for, and reading
  stops at `LARGEST_ANSWER`, be it of what arrives or of what is made of it (`body`).
- Its timeouts are for each read, so a remote that sends a byte now and then is never late: a deadline covers the
  request as a whole, from the moment it may leave until the last byte. The wait for the turn is not counted.
- It takes proxies and logins from the environment and keeps cookies: both are switched off.

Requests are repeated here only where that is harmless and quick: when no connection came about, or when a GET met a
connection that the other side had just closed. Everything else is up to the caller's own schedule.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from string import Formatter
from typing import Any
from urllib.parse import quote

import httpx
import stamina

from setpoint import __version__
from setpoint.remotes import answers
from setpoint.remotes.body import Body
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import RateLimited, RemoteError, RemoteUnreachable, TargetNotFound
from setpoint.remotes.limits import LanePaused, Limits
from setpoint.remotes.meter import Meter, NoMeter
from setpoint.remotes.pinned import Check, PinnedTransport
from setpoint.remotes.trust import trusting

LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer that are read; a list of ten thousand deployments is about half of it."""

CONNECT_TIMEOUT = 10.0
"""Seconds until a connection has to be there, whatever the number of addresses that are tried for it."""
KEEP_ALIVE = 30.0
CONNECTIONS = 32
ATTEMPTS = 3
ATTEMPTS_WITHIN = 1.0
FIRST_RETRY = 0.1
LONGEST_ID = 1024


class HttpApi:
    """Sends requests to one API and returns parsed JSON.

    `service` is the API's name in messages, `timeout` the seconds a request may take, `ca_pem` is a bundle of certificate
    authorities that replaces the public ones, `check` judges the addresses the host resolves to, `transport` stands in for
    the network, and `meter` is told of every request.

    Raises:
        ValueError: the URL cannot be used, or the bundle has no certificate or one that cannot be read.
    """

    def __init__(
        self,
        service: str,
        url: str,
        credential: Credential,
        *,
        requests_per_second: int,
        timeout: float,
        limits: Limits,
        ca_pem: bytes | None = None,
        check: Check | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._service = service
        self._meter = meter or NoMeter()
        self._base = _base(url)
        self._credential = credential
        self._timeout = timeout
        self._connections = asyncio.Semaphore(CONNECTIONS)
        if transport is None:
            pool = httpx.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE
            )
            verify = True if ca_pem is None else trusting(ca_pem)
            transport = PinnedTransport(httpx.AsyncHTTPTransport(verify=verify, limits=pool, trust_env=False), check)
        self._client = httpx.AsyncClient(
            headers={
                **credential.headers,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"setpoint/{__version__}",
            },
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_TIMEOUT, timeout)),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )
        self._allowance = limits.join(str(self._base).rstrip("/"), credential.fingerprint, requests_per_second)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._base}>"

    async def request(
        self, method: str, template: str, params: Mapping[str, str], json: Any = None, *, urgent: bool
    ) -> Any:
        """Send one request and return the JSON of its answer.

        `template` is the path below the base URL with names in braces, which `params` fills with ids; it also names the
        endpoint whose rate is limited. `urgent` requests go ahead of others.

        Raises:
            TargetNotFound: an id cannot be part of a path, or the API answered 404.
            RemoteError: any other failure, as `errors` lists them.
        """
        path = _fill(template, params)
        async for attempt in stamina.retry_context(
            on=_is_repeatable,
            attempts=ATTEMPTS,
            timeout=ATTEMPTS_WITHIN,
            wait_initial=FIRST_RETRY,
            wait_jitter=0,
        ):
            with attempt:
                return await self._attempt(method, template, path, json, urgent=urgent)
        raise AssertionError("the last attempt returns or raises")

    def redact(self, text: str) -> str:
        """Return a text of the API without the credential, should it hold it."""
        return self._credential.redact(text)

    async def aclose(self) -> None:
        """Close all connections; requests that still wait fail as RemoteUnreachable."""
        self._allowance.leave()
        await self._client.aclose()

    async def _attempt(self, method: str, template: str, path: str, json: Any, *, urgent: bool) -> Any:
        endpoint = f"{method} {template}"
        failure: RemoteError
        asked = self._time()
        try:
            async with self._allowance.turn(endpoint, self._connections, urgent=urgent):
                self._meter.waited(self._service, self._time() - asked)
                response, body = await self._metered(method, path, json)
        except LanePaused as paused:
            text = f"{self._service} asked not to be called with {method} {path} for {paused.seconds:.0f} s more"
            failure = RateLimited(text, retry_after=paused.seconds)
        except (httpx.HTTPError, TimeoutError) as error:
            failure = self._unreachable(method, path, error)
        else:
            return self._result(method, path, endpoint, response, body)
        # Raised out here, so that no error of httpx, which holds the request and its headers, is chained to this one.
        raise failure

    async def _metered(self, method: str, path: str, json: Any) -> tuple[httpx.Response, Body]:
        """Send, and tell the meter how it ended; one that was cancelled has no end to tell of."""
        sent = self._time()
        code = None
        try:
            response, body = await self._send(method, path, json)
            code = str(response.status_code)
        except (httpx.TimeoutException, TimeoutError):
            code = "timeout"
            raise
        except (httpx.HTTPError, RemoteUnreachable):
            code = "unreachable"
            raise
        finally:
            if code is not None:
                self._meter.answered(self._service, method, code, self._time() - sent)
        return response, body

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()

    async def _send(self, method: str, path: str, json: Any) -> tuple[httpx.Response, Body]:
        """Return the answer and its body."""
        if self._client.is_closed:
            raise RemoteUnreachable(f"the connection to {self._service} was closed before {method} {path} was sent")
        url = self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + path.encode())
        async with asyncio.timeout(self._timeout), self._client.stream(method, url, json=json) as response:
            body = Body(response.headers.get("content-encoding", ""), LARGEST_ANSWER)
            async for chunk in response.aiter_raw():
                if not body.take(chunk):
                    break
        return response, body

    def _result(self, method: str, path: str, endpoint: str, response: httpx.Response, body: Body) -> Any:
        answered = f"{self._service} answered {response.status_code} to {method} {path}"
        content = self._credential.redact_body(body.end())
        found = answers.read(content, body.flaw, response.headers)
        error = answers.problem(
            answered,
            response.status_code,
            found,
            headers=response.headers,
            now=datetime.now(UTC),
            redact=self.redact,
            nothing_named=method == "GET" and "{" not in endpoint,
        )
        if error is None:
            return found.value
        if isinstance(error, RateLimited):
            self._allowance.pause(endpoint, error.retry_after or 0.0)
        raise error

    def _unreachable(self, method: str, path: str, error: httpx.HTTPError | TimeoutError) -> RemoteUnreachable:
        request = f"{method} {path}"
        match error:
            case httpx.ConnectTimeout():
                return RemoteUnreachable(f"{self._service} could not be reached in time for {request}", repeatable=True)
            case httpx.TimeoutException() | TimeoutError():
                return RemoteUnreachable(f"{self._service} did not answer {request} within {self._timeout:g} s")
        reason = self.redact(str(error)) or type(error).__name__
        if isinstance(error, httpx.ConnectError):
            text = f"{self._service} could not be reached for {request}: {reason}"
            return RemoteUnreachable(text, repeatable=True)
        text = f"{self._service} did not answer {request}, the connection broke: {reason}"
        return RemoteUnreachable(text, repeatable=method == "GET")


def _is_repeatable(error: Exception) -> bool:
    return isinstance(error, RemoteUnreachable) and error.repeatable


def _base(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if base.scheme not in {"http", "https"} or not base.host or base.userinfo:
        raise ValueError(f"{url!r} is not a URL with http or https, a host and no user info")
    return base.copy_with(query=None, fragment=None)


def _fill(template: str, params: Mapping[str, str]) -> str:
    """Return the path with ids in it, each of them one segment whatever characters it has."""
    path = []
    for literal, name, _, _ in Formatter().parse(template):
        path.append(literal)
        if name is not None:
            path.append(_segment(name, params[name]))
    return "".join(path)


def _segment(name: str, value: str) -> str:
    # Dots cannot be escaped: %2E%2E is the parent directory too, by the rules of URLs.
    if value in {"", ".", ".."} or len(value) > LONGEST_ID:
        raise TargetNotFound(f"{value[:64]!r} cannot be a {name.replace('_', ' ')}")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise TargetNotFound(f"{value[:64]!r} cannot be a {name.replace('_', ' ')}") from None
