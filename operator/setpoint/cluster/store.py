"""What is known of the resources, fed by the watch.

Objects are kept as the few bytes of JSON that matter (identity, spec, status) and read into models when their turn comes:
a model of ten thousand resources would weigh several times as much.

The watch tells what is there, but kopf's re-list after a gap does not tell what is gone, and a list may be older than what
was known before. So a resource is trusted without asking only for a short time after the watch has streamed it or the API
server has answered about it; else `confirm` asks the API server before anything is written, and the audit (`audit`) drops
what a list does not have any more.
"""

import json
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from setpoint.cluster import api
from setpoint.reconcile.ports import Clock, ClusterUnavailable, Key, ResourceGone, lane_of
from setpoint.reconcile.turns import Lane
from setpoint.resources import CONNECTION_KINDS, MANAGED_KINDS, ClusterConnection, Connection, Managed, ObjectMeta
from setpoint.resources.common import FINALIZER, REQUESTED_AT, ConnectionRef, SpecBase, request_of
from setpoint.resources.shown import Shown, shown

TRUST = 15.0
"""Seconds for which a streamed event is proof enough that a resource is there and unchanged."""

REMEMBERED = 300.0
"""Seconds for which a deleted object is known to be deleted: longer than any answer about it may be on its way."""

PARSED = 512
"""Resources kept as Python objects, which are large; all others are kept as bytes."""

LONGEST_FINALIZERS = 4096
"""Characters of an object's finalizers that are kept; of more only the operator's own is."""

FINALIZERS_CUT = "finalizersCut"
"""Stands in metadata whose finalizers are not all there, so that whoever changes the list reads it first."""

_META = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "finalizers",
)


_Age: TypeAlias = tuple[float, str]
"""When something was created, and its uid."""


