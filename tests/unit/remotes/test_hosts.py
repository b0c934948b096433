"""Which URLs a connection may use."""

import string
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.addresses import PRIVATE
from setpoint.remotes.hosts import AllowedHosts, place
from setpoint.settings import DEFAULT_HOSTS

LIST = "api.baseten.co,*.svc,*.svc.cluster.local,http://127.0.0.1:8080,[2001:db8::1]"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.baseten.co",
        "https://API.Baseten.co./v1",
        "https://api.baseten.co:443",
        "https://baseten.models.svc",
        "https://baseten.models.svc:22",
        "http://baseten.models.svc:8080/prefix",
        "http://baseten.models.svc.cluster.local",
        "http://127.0.0.1:8080",
        "https://127.0.0.1:8080",
        "https://[2001:DB8:0::1]:9000",
    ],
)
def test_a_connection_may_use_listed_hosts(url: str) -> None:
    assert AllowedHosts.parse(LIST).refusal(url, namespaced=True) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://api.baseten.co.evil.example",
        "https://xapi.baseten.co",
        "https://sub.api.baseten.co",
        "https://svc",
        "https://evilsvc",
        "http://127.0.0.1",
        "https://127.0.0.1:8081",
        "https://127.1:8080",
        "https://0x7f.1:8080",
        "https://2130706433:8080",
        "https://[::ffff:127.0.0.1]:8080",
        "https://[2001:db8::2]",
        "https://169.254.169.254",
        "https://api.baseten.co:0",
        "https://api.baseten.co:8443",
        "https://api.baseten.co:80",
        "https://api.baseten.co:22",
    ],
)
def test_a_connection_may_not_use_other_hosts(url: str) -> None:
    hosts = AllowedHosts.parse(LIST.replace("api.baseten.co", "api.baseten.co:443") if url.endswith(":0") else LIST)

    refusal = hosts.refusal(url, namespaced=True)

    assert refusal is not None
    assert "is not in the operator's list of allowed hosts" in refusal


@pytest.mark.parametrize(
    ("entry", "ports"),
    [
        ("gateway.example", {443}),
        ("*.example", {443}),
        ("http://gateway.example", {80, 443}),
        ("gateway.example:8443", {8443}),
        ("gateway.example,gateway.example:8443", {443, 8443}),
        ("http://gateway.example:8080", {8080}),
        ("8.8.8.8", {443}),
        ("8.8.8.8:8443", {8443}),
        ("[2600::1]", {443}),
        ("10.0.0.7", {22, 80, 443, 8080, 8443}),
        ("10.0.0.7:8080", {8080}),
        ("[fd00::7]", {22, 80, 443, 8080, 8443}),
        ("gateway.ai.svc", {22, 80, 443, 8080, 8443}),
        ("gateway.ai.svc:8080", {8080}),
        ("*.ai.svc.cluster.local", {22, 80, 443, 8080, 8443}),
    ],
)
def test_a_host_outside_the_cluster_is_covered_at_its_usual_port_only(entry: str, ports: set[int]) -> None:
    hosts = AllowedHosts.parse(entry)
    host = entry.rpartition(",")[2].removeprefix("http://").replace("*.", "gateway.")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    open_ports = {
        port for port in (22, 80, 443, 8080, 8443) if hosts.refusal(f"https://{name}:{port}", namespaced=True) is None
    }
    assert open_ports == ports


@pytest.mark.parametrize(
    ("entry", "url", "told"),
    [
        ("api.baseten.co", "https://api.baseten.co:22", "which has api.baseten.co at other ports only: an"),
        ("api.baseten.co", "https://api.baseten.co:22", "adds api.baseten.co:22"),
        ("api.baseten.co", "https://other.example", "list of allowed hosts: an administrator who means it adds other"),
        ("*.svc", "http://10.0.0.7:8080", "adds http://10.0.0.7:8080"),
        ("a.ai.svc:80", "http://b.ai.svc", "adds b.ai.svc"),
        ("*.svc", "https://kubernetes.default.svc:6443", "adds kubernetes.default.svc:6443 itself"),
    ],
)
def test_a_refusal_says_what_an_administrator_would_list(entry: str, url: str, told: str) -> None:
    refusal = AllowedHosts.parse(entry).refusal(url, namespaced=True)
    assert refusal is not None
    assert told in refusal
    wanted = refusal.partition(" adds ")[2].split(" ")[0]
    assert AllowedHosts.parse(f"{entry},{wanted}").refusal(url, namespaced=True) is None


