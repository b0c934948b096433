"""Which names and addresses of the API server are found out, and that Connections are kept from them."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from setpoint.cluster import api
from setpoint.cluster.apiserver import MOST_NAMES, ApiServerGuard, known_as
from setpoint.remotes.hosts import AllowedHosts
from tests.controlplane.certs import Authority
from tests.raw_server import never, raw_server

PUBLIC = "api.cluster.example"
KNOWN = {PUBLIC: ["203.0.113.7", "2001:db8::7"]}
NAMES = tuple(map(x509.DNSName, (PUBLIC, "kubernetes", "*.company.example")))
ADDRESSES = tuple(x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "10.96.0.1", "192.168.10.4", "fd00::4"))


async def resolve(host: str, port: int) -> list[str]:
    """Know one name."""
    del port
    if host not in KNOWN:
        raise OSError("unknown")
    return KNOWN[host]


class Pool:
    """Has a list of hosts."""

    def __init__(self, listed: str) -> None:
        self.hosts = AllowedHosts.parse(listed)


@asynccontextmanager
async def api_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[x509.GeneralName, ...] = (*NAMES, *ADDRESSES)
) -> AsyncIterator[api.KubeApi]:
    """Serve a certificate with these names, and return a client of it."""
    authority = Authority("cluster")
    pair = authority.issue(folder, "server", use=ExtendedKeyUsageOID.SERVER_AUTH, addresses=names)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    async with raw_server(never, tls=context) as server:
        cluster = {"server": server.url, "certificate-authority": str(authority.write(folder / "ca.crt"))}
        config = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "current-context": "c",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")
        monkeypatch.setenv("KUBECONFIG", str(folder / "kubeconfig"))
        kube = await api.connect()
        try:
            yield kube
        finally:
            await kube.aclose()


async def test_the_certificate_tells_names_and_addresses_without_any_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.9")
    async with api_server(tmp_path, monkeypatch) as kube:
        found = {host.lower() for host in await known_as(kube, resolve)}
    assert {"127.0.0.1", "kubernetes.default.svc", "10.96.0.9", PUBLIC, "10.96.0.1", "192.168.10.4"} <= found
    assert set(KNOWN[PUBLIC]) <= found, "what its names lead to"
    assert "*.company.example" not in found


async def test_connections_are_kept_from_all_of_them_at_every_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool("*.svc,*.cluster.example,api.cluster.example:9443")
    async with api_server(tmp_path, monkeypatch) as kube:
        guard = ApiServerGuard(kube, pool, resolve)
        await guard.look()
    for url in (f"https://{PUBLIC}", f"https://{PUBLIC}:6443", "https://kubernetes.default.svc"):
        refusal = pool.hosts.refusal(url, namespaced=True)
        assert refusal is not None
    assert "is the Kubernetes API" in (pool.hosts.refusal(f"https://{PUBLIC}", namespaced=True) or "")
    for port in (443, 6443, 10250):
        for address in ("10.96.0.1", "192.168.10.4", "fd00::4", "203.0.113.7", "::ffff:192.168.10.4"):
            told = pool.hosts.refusal_of_address(f"https://other.ns.svc:{port}", address)
            assert told is not None
            assert "the Kubernetes API" in told
    assert pool.hosts.refusal(f"https://{PUBLIC}:9443", namespaced=True) is None, "listed as it is"
    assert pool.hosts.refusal_of_address("https://gateway.ns.svc", "192.168.10.5") is None
    assert pool.hosts.refusal_of_address("https://gateway.cluster.example", "203.0.113.8") is None


async def test_what_one_look_found_is_not_forgotten_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool("*.svc")
    answers = iter((["10.0.0.1"], ["10.0.0.2"]))

    async def changing(host: str, port: int) -> list[str]:
        if host != PUBLIC:
            raise OSError("unknown")
        return next(answers)

    async with api_server(tmp_path, monkeypatch) as kube:
        guard = ApiServerGuard(kube, pool, changing)
        await guard.look()
        await guard.look()
    for address in ("10.0.0.1", "10.0.0.2"):
        assert pool.hosts.refusal_of_address("https://x.ns.svc", address) is not None
    assert pool.hosts.refusal_of_address("https://x.ns.svc", "10.0.0.3") is None


async def test_an_api_server_that_does_not_answer_is_known_by_what_the_operator_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api_server(tmp_path, monkeypatch) as kube:
        pass
    assert {"127.0.0.1", "kubernetes.default.svc"} <= await known_as(kube, resolve)


async def test_a_certificate_of_very_many_names_costs_few_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def counting(host: str, port: int) -> list[str]:
        del port
        asked.append(host)
        return []

    many = (ADDRESSES[0], *(x509.DNSName(f"n{number}.example") for number in range(3 * MOST_NAMES)))
    async with api_server(tmp_path, monkeypatch, many) as kube:
        await known_as(kube, counting)
    assert len(asked) == MOST_NAMES
