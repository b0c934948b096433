"""One HTTP API behind one base URL and one credential.

A request goes through a fixed sequence: the path template is filled, the limiter gives the request its turn (`limits`),
one httpx client sends it, the answer is read up to a bound and within the process's budget (`commons`), its JSON is read with
pauses where it is large (`decoding`), the credential is taken out of every text in it, and anything but a 2xx with JSON
becomes an error.

What httpx does not do by itself and this module adds:

- It has no bound on the size of an answer, and decompression multiplies it: no compression is asked for, and reading
  stops at what an answer of its kind may have, be it of what arrives or of what is made of it (`body`).
- It reads all that has arrived without a pause, thousands of interim answers or chunks if that is what there is (`network`).
- Its timeouts are for each read, so a remote that sends a byte now and then is never late: a deadline covers the
  request as a whole, from the moment it may leave until the last byte. The wait for the turn is not counted.
- It takes proxies and logins from the environment and keeps cookies: both are switched off.

Requests are repeated here only where that is harmless and quick: when no connection came about, or when a GET met a
connection that the other side had just closed. Everything else is up to the caller's own schedule.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from string import Formatter
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import stamina

from setpoint import __version__
from setpoint.remotes import answers
from setpoint.remotes.body import Body
from setpoint.remotes.commons import MIB, Commons, Flight
from setpoint.remotes.credential import Credential
from setpoint.remotes.decoding import Bounds, ExceedsBoundError, Steps, UnreadableError, decode
from setpoint.remotes.errors import RateLimited, RemoteError, RemoteUnreachable, TargetNotFound, UnreadableAnswer
from setpoint.remotes.limits import LanePaused, Limits
from setpoint.remotes.meter import Meter, NoMeter
from setpoint.remotes.network import HeadTooLong, Transport
from setpoint.remotes.pinned import Check, PinnedTransport

T = TypeVar("T")

LARGEST_THING = MIB
"""Bytes of an answer that is about one thing; of lists more are read (`commons`)."""

LARGEST_REFUSAL = 64 * 1024
"""Bytes of an answer that is an error."""

ITEMS_PER_TURN = 64
"""Items of a list that are understood until the event loop has a turn."""

LONGEST_READING = 5.0
"""Seconds of work that an answer may take to be read."""

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
    the network, and `meter` is told of every request. `commons` is what the clients of the process share, and `owner` names
    those whose answers are accounted for together.

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
        commons: Commons | None = None,
        owner: str = "",
    ) -> None:
        self._commons = commons or Commons()
        self._owner = owner
        self._service = service
        self._meter = meter or NoMeter()
        self._base = _base(url)
        self._credential = credential
        self._timeout = timeout
        self._connections = asyncio.Semaphore(CONNECTIONS)
        if transport is None:
            context = self._commons.trusts.context(ca_pem)
            transport = PinnedTransport(Transport(context, connections=CONNECTIONS, keep_alive=KEEP_ALIVE), check)
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
        return await self._request(method, template, params, json, LARGEST_THING, _whole, urgent=urgent)

    async def request_list(
        self, template: str, params: Mapping[str, str], read: Callable[[Any], Iterable[T]], *, urgent: bool
    ) -> list[T]:
        """Return the items of a list, which may be a large one; `read` takes them out of the JSON, one at a time.

        Raises:
            RemoteError: as `request`; also what `read` raises.
        """

        def items(value: Any) -> Steps[list[T]]:
            found = []
            for number, item in enumerate(read(value), start=1):
                found.append(item)
                if number % ITEMS_PER_TURN == 0:
                    yield
            return found

        return await self._request("GET", template, params, None, self._commons.largest, items, urgent=urgent)

    def redact(self, text: str) -> str:
        """Return a text of the API without the credential, should it hold it."""
        return self._credential.redact(text)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or waits for its turn."""
        return self._allowance.is_busy

    async def aclose(self) -> None:
        """Close all connections; requests that still wait fail as RemoteUnreachable."""
        self._allowance.leave()
        await self._client.aclose()

    async def _request(
        self,
        method: str,
        template: str,
        params: Mapping[str, str],
        json: Any,
        largest: int,
        understand: Callable[[Any], Steps[T]],
        *,
        urgent: bool,
    ) -> T:
        path = _fill(template, params)
        async for attempt in stamina.retry_context(
            on=_is_repeatable,
            attempts=ATTEMPTS,
            timeout=ATTEMPTS_WITHIN,
            wait_initial=FIRST_RETRY,
            wait_jitter=0,
        ):
            with attempt:
                return await self._attempt(method, template, path, json, largest, understand, urgent=urgent)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self,
        method: str,
        template: str,
        path: str,
        json: Any,
        largest: int,
        understand: Callable[[Any], Steps[T]],
        *,
        urgent: bool,
    ) -> T:
        endpoint = f"{method} {template}"
        failure: RemoteError
        asked = self._time()
        try:
            async with self._commons.flight(self._owner) as flight:
                async with self._allowance.turn(endpoint, self._connections, urgent=urgent):
                    self._meter.waited(self._service, self._time() - asked)
                    response, body = await self._metered(method, path, json, largest, flight)
                async with flight.reading():
                    value = await self._result(method, path, endpoint, response, body)
                    return await self._paced(understand(value))
        except LanePaused as paused:
            text = f"{self._service} asked not to be called with {method} {path} for {paused.seconds:.0f} s more"
            failure = RateLimited(text, retry_after=paused.seconds)
        except (httpx.HTTPError, TimeoutError) as error:
            failure = self._unreachable(method, path, error)
        except _TookTooLongError:
            taken = f"{self._service} answered {response.status_code} to {method} {path}"
            failure = UnreadableAnswer(f"{taken} with what takes too long to be read", status=response.status_code)
        # Raised out here, so that no error of httpx, which holds the request and its headers, is chained to this one.
        raise failure

    async def _metered(
        self, method: str, path: str, json: Any, largest: int, flight: Flight
    ) -> tuple[httpx.Response, Body]:
        """Send, and tell the meter how it ended; one that was cancelled has no end to tell of."""
        sent = self._time()
        code = None
        try:
            response, body = await self._send(method, path, json, largest, flight)
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

    async def _send(
        self, method: str, path: str, json: Any, largest: int, flight: Flight
    ) -> tuple[httpx.Response, Body]:
        """Return the answer and its body.

        Raises:
            RemoteUnreachable: the client was closed, or the answer is large and waited, or came, for too long.
            TimeoutError: there was no answer in time, or not all of it.
            httpx.HTTPError: the connection did not come about, or broke.
        """
        if self._client.is_closed:
            raise RemoteUnreachable(f"the connection to {self._service} was closed before {method} {path} was sent")
        url = self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + path.encode())
        request = f"{method} {path}"
        try:
            async with (
                asyncio.timeout(self._timeout),
                asyncio.timeout(None) as pace,
                self._client.stream(method, url, json=json) as response,
            ):
                body = await self._read(response, largest, flight, pace)
        except TimeoutError:
            if flight.waits:
                text = (
                    f"the answer of {self._service} to {request} is large, and others were read until its time was over"
                )
            elif pace.expired():
                text = f"{self._service} sends a large answer to {request} too slowly for others to wait for it"
            else:
                raise
        else:
            return response, body
        raise RemoteUnreachable(text)

    async def _read(self, response: httpx.Response, largest: int, flight: Flight, pace: asyncio.Timeout) -> Body:
        """Return the body of an answer as far as it is of use; `pace` expires where a large one comes too slowly."""
        bound = largest if response.is_success else LARGEST_REFUSAL
        body = Body(self.redact(response.headers.get("content-encoding", "")), bound)
        async for chunk in response.aiter_raw():
            body.take(chunk)
            while True:
                has_more = body.unpack()
                pace.reschedule(await flight.grow(body.size))
                if not has_more:
                    break
                await asyncio.sleep(0)
            if body.flaw is not None:
                break
        return body

    async def _result(self, method: str, path: str, endpoint: str, response: httpx.Response, body: Body) -> Any:
        """Return the JSON of an answer, without the credential in any text.

        Raises:
            RemoteError: the answer is an error, or has none.
        """
        answered = f"{self._service} answered {response.status_code} to {method} {path}"
        found = await self._content(response, body)
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

    async def _content(self, response: httpx.Response, body: Body) -> answers.Content:
        content = body.end()
        if body.flaw is not None:
            return answers.flawed(body.flaw, response.headers)
        if not content:
            return answers.NOTHING
        try:
            return answers.Content(await self._paced(self._decoded(content)))
        except UnreadableError:
            return answers.unreadable(content, response.headers)
        except ExceedsBoundError as error:
            return answers.flawed(str(error), response.headers)

    def _decoded(self, content: bytearray) -> Steps[Any]:
        """Return the JSON of a body without the credential."""
        told = False

        def look(text: str) -> None:
            nonlocal told
            told = told or self._credential.stands_in(text)

        value = yield from decode(content, Bounds.of(self._commons.largest), look)
        return (yield from self._credential.redact_value(value)) if told else value

    @staticmethod
    async def _paced(steps: Steps[T]) -> T:
        """Return what the steps return, with a turn of the event loop between them.

        Raises:
            _TookTooLongError: they are more work than an answer may be.
        """
        worked = 0.0
        while True:
            begun = time.thread_time()
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            worked += time.thread_time() - begun
            if worked > LONGEST_READING:
                raise _TookTooLongError
            await asyncio.sleep(0)

    def _unreachable(self, method: str, path: str, error: httpx.HTTPError | TimeoutError) -> RemoteUnreachable:
        request = f"{method} {path}"
        match error:
            case httpx.ConnectTimeout():
                return RemoteUnreachable(f"{self._service} could not be reached in time for {request}", repeatable=True)
            case httpx.TimeoutException() | TimeoutError():
                return RemoteUnreachable(f"{self._service} did not answer {request} within {self._timeout:g} s")
            case HeadTooLong():
                return RemoteUnreachable(
                    f"{self._service} did not answer {request}, but sent {self.redact(str(error))}"
                )
        reason = self.redact(str(error)) or type(error).__name__
        if isinstance(error, httpx.ConnectError):
            text = f"{self._service} could not be reached for {request}: {reason}"
            return RemoteUnreachable(text, repeatable=True)
        text = f"{self._service} did not answer {request}, the connection broke: {reason}"
        return RemoteUnreachable(text, repeatable=method == "GET")


class _TookTooLongError(Exception):
    """An answer is more work than it may be."""


def _whole(value: Any) -> Steps[Any]:
    """Return the JSON as it is."""
    yield from ()
    return value


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
