"""From a resource to an open client: which connection it means, whether it may use it, and the credential that opens it.

One client is kept per connection and rebuilt when the connection's spec or the value in its Secret changes. The gate stays
with the connection, so that resources turned away by a refused key are woken when a new key works.
"""

import asyncio
import hashlib
from dataclasses import dataclass, field

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.cluster.secrets import LIFETIME, Secrets
from setpoint.cluster.store import Store
from setpoint.reconcile.gate import Gate
from setpoint.reconcile.ports import (
    Clock,
    ConnectionNotAllowed,
    ConnectionNotFound,
    Handle,
    Key,
    ResourceGone,
)
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.limits import Limits
from setpoint.resources import ClusterConnection, Connection, Managed
from setpoint.resources.connection import ClusterConnectionSpec, ConnectionSpec, NamespacedSecretKeyRef, SecretKeyRef

RETIREMENT = 330.0
"""Seconds after which a replaced client is closed: longer than any request of its may take."""


@dataclass(slots=True)
class _Open:
    gate: Gate[Key] = field(default_factory=Gate)
    fingerprint: tuple[object, ...] = ()
    client: Baseten | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


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
    ) -> None:
        self._kube = kube
        self._store = store
        self._secrets = secrets
        self._limits = limits
        self._hosts = hosts
        self._clock = clock
        self._cluster_wide = cluster_wide
        self._open: dict[Key, _Open] = {}
        self._retired: list[tuple[float, Baseten]] = []
        self._labels: dict[str, tuple[float, dict[str, str]]] = {}

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle:
        """Return the open connection of a resource; `fresh` reads its Secret again.

        Raises:
            ConnectionNotFound: there is no such connection, Secret or key.
            ConnectionNotAllowed: there is, but not for this namespace, this host or this kind of remote.
            AuthenticationFailed: the key in the Secret cannot be sent.
            ClusterUnavailable: the API server could not tell.
        """
        asked = self._clock.monotonic()
        connection = self._find(resource)
        if isinstance(connection, ClusterConnection):
            await self._check_served(connection, resource.metadata.namespace)
        title = f"{connection.kind()} {connection.metadata.name}"
        spec = connection.spec
        if spec.baseten is None:
            raise ConnectionNotAllowed(f"{title} is not a connection to Baseten (spec.baseten is not set)")
        refusal = self._hosts.refusal(spec.baseten.url, namespaced=isinstance(connection, Connection))
        if refusal is not None:
            raise ConnectionNotAllowed(f"{title}: {refusal}")
        key = Key(connection.kind(), connection.metadata.namespace, connection.metadata.name)
        entry = self._open.setdefault(key, _Open())
        async with entry.lock:
            client = await self._client(entry, connection, spec, asked if fresh else None)
        await self._close_retired()
        return Handle(name=title, client=client, gate=entry.gate)

    async def aclose(self) -> None:
        """Close every client."""
        clients = [entry.client for entry in self._open.values() if entry.client is not None]
        clients += [client for _, client in self._retired]
        self._open.clear()
        self._retired.clear()
        for client in clients:
            await client.aclose()

    def _find(self, resource: Managed) -> Connection | ClusterConnection:
        wanted = resource.spec.connection_ref
        namespace = resource.metadata.namespace
        kinds = (wanted.kind,) if wanted.kind else (Connection.kind(), ClusterConnection.kind())
        for kind in kinds:
            found = self._store.connection(kind, namespace, wanted.name)
            if found is not None:
                return found
        if wanted.kind == ClusterConnection.kind() and not self._cluster_wide:
            raise ConnectionNotAllowed("ClusterConnections are not read by an operator restricted to namespaces")
        where = {
            Connection.kind(): f"Connection {wanted.name} in namespace {namespace}",
            ClusterConnection.kind(): f"ClusterConnection {wanted.name}",
        }
        raise ConnectionNotFound(f"there is no {' and no '.join(where[kind] for kind in kinds)}")

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
        self._labels[namespace] = (now, labels)
        return labels

    async def _client(
        self,
        entry: _Open,
        connection: Connection | ClusterConnection,
        spec: ConnectionSpec | ClusterConnectionSpec,
        not_older_than: float | None,
    ) -> Baseten:
        baseten = spec.baseten
        if baseten is None:
            raise ConnectionNotAllowed("spec.baseten is not set")
        key = await self._secret(connection, baseten.api_key_secret_ref, not_older_than)
        ca_pem = await self._secret(connection, spec.ca_secret_ref, not_older_than) if spec.ca_secret_ref else None
        digest = hashlib.sha256(key.encode()).hexdigest()
        fingerprint = (connection.metadata.uid, spec, digest, ca_pem)
        if entry.client is not None and entry.fingerprint == fingerprint:
            return entry.client
        try:
            client = Baseten.connect(
                url=baseten.url,
                auth_scheme=baseten.auth_scheme,
                key=key,
                requests_per_second=spec.rate_limit.requests_per_second,
                timeout=spec.patience.total_seconds(),
                limits=self._limits,
                ca_pem=ca_pem,
            )
        except ValueError as error:
            raise ConnectionNotAllowed(f"{connection.kind()} {connection.metadata.name}: {error}") from None
        if entry.client is not None:
            self._retired.append((self._clock.monotonic() + RETIREMENT, entry.client))
            entry.gate.probe_now()
        entry.client, entry.fingerprint = client, fingerprint
        return client

    async def _secret(
        self, connection: Connection | ClusterConnection, ref: SecretKeyRef, not_older_than: float | None
    ) -> str:
        namespace = ref.namespace if isinstance(ref, NamespacedSecretKeyRef) else connection.metadata.namespace
        return await self._secrets.value(namespace, ref.name, ref.key, not_older_than=not_older_than)

    async def _close_retired(self) -> None:
        now = self._clock.monotonic()
        while self._retired and self._retired[0][0] <= now:
            _, client = self._retired.pop(0)
            await client.aclose()
