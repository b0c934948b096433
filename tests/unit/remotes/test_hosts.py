"""Which URLs a connection may use."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.hosts import AllowedHosts, place
from setpoint.settings import DEFAULT_HOSTS

LIST = "api.baseten.co,*.svc,*.svc.cluster.local,http://127.0.0.1:8080,[2001:db8::1]"


@pytest.mark.parametrize(
    "url",
    [
        "https://api.baseten.co",
        "https://API.Baseten.co./v1",
        "https://api.baseten.co:8443",
        "https://baseten.models.svc",
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
    ],
)
def test_a_connection_may_not_use_other_hosts(url: str) -> None:
    hosts = AllowedHosts.parse(LIST.replace("api.baseten.co", "api.baseten.co:443") if url.endswith(":0") else LIST)

    refusal = hosts.refusal(url, namespaced=True)

    assert refusal is not None
    assert "is not in the operator's list of allowed hosts" in refusal


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
