"""From a resource to an open client: which connection it means, whether it may use it, and the credential that opens it.

One client is kept per connection and rebuilt when the connection's spec or the value in its Secret changes. The gate stays
with the connection, so that resources turned away by a refused key are woken when a new key works.

A client takes memory and sockets, so one that nobody uses is closed after a while and opened again when it is wanted. How it
was opened stays known, since a resource may go together with its connection and Secret. Whatever a namespace makes is bounded:
the oldest of its Connections are served and the others say so, and of those that were replaced or deleted few are kept.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.cluster.secrets import LARGEST_BUNDLE, LARGEST_CREDENTIAL, LIFETIME, Secrets
from setpoint.cluster.store import Store
from setpoint.reconcile.gate import Gate
from setpoint.reconcile.ports import (
    Clock,
    ConnectionNotAllowed,
    ConnectionNotFound,
    Handle,
    Key,
    ResourceGone,
    lane_of,
)
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.commons import Commons
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import AuthenticationFailed, TransientError
from setpoint.remotes.hosts import AllowedHosts, place
from setpoint.remotes.limits import Limits
from setpoint.remotes.meter import Meter
from setpoint.remotes.pinned import Check
from setpoint.resources import ClusterConnection, Connection, Managed
from setpoint.resources.common import Origin, OriginConnection
from setpoint.resources.connection import (
    BasetenConnection,
    BifrostConnection,
    NamespacedSecretKeyRef,
    SecretKeyRef,
    credential_digest,
)

RETIREMENT = 330.0
"""Seconds after which a replaced client is closed: longer than any request of its may take."""

AFTERLIFE = 660.0
"""Seconds for which the client of a connection that was deleted serves resources that are deleted, too: longer than one may
take to be finished."""


IDLE = 120.0
"""Seconds after which a client is closed that no resource asked for and that has nothing under way."""

RETIRED_OF_ONE = 4
"""Replaced clients of one connection that are kept open for what is under way with them; an older one is closed at once."""


class _Client(Protocol):
    @property
    def is_busy(self) -> bool: ...

    async def aclose(self) -> None: ...


C = TypeVar("C", bound=_Client)
C_co = TypeVar("C_co", bound=_Client, covariant=True)

Read: TypeAlias = Callable[[SecretKeyRef], Awaitable[str]]
"""Returns the value a reference of the connection points to."""


class _Connect(Protocol[C_co]):
    """How a client is made; nothing is sent yet."""

    def __call__(
        self,
        *,
        url: str,
        credential: Credential,
        requests_per_second: int,
        timeout: float,
        limits: Limits,
        ca_pem: bytes | None,
        check: Check | None,
        meter: Meter | None,
        commons: Commons,
        owner: str,
    ) -> C_co: ...


@dataclass(slots=True)
class _Open(Generic[C]):
    gate: Gate[Key] = field(default_factory=Gate)
    fingerprint: tuple[object, ...] = ()
    client: C | None = None
    opens: Callable[[], C] | None = None
    """Opens the client, for the first time and again; None before that."""
    connection: Connection | ClusterConnection | None = None
    """What the client was opened for."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    gone_at: float | None = None
    """When the connection was found to be deleted."""


@dataclass(slots=True)
class _Retired:
    """A client that was replaced, or whose connection is gone, and when it is closed."""

    key: Key
    client: _Client
    closes_at: float


