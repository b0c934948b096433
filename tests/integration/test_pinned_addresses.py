"""A connection goes to the address that was looked at, whatever its name leads to a moment later."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Address
from typing import Any

import httpx
import pytest

from setpoint.remotes import errors
from setpoint.remotes.credential import Credential
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.http import HttpApi
from setpoint.remotes.limits import Limits
from setpoint.remotes.pinned import Check, PinnedTransport, system_resolve
from tests.simulators.process import BasetenSimulator

Resolve = Callable[[str, int], Awaitable[list[str]]]


def answering(*answers: list[str]) -> Resolve:
    """Return a resolver that gives one answer after the other, and the last one for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def allowed(text: str, url: str) -> Callable[[str], str | None]:
    """Return the check of a list for a URL."""
    hosts = AllowedHosts.parse(text)
    return lambda address: hosts.refusal_of_address(url, address)


@asynccontextmanager
async def api(url: str, transport: PinnedTransport) -> AsyncIterator[HttpApi]:
    http = HttpApi(
        "Baseten",
        url,
        Credential.authorization("Bearer", "test-key"),
        requests_per_second=1000,
        timeout=5,
        limits=Limits(),
        transport=transport,
    )
    try:
        yield http
    finally:
        await http.aclose()


async def read(http: HttpApi) -> object:
    return await http.request("GET", "/v1/models", {}, urgent=True)


async def test_the_name_is_kept_for_the_host_header(baseten: BasetenSimulator) -> None:
    port = httpx.URL(baseten.url).port
    url = f"http://gateway.ai.svc:{port}"
    transport = PinnedTransport(httpx.AsyncHTTPTransport(), lambda _: None, answering(["127.0.0.1"]))
    async with api(url, transport) as http:
        assert await read(http)
    assert baseten.journal()[-1].headers["host"] == f"gateway.ai.svc:{port}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "169.254.169.254", str(IPv4Address(0)), "::ffff:127.0.0.1", "fe80::1%eth0"]
)
async def test_a_service_name_does_not_lead_to_this_machine_or_its_link(
    baseten: BasetenSimulator, address: str
) -> None:
    url = f"http://evil.ns.svc:{httpx.URL(baseten.url).port}"
    check = allowed("*.svc", url)
    transport = PinnedTransport(httpx.AsyncHTTPTransport(), check, answering(["10.0.0.1", address]))
    async with api(url, transport) as http:
        with pytest.raises(errors.HostNotAllowed, match=r"evil\.ns\.svc leads to"):
            await read(http)
    assert baseten.journal() == []


async def test_an_answer_that_changes_is_looked_at_again(baseten: BasetenSimulator) -> None:
    url = f"http://evil.ns.svc:{httpx.URL(baseten.url).port}"
    check = allowed("*.svc", url)
    # What was answered first is too old, so that the name is resolved anew.
    transport = PinnedTransport(httpx.AsyncHTTPTransport(), check, answering(["127.0.0.1"]))
    transport._known["evil.ns.svc", httpx.URL(url).port or 0] = (asyncio.get_running_loop().time() - 31, ["10.0.0.1"])
    async with api(url, transport) as http:
        with pytest.raises(errors.HostNotAllowed):
            await read(http)


async def test_what_is_listed_by_name_or_address_may_be_reached(baseten: BasetenSimulator) -> None:
    port = httpx.URL(baseten.url).port
    for text, host in ((f"localhost:{port}", "localhost"), ("*.svc,127.0.0.1", "gateway.ai.svc")):
        url = f"http://{host}:{port}"
        transport = PinnedTransport(httpx.AsyncHTTPTransport(), allowed(text, url), answering(["127.0.0.1"]))
        async with api(url, transport) as http:
            assert await read(http)


async def test_the_next_address_is_tried_where_one_does_not_answer(baseten: BasetenSimulator) -> None:
    url = f"http://gateway.ai.svc:{httpx.URL(baseten.url).port}"
    resolve = answering(["127.9.9.9", "127.0.0.1"])
    async with api(url, PinnedTransport(httpx.AsyncHTTPTransport(), lambda _: None, resolve)) as http:
        assert await read(http)


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """Let an address swallow what is sent to one of its ports, as a firewall does."""
    with ExitStack() as stack:
        # The kernel drops what comes to a listener whose queue is full; one place is the least there is.
        stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex((address, port))
        yield


