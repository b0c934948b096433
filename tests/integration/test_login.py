"""The session of the watches, over real sockets: what a 401 does to the request, and to the others."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import kopf
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from setpoint.cluster.login import Credentials, Login
from setpoint.reconcile.ports import LoopClock
from tests.controlplane.certs import Authority, Pair
from tests.raw_server import Request, answer, raw_server

LIST = answer(200, {"items": []})
REFUSAL = answer(401, {"kind": "Status", "code": 401, "message": "Unauthorized"})


@asynccontextmanager
async def session(*told: kopf.ConnectionInfo) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session whose credentials are those one after the other, and the last from then on."""
    left = list(told)

    async def read(**_: Any) -> Credentials:
        return left.pop(0) if len(left) > 1 else left[0]

    login = Login(LoopClock(), read)
    opened = await login.log_in()
    assert opened is not None
    try:
        yield opened.aiohttp_session
    finally:
        await login.aclose()


async def test_a_refused_request_is_sent_again_with_what_was_read_again() -> None:
    async def by_token(request: Request, writer: asyncio.StreamWriter) -> None:
        await (LIST if request.headers.get("authorization") == "Bearer new" else REFUSAL)(request, writer)

    async with raw_server(by_token) as server:
        old, new = (kopf.ConnectionInfo(server=server.url, token=token) for token in ("old", "new"))
        async with session(old, new) as opened:
            for _ in range(2):
                async with opened.get(f"{server.url}/list") as response:
                    assert response.status == 200
        assert [request.headers["authorization"] for request in server.requests] == [
            "Bearer old",
            "Bearer new",
            "Bearer new",
        ]


async def test_a_refused_request_leaves_the_watches_of_others_alone() -> None:
    """With kopf's own session a watch that has just begun was left without a connection, for 70 s or for ever."""
    news = asyncio.Event()
    refusals = 3

    async def watched(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        if request.target == "/watch":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            await news.wait()
            writer.write(b"5\r\nnews\n\r\n0\r\n\r\n")
        elif refusals:
            refusals -= 1
            await REFUSAL(request, writer)
        else:
            await LIST(request, writer)

    async with raw_server(watched) as server, session(kopf.ConnectionInfo(server=server.url)) as opened:
        watches = [await opened.get(f"{server.url}/watch") for _ in range(4)]
        async with opened.get(f"{server.url}/list") as response:
            assert response.status == 200
        news.set()
        async with asyncio.timeout(5):
            assert [await watch.text() for watch in watches] == ["news\n"] * 4
        assert sum(request.target == "/watch" for request in server.requests) == 4


async def test_a_certificate_that_was_read_again_is_used_for_new_connections(tmp_path: Path) -> None:
    authority = Authority("test")
    ca = authority.write(tmp_path / "ca.crt")
    address = x509.IPAddress(ip_address("127.0.0.1"))
    serving = authority.issue(tmp_path, "server", use=ExtendedKeyUsageOID.SERVER_AUTH, addresses=(address,))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    tls.load_cert_chain(serving.certificate, serving.key)
    tls.verify_mode = ssl.CERT_REQUIRED

    async def by_name(request: Request, writer: asyncio.StreamWriter) -> None:
        subject = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])
        await (LIST if subject["commonName"] == "new" else REFUSAL)(request, writer)

    def with_certificate(url: str, files: Pair) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=url,
            ca_path=ca,
            certificate_path=files.certificate,
            private_key_path=files.key,
        )

    async with raw_server(by_name, tls) as server:
        told = [with_certificate(server.url, authority.issue(tmp_path, name)) for name in ("old", "new")]
        async with session(*told) as opened, opened.get(f"{server.url}/list") as response:
            assert response.status == 200
        assert server.connections == 2