def test_a_service_listed_at_one_port_is_not_open_at_another_in_plain_http() -> None:
    hosts = AllowedHosts.parse("bifrost.ai.svc:443")
    assert hosts.refusal("https://bifrost.ai.svc", namespaced=True) is None
    assert hosts.refusal("http://bifrost.ai.svc", namespaced=True) is not None


NEVER = {
    "loopback": ("127.0.0.1", "127.9.9.9", "::1", str(ip_address(0)), "0.1.2.3", "::"),
    "link": ("169.254.1.1", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1"),
    "metadata": (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "100.96.0.96",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
    ),
    "mapped": ("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16"),
    "compatible": ("::127.0.0.1", "::169.254.169.254"),
    "translated": ("::ffff:0:127.0.0.1", "::ffff:0:100.100.100.200"),
    "NAT64": ("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::168.63.129.16"),
    "NAT64 of the network": (
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "64:ff9b:1:7f:0:1::",
        "64:ff9b:1:0:7f:0:100:0",
        "64:ff9b:1:a9fe:a9:fe00::",
    ),
    "6to4": ("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:a83f:8110::"),
    "Teredo": ("2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    "ISATAP": ("fd00::5efe:7f00:1", "fd00::200:5efe:a9fe:a9fe", "fe80::5efe:a9fe:a9fe"),
}
"""Addresses that are never meant by accident, by how they are written."""

OUTSIDE = (
    "8.8.8.8",
    "2600::1",
    "2001:db8::1",
    "198.18.0.1",
    "240.0.0.1",
    "fec0::1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::10.0.0.1",
    "2002:808:808::1",
    "::ffff:8.8.8.8",
    "::10.0.0.1",
)
INSIDE = ("10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "100.100.100.201", "::ffff:10.0.0.1", "fd00:10::5")


@pytest.mark.parametrize("address", [address for group in NEVER.values() for address in group])
@pytest.mark.parametrize(
    ("listed", "url", "namespaced"),
    [
        ("*.svc", "http://evil.ns.svc:8080", True),
        ("*.svc", "https://evil.ns.svc", True),
        ("*.example", "https://evil.example", True),
        ("api.baseten.co", "http://evil.ns.svc", False),
        ("api.baseten.co", "https://anything.example", False),
    ],
)
def test_nothing_leads_to_this_machine_or_to_a_clouds_keys(
    listed: str, url: str, address: str, *, namespaced: bool
) -> None:
    # Also where an administrator counts everything to the cluster.
    for cluster in (PRIVATE, "0.0.0.0/0,::/0"):
        refusal = AllowedHosts.parse(listed, cluster).refusal_of_address(url, address, namespaced=namespaced)
        assert refusal is not None
        host = url.partition("//")[2]
        assert f"an administrator who means it adds {host} itself" in refusal
        if cluster != PRIVATE:
            assert "this machine or its link" in refusal or "where clouds tell a machine its keys" in refusal
        allowed = AllowedHosts.parse(f"{listed},{host}", cluster)
        assert allowed.refusal_of_address(url, address, namespaced=namespaced) is None


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_name_of_a_service_leads_nowhere_outside_the_cluster(address: str) -> None:
    hosts = AllowedHosts.parse("*.svc,http://*.svc.cluster.local,gateway.ai.svc")
    for url in ("https://evil.ns.svc", "http://evil.ns.svc.cluster.local:8080"):
        refusal = hosts.refusal_of_address(url, address)
        assert refusal is not None
        assert "outside the cluster (SETPOINT_CLUSTER_CIDRS)" in refusal
    assert hosts.refusal_of_address("https://gateway.ai.svc", address) is None, "an administrator said so"


@pytest.mark.parametrize("address", INSIDE)
def test_the_name_of_a_service_leads_to_pods_and_services(address: str) -> None:
    hosts = AllowedHosts.parse("*.svc")
    assert hosts.refusal_of_address("http://gateway.ai.svc:8080", address) is None
    assert hosts.refusal_of_address("http://gateway.ai.svc:8080", address, namespaced=False) is None


def test_the_ranges_of_the_cluster_are_those_of_the_setting() -> None:
    hosts = AllowedHosts.parse("*.svc", "10.96.0.0/12,2600:10::/32")
    for address, inside in (("10.97.0.1", True), ("10.0.0.1", False), ("2600:10::1", True), ("fd00::1", False)):
        assert (hosts.refusal_of_address("https://gateway.ai.svc", address) is None) is inside
    assert AllowedHosts.parse("*.svc", "").refusal_of_address("https://gateway.ai.svc", "10.0.0.1") is not None


def test_a_cluster_connection_leads_anywhere_over_https_and_stays_inside_over_plain_http() -> None:
    hosts = AllowedHosts.parse("").guarding("10.96.0.1")
    for address in ("8.8.8.8", "10.0.0.1", "10.96.0.1", "2600::1"):
        assert hosts.refusal_of_address("https://api.example", address, namespaced=False) is None
        assert hosts.refusal_of_address("https://gateway.ai.svc", address, namespaced=False) is None
    plain = hosts.refusal_of_address("http://gateway.ai.svc", "8.8.8.8", namespaced=False)
    assert plain is not None
    assert "outside the cluster" in plain


@pytest.mark.parametrize("address", ["8.8.8.8", "10.0.0.1", "2600::1"])
def test_other_wildcards_may_lead_outside(address: str) -> None:
    assert AllowedHosts.parse("*.example").refusal_of_address("https://gateway.example", address) is None


def test_a_listed_address_may_be_led_to_at_its_port() -> None:
    hosts = AllowedHosts.parse("*.svc,8.8.8.8,169.254.169.254:80")
    assert hosts.refusal_of_address("https://gateway.ai.svc", "8.8.8.8") is None
    assert hosts.refusal_of_address("https://gateway.ai.svc:22", "8.8.8.8") is not None
    assert hosts.refusal_of_address("http://gateway.ai.svc", "169.254.169.254") is None
    assert hosts.refusal_of_address("http://gateway.ai.svc:8080", "169.254.169.254") is not None


def test_an_address_is_told_as_such() -> None:
    refusal = AllowedHosts.parse("").refusal_of_address("https://127.0.0.1:8443", "127.0.0.1", namespaced=False)
    assert refusal == (
        "is an address of this machine or its link; "
        "an administrator who means it adds 127.0.0.1:8443 itself to the operator's list of allowed hosts"
    )


@given(packed=st.binary(min_size=16, max_size=16) | st.binary(min_size=4, max_size=4))
def test_any_address_gets_a_verdict(packed: bytes) -> None:
    verdict = AllowedHosts.parse("*.svc").refusal_of_address("https://gateway.ai.svc", str(ip_address(packed)))
    assert verdict is None or verdict.strip()


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "cluster", "10.0.0.0/8;fd00::/8", "::/129"])
def test_a_bad_range_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a range of addresses") as raised:
        AllowedHosts.parse("*.svc", f"192.168.0.0/16, {text}")
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("namespaced", [True, False])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://api.baseten.co", "must start with https:// or http://"),
        ("api.baseten.co", "must start with https:// or http://"),
        ("file:///etc/passwd", "must start with https:// or http://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://api.baseten.co%2eevil.example", "no host"),
        ("https://a..b.svc", "no host"),
        ("https://api.baseten.co..", "no host"),
        ("https://user:secret@api.baseten.co", "user name"),
        ("https://@api.baseten.co", "user name"),
        ("https://api.baseten.co@evil.example", "user name"),
        ("https://evil.example\\@api.baseten.co", "user name"),
        ("https://[::1", "cannot be read"),
        ("https://0177.0.0.1:8080", "cannot be read"),
        ("https://api.baseten.co:99999999", "cannot be read"),
    ],
)
def test_malformed_urls_are_refused(url: str, reason: str, *, namespaced: bool) -> None:
    refusal = AllowedHosts.parse(LIST).refusal(url, namespaced=namespaced)

    assert refusal is not None
    assert reason in refusal
    assert "secret" not in refusal