def addresses_of(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Let the system resolve one name to these addresses, in this order."""
    loop = asyncio.get_running_loop()
    resolve = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **given: Any) -> Any:
        if host != name:
            return await resolve(host, port, **given)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("check", [None, lambda _: None], ids=["ClusterConnection", "Connection"])
@pytest.mark.parametrize("swallowing", [1, 3])
async def test_addresses_that_swallow_packets_cost_their_share_once(
    baseten: BasetenSimulator, monkeypatch: pytest.MonkeyPatch, check: Check | None, swallowing: int
) -> None:
    port = httpx.URL(baseten.url).port or 0
    dead = [f"127.0.0.{number + 2}" for number in range(swallowing)]
    addresses_of(monkeypatch, "gateway.ai.svc", *dead, "127.0.0.1")
    loop = asyncio.get_running_loop()
    patience = 4.0
    share = patience / (swallowing + 1)
    with ExitStack() as stack:
        for address in dead:
            stack.enter_context(silent(address, port))
        http = HttpApi(
            "Baseten",
            f"http://gateway.ai.svc:{port}",
            Credential.authorization("Bearer", "test-key"),
            requests_per_second=1000,
            timeout=patience,
            limits=Limits(),
            check=check,
        )
        begun = loop.time()
        assert await read(http)
        first = loop.time() - begun
        # Other requests at the same time need other connections.
        begun = loop.time()
        await asyncio.gather(*(read(http) for _ in range(8)))
        later = loop.time() - begun
        await http.aclose()
    assert swallowing * share * 0.9 <= first < swallowing * share + 0.8
    assert later < share / 2, "the one that worked goes first"


async def test_the_address_that_worked_stays_the_first_one_when_the_name_is_resolved_anew(
    baseten: BasetenSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    port = httpx.URL(baseten.url).port

    class Noting(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            tried.append(request.url.host)
            return await super().handle_async_request(request)

    monkeypatch.setattr("setpoint.remotes.pinned.GOOD_FOR", 0.0)
    resolve = answering(["127.9.9.8", "127.9.9.9", "127.0.0.1"], ["127.9.9.9", "127.0.0.1"], ["127.9.9.7", "127.9.9.9"])
    async with api(f"http://gateway.ai.svc:{port}", PinnedTransport(Noting(), resolve=resolve)) as http:
        await read(http)
        assert tried == ["127.9.9.8", "127.9.9.9", "127.0.0.1"]
        await read(http)
        assert tried[3:] == ["127.0.0.1"]
        with pytest.raises(errors.RemoteUnreachable):
            await read(http)
        assert "127.0.0.1" not in tried[4:], "an address that the name has not any more is not used"


async def test_many_at_once_resolve_a_name_once(baseten: BasetenSimulator) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        await asyncio.sleep(0)
        return ["127.0.0.1"]

    url = f"http://gateway.ai.svc:{httpx.URL(baseten.url).port}"
    async with api(url, PinnedTransport(httpx.AsyncHTTPTransport(), resolve=resolve)) as http:
        await asyncio.gather(*(read(http) for _ in range(8)))
    assert asked == ["gateway.ai.svc"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::7"])
async def test_an_address_is_not_resolved(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise AssertionError("nobody was to be asked")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    assert await system_resolve(address, 443) == [address]


async def test_a_name_that_takes_too_long_to_resolve_is_unreachable() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    transport = PinnedTransport(httpx.AsyncHTTPTransport(), resolve=never)
    with pytest.raises(httpx.ConnectTimeout, match="was not resolved in time"):
        await transport.handle_async_request(
            httpx.Request("GET", "http://gateway.ai.svc", extensions={"timeout": {"connect": 0.1}})
        )


async def test_a_name_without_an_address_is_unreachable_for_now() -> None:
    async with api(
        "http://nowhere.invalid", PinnedTransport(httpx.AsyncHTTPTransport(), lambda _: None, system_resolve)
    ) as http:
        with pytest.raises(errors.RemoteUnreachable, match=r"nowhere\.invalid cannot be resolved"):
            await read(http)


def test_the_kubernetes_api_is_off_limits_by_name_and_by_address() -> None:
    hosts = AllowedHosts.parse("*.svc").guarding("10.96.0.1")
    assert "is the Kubernetes API" in (hosts.refusal("https://kubernetes.default.svc", namespaced=True) or "")
    assert "the Kubernetes API" in (hosts.refusal_of_address("https://evil.ns.svc", "10.96.0.1") or "")
    assert hosts.refusal_of_address("https://gateway.ns.svc", "10.96.0.2") is None
    listed = AllowedHosts.parse("kubernetes.default.svc").guarding("10.96.0.1")
    assert listed.refusal("https://kubernetes.default.svc", namespaced=True) is None
    assert listed.refusal_of_address("https://kubernetes.default.svc", "10.96.0.1") is None
