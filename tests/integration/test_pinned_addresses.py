"""A connection goes to the address that was looked at, whatever its name leads to a moment later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import httpx
import pytest

from setpoint.remotes import errors
from setpoint.remotes.credential import Credential
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.http import HttpApi
from setpoint.remotes.limits import Limits
from setpoint.remotes.pinned import PinnedTransport, system_resolve
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
    # What is answered first cannot be connected to, so that the name is resolved anew.
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