class ConnectionPool:
    """Opens connections and keeps them open; implements the reconcilers' `Connections`."""

    def __init__(
        self,
        *,
        kube: KubeApi,
        store: Store,
        secrets: Secrets,
        limits: Limits,
        hosts: AllowedHosts,
        clock: Clock,
        cluster_wide: bool,
        connections_per_namespace: int,
        meter: Meter | None = None,
        commons: Commons | None = None,
    ) -> None:
        self._commons = commons or Commons()
        self._kube = kube
        self._store = store
        self._secrets = secrets
        self._limits = limits
        self.hosts = hosts
        """Which hosts may be reached; more of them are found out to be the Kubernetes API as time goes by."""
        self._clock = clock
        self._cluster_wide = cluster_wide
        self._per_namespace = connections_per_namespace
        self._meter = meter
        self._baseten: dict[Key, _Open[Baseten]] = {}
        self._bifrost: dict[Key, _Open[Bifrost]] = {}
        self._used: dict[Key, float] = {}
        """When a resource asked for a connection last, or had a request under way."""
        self._probing: set[Key] = set()
        self._retired: list[_Retired] = []
        self._labels: dict[str, tuple[float, dict[str, str]]] = {}

    def place(self, resource: Managed) -> str | None:
        """Return where the resource's connection leads to; None where there is no such connection."""
        connection = self._known(resource)
        url = "" if connection is None else self.url(connection)
        return place(url) if url else None

    def origin(self, resource: Managed) -> Origin | None:
        """Return that place with the connection that leads there; None where there is no such connection."""
        connection = self._known(resource)
        return None if connection is None or not self.url(connection) else _origin(connection, self.url(connection))

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        """Return the open connection to Baseten of a resource; `fresh` reads its Secret again.

        Raises:
            ConnectionNotFound: there is no such connection, Secret or key.
            ConnectionNotAllowed: there is, but not for this namespace, this host or this kind of remote.
            AuthenticationFailed: the key in the Secret cannot be sent.
            ClusterUnavailable: the API server could not tell.
        """
        connection = await self._usable(resource)
        remote = connection.spec.baseten
        if remote is None:
            raise ConnectionNotAllowed(f"{_title(connection)} is not a connection to Baseten (spec.baseten is not set)")
        return await self._open_baseten(connection, remote, fresh=fresh, going=_is_going(resource))

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        """Return the open connection to a Bifrost gateway of a resource; raises as `baseten`."""
        connection = await self._usable(resource)
        remote = connection.spec.bifrost
        if remote is None:
            raise ConnectionNotAllowed(f"{_title(connection)} is not a connection to Bifrost (spec.bifrost is not set)")
        return await self._open_bifrost(connection, remote, fresh=fresh, going=_is_going(resource))

    def is_admitted(self, connection: Connection | ClusterConnection) -> bool:
        """Tell whether a connection is one of the oldest of its namespace, as many as a namespace may have.

        ClusterConnections are made by administrators and not counted.
        """
        return isinstance(connection, ClusterConnection) or self._store.older(connection) < self._per_namespace

    def url(self, connection: Connection | ClusterConnection) -> str:
        """Return the base URL of a connection."""
        remote = connection.spec.baseten or connection.spec.bifrost
        return "" if remote is None else remote.url.rstrip("/")

    async def probe(
        self, key: Key, connection: Connection | ClusterConnection, *, fresh: bool
    ) -> tuple[str | None, frozenset[Key]]:
        """Ask the remote behind a connection for something cheap; return its version, and who waited for it to work.

        `fresh` reads its Secret again.

        Raises:
            ConnectionNotFound, ConnectionNotAllowed, AuthenticationFailed, ClusterUnavailable: as `baseten`.
            RemoteError: it did not answer as it should.
        """
        self._probing.add(key)
        try:
            return await self._probed(key, connection, fresh=fresh)
        finally:
            self._probing.discard(key)
            await self._close_if_unused(key)

    async def _probed(
        self, key: Key, connection: Connection | ClusterConnection, *, fresh: bool
    ) -> tuple[str | None, frozenset[Key]]:
        handle: Handle[Baseten] | Handle[Bifrost]
        if connection.spec.baseten is not None:
            handle = await self._open_baseten(connection, connection.spec.baseten, fresh=fresh)
        elif connection.spec.bifrost is not None:
            handle = await self._open_bifrost(connection, connection.spec.bifrost, fresh=fresh)
        else:
            raise ConnectionNotAllowed("the connection names no remote")
        handle.gate.enter(key, self._clock.monotonic())
        try:
            version = await handle.client.probe()
        except AuthenticationFailed as error:
            handle.gate.close(key, error, self._clock.monotonic())
            raise
        except (TransientError, asyncio.CancelledError):
            handle.gate.undecided(key, self._clock.monotonic())
            raise
        return version, frozenset(handle.gate.open()) - {key}

    async def keep(self, there: Collection[Key]) -> None:
        """Let go of all connections but these: the others are not there any more, and serve only what goes with them."""
        now = self._clock.monotonic()
        for entries in self._opened():
            for key, entry in entries.items():
                known = now if entry.gone_at is None else entry.gone_at
                entry.gone_at = None if key in there else known
            self._forget_gone(entries)
        for key in {key for entries in self._opened() for key in entries} - self._probing:
            await self._close_if_unused(key)
        for key in self._used.keys() - self._baseten.keys() - self._bifrost.keys():
            if now - self._used[key] > IDLE:
                del self._used[key]
        await self._close_retired()
        self._secrets.forget_old()

    async def aclose(self) -> None:
        """Close every client."""
        clients: list[_Client] = [retired.client for retired in self._retired]
        clients += [entry.client for entry in self._baseten.values() if entry.client is not None]
        clients += [entry.client for entry in self._bifrost.values() if entry.client is not None]
        self._baseten.clear()
        self._bifrost.clear()
        self._retired.clear()
        for client in clients:
            await client.aclose()

    def _forget_gone(self, entries: dict[Key, _Open[Any]]) -> None:
        """Forget connections that went long ago, or of which a namespace has more than it may have that are there."""
        now = self._clock.monotonic()
        gone = [(entry.gone_at, key) for key, entry in entries.items() if entry.gone_at is not None]
        of_namespace: Counter[str] = Counter()
        for since, key in sorted(gone, reverse=True):
            entry = entries[key]
            if entry.lock.locked():
                continue
            of_namespace[key.namespace] += 1
            if key.namespace and of_namespace[key.namespace] > self._per_namespace:
                self._retire(key, entries.pop(key), closes_at=now)
            elif entry.opens is None or now - since > AFTERLIFE:
                self._retire(key, entries.pop(key), closes_at=now + RETIREMENT)

    async def _close_if_unused(self, key: Key) -> None:
        """Close the client of a connection that no resource uses; it is opened again when it is wanted."""
        for entries in self._opened():
            entry = entries.get(key)
            if entry is None or entry.client is None:
                continue
            client: _Client = entry.client
            if client.is_busy:
                self._used[key] = self._clock.monotonic()
            elif self._is_unused(key, client):
                entry.client = None
                await client.aclose()

    async def _open_baseten(
        self, connection: Connection | ClusterConnection, remote: BasetenConnection, *, fresh: bool, going: bool = False
    ) -> Handle[Baseten]:
        async def credential(read: Read) -> Credential:
            return await _baseten_credential(remote, read)

        return await self._handle(
            self._baseten, connection, remote.url, Baseten.connect, credential, fresh=fresh, going=going
        )

    async def _open_bifrost(
        self, connection: Connection | ClusterConnection, remote: BifrostConnection, *, fresh: bool, going: bool = False
    ) -> Handle[Bifrost]:
        async def credential(read: Read) -> Credential:
            return await _bifrost_credential(remote, read)

        return await self._handle(
            self._bifrost, connection, remote.url, Bifrost.connect, credential, fresh=fresh, going=going
        )

    async def _usable(self, resource: Managed) -> Connection | ClusterConnection:
        """Return the connection of a resource, if the resource's namespace may use it."""
        connection = self._known(resource)
        if connection is None:
            raise self._missing(resource)
        if isinstance(connection, ClusterConnection):
            await self._check_served(connection, resource.metadata.namespace)
        self._used[_key(connection)] = self._clock.monotonic()
        return connection

    def _known(self, resource: Managed) -> Connection | ClusterConnection | None:
        """Return the connection of a resource; of one that is deleted, the one that was deleted in the same breath."""
        key = self._store.referred(resource.metadata.namespace, resource.spec.connection_ref)
        known = None if key is None else self._store.connection(*key)
        origin = resource.status.origin
        if not _is_going(resource) or origin is None or (known is not None and self._is_way(origin, known)):
            return known
        return self._departed(resource, origin) or known

    def _departed(self, resource: Managed, origin: Origin) -> Connection | ClusterConnection | None:
        """Return the connection that the resource referred to and that is gone, but is still open."""
        reference = resource.spec.connection_ref
        for kind in reference.kinds:
            key = Key(kind, resource.metadata.namespace if kind == Connection.kind() else "", reference.name)
            for entries in self._opened():
                entry = entries.get(key)
                if entry is None or entry.connection is None or self._store.connection(*key) is not None:
                    continue
                if self._is_way(origin, entry.connection):
                    return entry.connection
        return None

    def _opened(self) -> tuple[dict[Key, _Open[Any]], ...]:
        """Return what is open, by connection, of each remote."""
        return self._baseten, self._bifrost

    def _is_way(self, origin: Origin, connection: Connection | ClusterConnection) -> bool:
        return origin.leads_to(_origin(connection, self.url(connection)))

    def _missing(self, resource: Managed) -> ConnectionNotFound | ConnectionNotAllowed:
        wanted = resource.spec.connection_ref
        if wanted.kind == ClusterConnection.kind() and not self._cluster_wide:
            return ConnectionNotAllowed("ClusterConnections are not read by an operator restricted to namespaces")
        where = {
            Connection.kind(): f"Connection {wanted.name} in namespace {resource.metadata.namespace}",
            ClusterConnection.kind(): f"ClusterConnection {wanted.name}",
        }
        return ConnectionNotFound(f"there is no {' and no '.join(where[kind] for kind in wanted.kinds)}")

    async def _check_served(self, connection: ClusterConnection, namespace: str) -> None:
        served = connection.spec.namespaces
        if namespace in served.names:
            return
        if served.selector is not None and served.selector.matches(await self._labels_of(namespace)):
            return
        raise ConnectionNotAllowed(
            f"ClusterConnection {connection.metadata.name} does not serve namespace {namespace} (its spec.namespaces)"
        )

    async def _labels_of(self, namespace: str) -> dict[str, str]:
        now = self._clock.monotonic()
        known = self._labels.get(namespace)
        if known is not None and now - known[0] < LIFETIME:
            return known[1]
        try:
            body = await self._kube.get(f"/api/v1/namespaces/{namespace}")
        except ResourceGone:
            return {}
        except RequestRefused as error:
            raise ConnectionNotAllowed(f"the labels of namespace {namespace} cannot be read: {error}") from None
        labels: dict[str, str] = body.get("metadata", {}).get("labels") or {}
        for other in [other for other, (read, _) in self._labels.items() if now - read >= LIFETIME]:
            del self._labels[other]
        self._labels[namespace] = (now, labels)
        return labels

    async def _handle(
        self,
        entries: dict[Key, _Open[C]],
        connection: Connection | ClusterConnection,
        url: str,
        connect: _Connect[C],
        credential: Callable[[Read], Awaitable[Credential]],
        *,
        fresh: bool,
        going: bool,
    ) -> Handle[C]:
        """Return the open connection; `going`: for a resource that is deleted, perhaps together with the Secret."""
        asked = self._clock.monotonic()
        title = _title(connection)
        if not self.is_admitted(connection):
            raise ConnectionNotAllowed(
                f"{title} is not used: namespace {connection.metadata.namespace} has {self._per_namespace} older Connections, "
                "which are all that one namespace may have (the operator's SETPOINT_CONNECTIONS_PER_NAMESPACE)"
            )
        refusal = self.hosts.refusal(url, namespaced=isinstance(connection, Connection))
        if refusal is not None:
            raise ConnectionNotAllowed(f"{title}: {refusal}")

        not_older_than = asked if fresh else None

        async def read(ref: SecretKeyRef) -> str:
            where, also = _namespace(connection, ref), _wanted_beside(connection, ref)
            return await self._secrets.value(where, ref.name, ref.key, also=also, not_older_than=not_older_than)

        async def bundle() -> bytes | None:
            ref = connection.spec.ca_secret_ref
            if ref is None:
                return None
            where, also = _namespace(connection, ref), _wanted_beside(connection, ref)
            return await self._secrets.content(where, ref.name, ref.key, also=also, not_older_than=not_older_than)

        entry = entries.setdefault(_key(connection), _Open())
        async with entry.lock:
            try:
                client = self._client(entry, connection, url, connect, await credential(read), await bundle())
            except ConnectionNotFound:
                if not going or entry.opens is None or not _is_same(entry.connection, connection):
                    raise
                client = entry.client = entry.client or entry.opens()
        return Handle(name=title, client=client, gate=entry.gate, origin=_origin(connection, url))

    def _client(
        self,
        entry: _Open[C],
        connection: Connection | ClusterConnection,
        url: str,
        connect: _Connect[C],
        credential: Credential,
        ca_pem: bytes | None,
    ) -> C:
        spec = connection.spec
        bundle = None if ca_pem is None else hashlib.sha256(ca_pem).hexdigest()
        fingerprint = (connection.metadata.uid, spec, credential.fingerprint, bundle)
        if entry.client is not None and entry.fingerprint == fingerprint:
            return entry.client
        key = _key(connection)
        group = str(lane_of(key).group)
        opens = partial(
            connect,
            url=url,
            credential=credential,
            requests_per_second=spec.rate_limit.requests_per_second,
            timeout=spec.patience.total_seconds(),
            limits=self._limits.of(group),
            ca_pem=ca_pem,
            check=self._check(connection, url),
            meter=self._meter,
            commons=self._commons,
            owner=group,
        )
        try:
            client = opens()
        except ValueError as error:
            raise ConnectionNotAllowed(f"{_title(connection)}: {error}") from None
        if entry.fingerprint != fingerprint and entry.opens is not None:
            self._retire(key, entry, closes_at=self._clock.monotonic() + RETIREMENT)
            entry.gate.probe_now()
        entry.client, entry.opens, entry.fingerprint, entry.connection = client, opens, fingerprint, connection
        return client

    def _retire(self, key: Key, entry: _Open[Any], *, closes_at: float) -> None:
        """Close the client of a connection at that time, when what is under way with it has ended, or soon if nothing is."""
        if entry.client is None:
            return
        others = [retired for retired in self._retired if retired.key == key]
        for retired in others[: max(len(others) + 1 - RETIRED_OF_ONE, 0)]:
            retired.closes_at = self._clock.monotonic()
        at = self._clock.monotonic() if self._is_unused(key, entry.client) else closes_at
        self._retired.append(_Retired(key, entry.client, at))

    def _is_unused(self, key: Key, client: _Client) -> bool:
        """Tell whether no resource asked for a connection for a while, and nothing is under way with its client."""
        return not client.is_busy and self._clock.monotonic() - self._used.get(key, float("-inf")) > IDLE

    def _check(self, connection: Connection | ClusterConnection, url: str) -> Check:
        """Return what judges the addresses that a connection's host leads to, by what is known when it is asked."""
        namespaced = isinstance(connection, Connection)
        return lambda address: self.hosts.refusal_of_address(url, address, namespaced=namespaced)

    async def _close_retired(self) -> None:
        now = self._clock.monotonic()
        due = [retired for retired in self._retired if retired.closes_at <= now]
        self._retired = [retired for retired in self._retired if retired.closes_at > now]
        for retired in due:
            await retired.client.aclose()


