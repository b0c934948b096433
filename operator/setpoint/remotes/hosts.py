"""Which hosts a connection may use: what the text of its URL can tell.

Who may create a Connection decides where the operator sends requests, so a Connection of a namespace reaches only
hosts that the operator's list names. A ClusterConnection is made by administrators and may use any host over https.
Plain http shows the key to the network; it is left to services inside the cluster and to hosts that the list has with
`http://` before them, for connections of either kind.

URLs are taken apart by the library that will open them, so that no spelling means one host here and another one there.
Addresses count only as they are usually written: `0x7f.1` or `2130706433` are no names of the list. Names are not
resolved here; what they resolve to is held against the list too (`refusal_of_address`): an address of this machine, of the
link, or of the Kubernetes API is off limits unless the list has it, or has the very name that led to it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

import httpx

Address: TypeAlias = IPv4Address | IPv6Address

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LOOKS_LIKE_A_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_ENTRY = re.compile(r"(?P<plain>http://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(:(?P<port>[0-9]{1,5}))?")
_IN_CLUSTER = (".svc", ".svc.cluster.local")
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
_KUBERNETES_API = frozenset({"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"})


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str | Address
    """A name, or an address."""
    below: bool
    """Names below the name are meant, not the name itself."""
    port: int | None
    """None stands for any port."""
    plain: bool
    """Plain http is allowed, too."""

    def covers(self, host: str | Address, port: int) -> bool:
        if self.port not in {None, port}:
            return False
        if self.below:
            return isinstance(host, str) and host.endswith(f".{self.host}")
        return host == self.host


class AllowedHosts:
    """The operator's list of hosts."""

    def __init__(self, entries: tuple[_Entry, ...], kubernetes_api: frozenset[str | Address] = frozenset()) -> None:
        self._entries = entries
        self._kubernetes_api = kubernetes_api | _KUBERNETES_API

    def guarding(self, kubernetes_api: str) -> "AllowedHosts":
        """Return the same list, with the host of the Kubernetes API off limits unless listed."""
        host = _host(kubernetes_api.strip("[]"))
        return AllowedHosts(self._entries, frozenset() if host is None else frozenset({host}))

    @classmethod
    def parse(cls, text: str) -> "AllowedHosts":
        """Return the list in a text such as `api.baseten.co,*.svc,http://10.0.0.7:8080,[::1]`; an empty text lists nothing.

        An entry is a name, `*.` and a name for all names below it, or an address (IPv6 in brackets); each may end
        with a port, without which it covers all ports, and begin with `http://`, which allows plain http beside https.

        Raises:
            ValueError: an entry is none of these; the message names it.
        """
        return cls(tuple(_entry(entry.strip()) for entry in text.split(",")) if text.strip() else ())

    def refusal(self, url: str, *, namespaced: bool) -> str | None:
        """Return one sentence why a connection may not use the URL, or None if it may.

        `namespaced` tells a Connection from a ClusterConnection.
        """
        try:
            parsed = httpx.URL(url)
            readable = 0 <= (parsed.port or 0) <= _LAST_PORT
        except httpx.InvalidURL:
            readable = False
        if not readable:
            return "the URL cannot be read"
        if parsed.scheme not in _PORTS:
            return "the URL must start with https:// or http://"
        if "@" in url:
            return "the URL must not hold a user name or password"
        return self._refusal_of_host(parsed, namespaced=namespaced)

    def refusal_of_address(self, url: str, address: str) -> str | None:
        """Return why a namespaced connection may not reach an address its host resolves to, or None if it may.

        The words go after "host NAME".
        """
        parsed = httpx.URL(url)
        host = _host(parsed.raw_host.decode("ascii"))
        port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
        found = ip_address(address.partition("%")[0])
        reached = found.ipv4_mapped if isinstance(found, IPv6Address) and found.ipv4_mapped else found
        by_name = host is not None and any(entry.covers(host, port) and not entry.below for entry in self._entries)
        if by_name or any(entry.covers(reached, port) for entry in self._entries):
            return None
        if reached.is_loopback or reached.is_link_local or reached.is_unspecified or reached.is_multicast:
            return (
                f"leads to {reached}, an address of this machine or its link, which is not in the list of allowed hosts"
            )
        if reached in self._kubernetes_api:
            return f"leads to {reached}, the Kubernetes API, which is not in the list of allowed hosts"
        return None

    def _refusal_of_host(self, url: httpx.URL, *, namespaced: bool) -> str | None:
        host = _host(url.raw_host.decode("ascii"))
        if host is None:
            return "the URL has no host that can be a name or an address"
        port = _PORTS[url.scheme] if url.port is None else url.port
        listed = any(entry.covers(host, port) for entry in self._entries)
        shown = url.netloc.decode("ascii")
        if namespaced and not listed:
            return f"host {shown} is not in the operator's list of allowed hosts"
        by_name = any(entry.covers(host, port) and not entry.below for entry in self._entries)
        if namespaced and host in self._kubernetes_api and not by_name:
            return f"host {shown} is the Kubernetes API, which is not in the operator's list of allowed hosts"
        plain = _is_in_cluster(host) or any(entry.plain and entry.covers(host, port) for entry in self._entries)
        if url.scheme == "http" and not plain:
            return (
                f"host {shown} must be reached with https, because plain http shows the key to the network: "
                f"let the URL begin with https://, or add http://{shown} to the operator's list of allowed hosts"
            )
        return None


@lru_cache(maxsize=1024)
def place(url: str) -> str:
    """Return the same text for all spellings of a base URL that mean the same place: host, port, path.

    What cannot be read as a URL is its own place.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return url
    host = parsed.host.lower().removesuffix(".")
    short, long = _IN_CLUSTER
    if host.endswith(long):
        host = host.removesuffix(long) + short
    port = parsed.port or _PORTS.get(parsed.scheme)
    return f"{host}:{port}{parsed.path.rstrip('/')}"


def _entry(text: str) -> _Entry:
    match = _ENTRY.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    name = match["host"].lower() if match else ""
    plain = match is not None and match["plain"] is not None
    below = name.startswith("*.")
    host = _host(name.removeprefix("*.").removeprefix("[").removesuffix("]"))
    numeric = isinstance(host, str) and _LOOKS_LIKE_A_NUMBER.fullmatch(host)
    wrong_wildcard = below and not isinstance(host, str)
    if host is None or numeric or wrong_wildcard or (port is not None and not 0 < port <= _LAST_PORT):
        raise ValueError(
            f"{text!r} is not a host name, *.suffix or address, with an optional :port and an optional http://"
        )
    return _Entry(host, below, port, plain)


def _host(text: str) -> str | Address | None:
    """Return an address, or a name in small letters without the dot at its end, or None for neither."""
    name = text.lower().removesuffix(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name if _NAME.fullmatch(name) else None
    return None if isinstance(address, IPv6Address) and address.scope_id else address


def _is_in_cluster(host: str | Address) -> bool:
    return isinstance(host, str) and host.endswith(_IN_CLUSTER)