def test_a_cluster_connection_may_use_any_host_over_https() -> None:
    assert AllowedHosts.parse("").refusal("https://evil.example", namespaced=False) is None


@pytest.mark.parametrize("url", ["http://baseten.models.svc", "http://baseten.models.svc.cluster.local:8080"])
def test_a_cluster_connection_may_use_plain_http_inside_the_cluster(url: str) -> None:
    assert AllowedHosts.parse("").refusal(url, namespaced=False) is None


@pytest.mark.parametrize("namespaced", [True, False])
@pytest.mark.parametrize("url", ["http://api.baseten.co", "http://api.baseten.co:443", "http://10.0.0.7:8080"])
def test_plain_http_is_refused_outside_the_cluster_though_the_host_is_listed(url: str, *, namespaced: bool) -> None:
    hosts = AllowedHosts.parse(f"{DEFAULT_HOSTS},10.0.0.7,http://10.0.0.7:9090")
    host = url.removeprefix("http://")

    assert hosts.refusal(url.replace("http://", "https://"), namespaced=namespaced) is None
    assert hosts.refusal(url, namespaced=namespaced) == (
        f"host {host} must be reached with https, because plain http shows the key to the network: "
        f"let the URL begin with https://, or add http://{host} to the operator's list of allowed hosts"
    )