def _origin(connection: Connection | ClusterConnection, url: str) -> Origin:
    meta = connection.metadata
    way = OriginConnection(
        kind=connection.kind(), name=meta.name, uid=meta.uid, credential=credential_digest(connection.spec)
    )
    return Origin(endpoint=place(url), connection=way)


def _is_same(known: Connection | ClusterConnection | None, other: Connection | ClusterConnection) -> bool:
    return known is not None and (known.metadata.uid, known.spec) == (other.metadata.uid, other.spec)


def _key(connection: Connection | ClusterConnection) -> Key:
    return Key(connection.kind(), connection.metadata.namespace, connection.metadata.name)


def _is_going(resource: Managed) -> bool:
    return resource.metadata.deletion_timestamp is not None


def _title(connection: Connection | ClusterConnection) -> str:
    return f"{connection.kind()} {connection.metadata.name}"


def _namespace(connection: Connection | ClusterConnection, ref: SecretKeyRef) -> str:
    return ref.namespace if isinstance(ref, NamespacedSecretKeyRef) else connection.metadata.namespace


def _wanted_beside(connection: Connection | ClusterConnection, ref: SecretKeyRef) -> dict[str, int]:
    """Return the keys that a connection wants of a reference's Secret, with the bytes that each may have."""
    spec = connection.spec
    refs = [] if spec.ca_secret_ref is None else [(spec.ca_secret_ref, LARGEST_BUNDLE)]
    auth = None if spec.bifrost is None else spec.bifrost.auth
    if auth is not None and auth.basic is not None:
        refs += [(auth.basic.username_secret_ref, LARGEST_CREDENTIAL)]
        refs += [(auth.basic.password_secret_ref, LARGEST_CREDENTIAL)]
    # Every other login is one key, which is the first that is asked for.
    where = (_namespace(connection, ref), ref.name)
    return {other.key: at_most for other, at_most in refs if (_namespace(connection, other), other.name) == where}


async def _baseten_credential(remote: BasetenConnection, read: Read) -> Credential:
    return Credential.authorization(remote.auth_scheme, await read(remote.api_key_secret_ref))


async def _bifrost_credential(remote: BifrostConnection, read: Read) -> Credential:
    auth = remote.auth
    if auth is None:
        return Credential.none()
    if auth.basic is not None:
        username = await read(auth.basic.username_secret_ref)
        return Credential.basic(username, await read(auth.basic.password_secret_ref))
    if auth.bearer_secret_ref is not None:
        return Credential.authorization("Bearer", await read(auth.bearer_secret_ref))
    if auth.setup_token_secret_ref is not None:
        return Credential.setup_token(await read(auth.setup_token_secret_ref))
    return Credential.none()