@dataclass(slots=True, eq=False)
class _Entry:
    uid: str
    generation: int
    version: str
    requested_at: str | None
    going: bool
    connection: ConnectionRef
    body: bytes
    shown: Shown
    seen: float
    """When it was last shown, by a list or otherwise."""
    proven: float
    """When it was last shown by something that cannot be older than what is known."""
    held: bool
    """The finalizer is there."""
    told: tuple[object, ...] | None
    """What the controller was told of last; the operator's own requests may have learnt more since."""
    told_held: bool = False
    """The finalizer was there when the controller was told last."""

    @property
    def asks(self) -> tuple[object, ...]:
        """What asks for a look when it changes."""
        return self.uid, self.generation, self.requested_at, self.going


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies one state of one object."""

    uid: str
    version: str


class Store:
    """The resources and connections the watch has shown; implements the controller's view."""

    def __init__(self, kube: api.KubeApi, clock: Clock, *, trust: float = TRUST) -> None:
        self._kube = kube
        self._clock = clock
        self._trust = trust
        self._managed: dict[Key, _Entry] = {}
        self._parsed: OrderedDict[_Entry, Managed] = OrderedDict()
        """Resources that were asked for last, so that one look reads its resource once."""
        self._dropped: dict[str, tuple[float, str]] = {}
        self._connections: dict[Key, Connection | ClusterConnection] = {}
        self._ages: dict[str, list[_Age]] = {}
        """Of each namespace its Connections, the oldest first."""
        self._models: dict[str, type[Managed]] = {model.kind(): model for model in MANAGED_KINDS}

    def __len__(self) -> int:
        return len(self._managed)

    def put(self, kind: str, body: Mapping[str, Any], *, listed: bool = False) -> tuple[Key, bool]:
        """Keep what the watch shows of a managed kind; tell its key and whether it asks for a look it was not told of.

        `listed`: a list has shown it, which is no proof that it is still there.
        """
        key, entry = self._keep(kind, body, listed=listed)
        if entry is None:
            return key, False
        # Somebody who replaces an object takes the finalizer off it, which is put back before it is needed.
        let_go = entry.told_held and not entry.held
        news = entry.told is not None and (entry.told != entry.asks or let_go)
        entry.told, entry.told_held = entry.asks, entry.held
        return key, news

    def learn(self, kind: str, body: Mapping[str, Any]) -> None:
        """Keep what the API server answered to the operator itself; what is new in it the watch will tell."""
        self._keep(kind, body, listed=False)

    def doubt(self, key: Key) -> None:
        """Take what is known of a resource for no proof that it is there: an answer was lost that may have ended it."""
        entry = self._managed.get(key)
        if entry is not None:
            entry.proven = float("-inf")

    def _keep(self, kind: str, body: Mapping[str, Any], *, listed: bool) -> tuple[Key, _Entry | None]:
        """Keep an object, and return its entry; None for one that was deleted.

        An older version than the one known is ignored: an answer to the operator's own patch may overtake the watch, and
        be overtaken.
        """
        metadata = body["metadata"]
        key = Key(kind, metadata.get("namespace", ""), metadata["name"])
        dropped = self._dropped.get(metadata["uid"])
        if dropped is not None and not _older(dropped[1], metadata["resourceVersion"]):
            return key, None
        known = self._managed.get(key)
        now = self._clock.monotonic()
        if known is not None:
            # The watch shows what the answer to a patch has shown before; it need not be read again.
            same = (known.uid, known.version) == (metadata["uid"], metadata["resourceVersion"])
            if same or _older(metadata["resourceVersion"], known.version):
                known.seen = now
                if same and not listed:
                    known.proven = now
                return key, known
        entry = _Entry(
            uid=metadata["uid"],
            generation=metadata.get("generation", 0),
            version=metadata["resourceVersion"],
            requested_at=request_of(metadata.get("annotations") or {}),
            going="deletionTimestamp" in metadata,
            connection=self._models[kind].reference(body),
            body=_essence(body),
            shown=shown(body),
            seen=now,
            proven=now if not listed else float("-inf"),
            held=FINALIZER in (metadata.get("finalizers") or ()),
            told=known.told if known is not None else None,
            told_held=known.told_held if known is not None else False,
        )
        self._managed[key] = entry
        return key, entry

    def drop(self, key: Key, uid: str, version: str | None = None) -> bool:
        """Forget the object of that uid, which was deleted or left the shard at that version; tell whether it was known."""
        known = self._managed.get(key)
        if known is None or known.uid != uid:
            return False
        del self._managed[key]
        now = self._clock.monotonic()
        self._dropped.pop(uid, None)
        self._dropped[uid] = (now, version or known.version)
        while now - next(iter(self._dropped.values()))[0] > REMEMBERED:
            del self._dropped[next(iter(self._dropped))]
        return True

    def get(self, key: Key) -> Managed | None:
        """Return the newest known version of the resource, or None.

        Raises:
            ValidationError: its spec does not fit the model.
        """
        entry = self._managed.get(key)
        if entry is None:
            return None
        resource = self._parsed.pop(entry, None) or self._read(key, entry)
        self._parsed[entry] = resource
        if len(self._parsed) > PARSED:
            self._parsed.popitem(last=False)
        return resource

    def bare(self, key: Key) -> Managed | None:
        """Return a resource whose spec cannot be read, with metadata and an empty spec."""
        entry = self._managed.get(key)
        if entry is None:
            return None
        body = json.loads(entry.body)
        metadata = ObjectMeta.model_validate(body["metadata"])
        model = self._models[key.kind]
        try:
            status = model.status_model().model_validate(body.get("status") or {})
        except ValidationError:
            status = model.status_model()()
        return model.model_construct(metadata=metadata, spec=SpecBase(), status=status)

    def identity(self, key: Key) -> tuple[str, int] | None:
        """Return uid and generation of the newest known version, or None."""
        entry = self._managed.get(key)
        return None if entry is None else (entry.uid, entry.generation)

    async def confirm(self, key: Key) -> Managed | None:
        """Return the resource as it is now, asking the API server unless the watch has streamed it a moment ago.

        Raises:
            ClusterUnavailable: the API server could not tell.
            ValidationError: its spec does not fit the model.
        """
        entry = self._managed.get(key)
        if entry is None:
            return None
        if self._clock.monotonic() - entry.proven > self._trust:
            try:
                body = await self._kube.get(api.item(self._models[key.kind], key.namespace, key.name))
            except ResourceGone:
                self.drop(key, entry.uid)
                return None
            except api.RequestRefused as error:
                raise ClusterUnavailable(str(error)) from None
            self.learn(key.kind, body)
        return self.get(key)

    def body(self, key: Key) -> dict[str, Any] | None:
        """Return metadata, spec and status as the API server last showed them, or None where it is not known."""
        entry = self._managed.get(key)
        if entry is None:
            return None
        body: dict[str, Any] = json.loads(entry.body)
        return body

    def shown(self) -> Iterator[tuple[Key, Shown]]:
        """Yield every managed resource with what its status shows."""
        for key, entry in self._managed.items():
            yield key, entry.shown

    def reason(self, key: Key) -> str:
        """Return the reason of a resource's Ready condition; nothing where it is not known."""
        entry = self._managed.get(key)
        return "" if entry is None else entry.shown.reason

    def known(self, kind: str) -> dict[Key, Identity]:
        """Return key and identity of every known resource of a kind."""
        return {key: Identity(entry.uid, entry.version) for key, entry in self._managed.items() if key.kind == kind}

    def seen_since(self, key: Key, moment: float) -> bool:
        """Tell whether the watch has shown the resource since that moment."""
        entry = self._managed.get(key)
        return entry is not None and entry.seen >= moment

    def put_connection(self, body: Mapping[str, Any]) -> bool:
        """Keep a Connection or ClusterConnection; tell whether its spec is new.

        Raises:
            ValidationError: it does not fit the model.
        """
        model = next(model for model in CONNECTION_KINDS if model.kind() == body["kind"])
        body = {**body, "metadata": _identifying(body["metadata"])}
        try:
            connection = model.from_body(body)
        except ValidationError:
            # A status someone else wrote must not keep the connection from being used.
            connection = model.from_body({name: value for name, value in body.items() if name != "status"})
        if not isinstance(connection, Connection | ClusterConnection):
            return False
        key = Key(model.kind(), connection.metadata.namespace, connection.metadata.name)
        known = self._connections.get(key)
        if known is None or known.metadata.uid != connection.metadata.uid:
            self.drop_connection(*key)
            insort(self._ages.setdefault(key.namespace, []), _age(connection))
        self._connections[key] = connection
        return known is None or known.metadata.uid != connection.metadata.uid or known.spec != connection.spec

    def drop_connection(self, kind: str, namespace: str, name: str) -> None:
        """Forget a Connection or ClusterConnection."""
        known = self._connections.pop(Key(kind, namespace, name), None)
        if known is not None:
            ages = self._ages[namespace]
            ages.remove(_age(known))
            if not ages:
                del self._ages[namespace]

    def connection(self, kind: str, namespace: str, name: str) -> Connection | ClusterConnection | None:
        """Return a Connection of a namespace, or a ClusterConnection (whose namespace is empty)."""
        return self._connections.get(Key(kind, namespace if kind == Connection.kind() else "", name))

    def connections(self) -> dict[Key, Connection | ClusterConnection]:
        """Return all connections."""
        return dict(self._connections)

    def older(self, connection: Connection | ClusterConnection) -> int:
        """Return how many of a connection's namespace are older, by creation; of those of one second, by uid."""
        return bisect_left(self._ages.get(connection.metadata.namespace, []), _age(connection))

    def connection_uses(self) -> Iterable[Key]:
        """Yield the connection of every resource that has one, once for each."""
        for key in self._managed:
            used = self._used(key)
            if used is not None:
                yield used

    def lane(self, key: Key) -> Lane:
        """Return the connection of a resource in its group; what has none counts to its own namespace."""
        used = self._used(key)
        return Lane(key.namespace, None) if used is None else lane_of(used)

    def _used(self, key: Key) -> Key | None:
        """Return the connection of a resource; None where it has none."""
        entry = self._managed.get(key)
        return None if entry is None else self.referred(key.namespace, entry.connection)

    def referred(self, namespace: str, reference: ConnectionRef) -> Key | None:
        """Return the connection that a reference in a namespace means; None where there is none."""
        names = (Key(kind, namespace if kind == Connection.kind() else "", reference.name) for kind in reference.kinds)
        return next((name for name in names if name in self._connections), None)

    def users_of(self, kind: str, namespace: str, name: str) -> Iterable[Key]:
        """Return the resources that refer, or fall back, to a connection."""
        return [
            key
            for key, entry in self._managed.items()
            if entry.connection.name == name
            and kind in entry.connection.kinds
            and (kind == ClusterConnection.kind() or key.namespace == namespace)
        ]

    def _read(self, key: Key, entry: _Entry) -> Managed:
        model = self._models[key.kind]
        try:
            return model.model_validate_json(entry.body)
        except ValidationError:
            # A status someone else wrote must not keep the spec from being enforced.
            body = json.loads(entry.body)
            body.pop("status", None)
            return model.from_body(body)


def _age(connection: Connection | ClusterConnection) -> _Age:
    created = connection.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, connection.metadata.uid)


def _essence(body: Mapping[str, Any]) -> bytes:
    metadata = _identifying(body["metadata"])
    requested = request_of(body["metadata"].get("annotations") or {})
    if requested is not None:
        metadata["annotations"] = {REQUESTED_AT: requested}
    essence = {"metadata": metadata, "spec": body.get("spec"), "status": body.get("status") or {}}
    return json.dumps(essence, separators=(",", ":")).encode()


def _identifying(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without what users may make large and nobody here needs: annotations, labels, managedFields."""
    kept: dict[str, Any] = {name: metadata[name] for name in _META if name in metadata}
    finalizers = kept.get("finalizers") or []
    if sum(map(len, finalizers)) > LONGEST_FINALIZERS:
        kept |= {"finalizers": [name for name in finalizers if name == FINALIZER], FINALIZERS_CUT: True}
    return kept


def _older(version: str, known: str) -> bool:
    """Tell whether a resourceVersion is older; comparable as numbers since Kubernetes 1.35 (KEP-5504), as ever in etcd."""
    try:
        return int(version) < int(known)
    except ValueError:
        return False