@pytest.mark.parametrize("namespaced", [True, False])
@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1", "http://127.0.0.1:9999"),
        ("http://*.internal.example", "http://gateway.internal.example"),
        ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
        ("http://Gateway.ai", "http://gateway.ai"),
        ("http://gateway.ai", "https://gateway.ai"),
    ],
)
def test_plain_http_is_allowed_where_the_entry_says_so(entry: str, url: str, *, namespaced: bool) -> None:
    assert AllowedHosts.parse(f"api.baseten.co, {entry}").refusal(url, namespaced=namespaced) is None


def test_an_empty_list_allows_no_namespaced_connection() -> None:
    assert AllowedHosts.parse(" ").refusal("https://api.baseten.co", namespaced=True) is not None


@pytest.mark.parametrize(
    "entry",
    [
        "https://api.baseten.co",
        "http://",
        "http://http://api.baseten.co",
        "http://api.baseten.co/v1",
        "api.baseten.co/v1",
        "api baseten.co",
        "api.baseten.co:",
        "api.baseten.co:0",
        "api.baseten.co:65536",
        "*",
        "*.",
        "*.127.0.0.1",
        "a.*.b",
        "user@host",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::1",
        "::1",
        "[fe80::1%eth0]",
        "-a.b",
        "bücher.example",
    ],
)
def test_a_bad_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host name") as raised:
        AllowedHosts.parse(f"api.baseten.co, {entry}")

    assert repr(entry) in str(raised.value)


def test_an_empty_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="''"):
        AllowedHosts.parse("api.baseten.co,")


label = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
name = st.lists(label, min_size=1, max_size=4).map(".".join)


@given(prefix=name, suffix=name)
def test_a_wildcard_covers_exactly_what_is_below_it(prefix: str, suffix: str) -> None:
    hosts = AllowedHosts.parse(f"*.{suffix}.example")

    assert hosts.refusal(f"https://{prefix}.{suffix}.example", namespaced=True) is None
    assert hosts.refusal(f"https://{suffix}.example", namespaced=True) is not None
    assert hosts.refusal(f"https://{prefix}{suffix}.example", namespaced=True) is not None
    assert hosts.refusal(f"https://{prefix}.{suffix}.example.{prefix}x", namespaced=True) is not None


@given(text=st.text(max_size=60), start=st.sampled_from(["https://", "http://", "", "https://api.baseten.co"]))
def test_any_text_gets_a_verdict_and_never_an_exception(text: str, start: str) -> None:
    verdict = AllowedHosts.parse(LIST).refusal(start + text, namespaced=True)

    assert verdict is None or verdict.strip()


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://api.baseten.co", "https://API.baseten.co.:443/"),
        ("http://bifrost.ai.svc:8080", "http://bifrost.ai.svc.cluster.local:8080/"),
        ("http://bifrost.ai.svc/prefix", "http://bifrost.ai.svc:80/prefix/"),
        ("http://bifrost.ai.svc:443", "https://bifrost.ai.svc"),
    ],
)
def test_spellings_of_one_place_are_alike(url: str, other: str) -> None:
    assert place(url) == place(other)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://api.baseten.co", "https://api.baseten.com"),
        ("http://bifrost.ai.svc:8080", "http://bifrost.ai.svc:8081"),
        ("http://bifrost.ai.svc/a", "http://bifrost.ai.svc/b"),
        ("http://[", "http://]"),
    ],
)
def test_other_places_are_not_alike(url: str, other: str) -> None:
    assert place(url) != place(other)
