"""Which hosts a connection may use: what the text of its URL can tell, and what its name leads to.

Who may create a Connection decides where the operator sends requests, so a Connection of a namespace reaches only
hosts that the operator's list names. A ClusterConnection is made by administrators and may use any host over https.
Plain http shows the key to the network; it is left to services inside the cluster and to hosts that the list has with
`http://` before them, for connections of either kind.

An entry without a port covers the usual port of a host outside the cluster, since whoever lists a public API does not mean
its ssh; of Services, and of addresses that are not public, it covers all ports.

URLs are taken apart by the library that will open them, so that no spelling means one host here and another one there.
Addresses count only as they are usually written: `0x7f.1` or `2130706433` are no names of the list. Names are not
resolved here; what they resolve to is held against the list too (`refusal_of_address`). An address of this machine or of
its link, and those where clouds tell a machine its keys, are off limits to connections of either kind, and the Kubernetes
API to Connections, unless the list has the address, or the very name that led to it. The name of a Service means something
inside the cluster: whoever may create Services chooses what it leads to, so an address outside the cluster's ranges is
refused, for Connections and wherever plain http is used because it stays inside.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import httpx

from setpoint.remotes.addresses import PRIVATE, Address, Network, carried, is_within, networks, off_limits, parsed

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LOOKS_LIKE_A_NUMBER = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_ENTRY = re.compile(r"(?P<plain>http://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(:(?P<port>[0-9]{1,5}))?")
_IN_CLUSTER = (".svc", ".svc.cluster.local")
_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
_KUBERNETES_API: frozenset[str | Address] = frozenset(
    {"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
)


@dataclass(frozen=True, slots=True)
class _Entry:
    host: str | Address
    """A name, or an address."""
    below: bool
    """Names below the name are meant, not the name itself."""
    port: int | None
    """None stands for the usual ports, and inside the cluster for all."""
    plain: bool
    """Plain http is allowed, too."""

    def covers(self, host: str | Address, port: int) -> bool:
        return self.names(host) and self._has(host, port)

    def names(self, host: str | Address) -> bool:
        """Tell whether the entry is about a host, at whichever port."""
        if self.below:
            return isinstance(host, str) and host.endswith(f".{self.host}")
        return host == self.host

    def _has(self, host: str | Address, port: int) -> bool:
        if self.port is not None:
            return self.port == port
        if _is_inside(host):
            return True
        return port == _PORTS["https"] or (self.plain and port == _PORTS["http"])


class AllowedHosts:
    """The operator's list of hosts, and the cluster's ranges of addresses."""

    def __init__(
        self,
        entries: tuple[_Entry, ...],
        cluster: tuple[Network, ...],
        kubernetes_api: frozenset[str | Address] = _KUBERNETES_API,
    ) -> None:
        self._entries = entries
        self._cluster = cluster
        self._kubernetes_api = kubernetes_api

    def guarding(self, *kubernetes_api: str) -> "AllowedHosts":
        """Return the same list, with these names and addresses of the Kubernetes API off limits as well, unless listed."""
        hosts = (_host(host.strip("[]")) for host in kubernetes_api)
        return AllowedHosts(
            self._entries, self._cluster, self._kubernetes_api | {host for host in hosts if host is not None}
        )

    @classmethod
    def parse(cls, text: str, cluster: str = PRIVATE) -> "AllowedHosts":
        """Return the list in a text such as `api.baseten.co,*.svc,http://10.0.0.7:8080,[::1]`; an empty text lists nothing.

        An entry is a name, `*.` and a name for all names below it, or an address (IPv6 in brackets); each may end
        with a port, and begin with `http://`, which allows plain http beside https. `cluster` are the ranges in which
        the addresses of pods and Services lie, such as `10.0.0.0/8,fd00::/8`.

        Raises:
            ValueError: an entry is none of these; the message names it.
        """
        entries = tuple(_entry(entry.strip()) for entry in text.split(",")) if text.strip() else ()
        return cls(entries, networks(cluster))

    def refusal(self, url: str, *, namespaced: bool) -> str | None:
        """Return one sentence why a connection may not use the URL, or None if it may.

        `namespaced` tells a Connection from a ClusterConnection.
        """
        try:
            parsed_url = httpx.URL(url)
            readable = 0 <= (parsed_url.port or 0) <= _LAST_PORT
        except httpx.InvalidURL:
            readable = False
        if not readable:
            return "the URL cannot be read"
        if parsed_url.scheme not in _PORTS:
            return "the URL must start with https:// or http://"
        if "@" in url:
            return "the URL must not hold a user name or password"
        return self._refusal_of_host(parsed_url, namespaced=namespaced)

    def refusal_of_address(self, url: str, address: str, *, namespaced: bool = True) -> str | None:
        """Return why a connection may not reach an address that the host of its URL resolves to, or None if it may.

        The words go after "host NAME".
        """
        target = httpx.URL(url)
        host, port = _host(target.raw_host.decode("ascii")), _port(target)
        reached = parsed(address)
        if host is None or self._by_name(host, port) or any(entry.covers(reached, port) for entry in self._entries):
            return None
        shown = target.netloc.decode("ascii")
        listed = f"an administrator who means it adds {shown} itself to the operator's list of allowed hosts"
        is_it = "is" if host in {reached, ip_address(address.partition("%")[0])} else f"leads to {reached},"
        for found in carried(reached):
            if (what := off_limits(found)) is not None:
                return f"{is_it} {what}; {listed}"
            if namespaced and found in self._kubernetes_api:
                return f"{is_it} the Kubernetes API; {listed}"
        must_stay_inside = namespaced or target.scheme == "http"
        if must_stay_inside and _is_in_cluster(host) and not is_within(reached, self._cluster):
            return (
                f"leads to {reached}, which is outside the cluster (SETPOINT_CLUSTER_CIDRS), where the name of a Service "
                f"must not lead; {listed}"
            )
        return None

    def _refusal_of_host(self, url: httpx.URL, *, namespaced: bool) -> str | None:
        host = _host(url.raw_host.decode("ascii"))
        if host is None:
            return "the URL has no host that can be a name or an address"
        port = _port(url)
        shown = url.netloc.decode("ascii")
        listed = any(entry.covers(host, port) for entry in self._entries)
        plain = _is_in_cluster(host) or any(entry.plain and entry.covers(host, port) for entry in self._entries)
        over_https = port if url.port is not None else _PORTS["https"]
        expected = not namespaced or listed or any(entry.covers(host, over_https) for entry in self._entries)
        if url.scheme == "http" and not plain and expected:
            return (
                f"host {shown} must be reached with https, because plain http shows the key to the network: "
                f"let the URL begin with https://, or add http://{shown} to the operator's list of allowed hosts"
            )
        if namespaced and not listed:
            wanted = f"http://{shown}" if url.scheme == "http" and not plain else shown
            other = any(entry.names(host) for entry in self._entries)
            only = f", which has {url.host} at other ports only" if other else ""
            return (
                f"host {shown} is not in the operator's list of allowed hosts{only}: "
                f"an administrator who means it adds {wanted}"
            )
        if namespaced and host in self._kubernetes_api and not self._by_name(host, port):
            return (
                f"host {shown} is the Kubernetes API: an administrator who means it adds {shown} itself to the operator's "
                "list of allowed hosts"
            )
        return None

    def _by_name(self, host: str | Address, port: int) -> bool:
        """Tell whether the list has the very host, not only names below another one."""
        return any(entry.covers(host, port) and not entry.below for entry in self._entries)


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


def _port(url: httpx.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


def _is_in_cluster(host: str | Address) -> bool:
    return isinstance(host, str) and host.endswith(_IN_CLUSTER)


def _is_inside(host: str | Address) -> bool:
    """Tell whether a host is a Service, or an address that is not public."""
    return _is_in_cluster(host) or not (isinstance(host, str) or host.is_global)
