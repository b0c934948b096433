"""An API server in memory: versions, generations, finalizers, the status subresource, and what watches show of it all.

Beside the managed resources it has their Connections and the Secrets of these, one Secret in each namespace.
"""

import asyncio
import base64
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from setpoint.cluster import api
from setpoint.reconcile.ports import Key, ResourceGone
from setpoint.remotes.hosts import place
from setpoint.resources import MANAGED_KINDS, Connection
from setpoint.resources.common import REQUESTED_AT
from tests.virtual_time import moment, now

Object = dict[str, Any]

KINDS = {model.PLURAL: model.kind() for model in MANAGED_KINDS}
DEFAULT = {model.kind(): model.CONNECTION for model in MANAGED_KINDS}
"""The connection of a kind where the spec names none."""

SECRET = "keys"  # noqa: S105 - a name
SECRET_KEY = "key"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Change:
    """One event of a watch."""

    at: float
    type: str
    key: Key
    body: Object


class ApiServer:
    """Objects of the managed kinds, and everything that ever happened to them."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.history: list[Change] = []
        self.connections: dict[Key, Object] = {}
        self.connection_history: list[Change] = []
        self.secrets: dict[str, str] = {}
        """The credential in the Secret of a namespace, of those that have one."""
        self.on_change: Callable[[Change, Object | None], None] = lambda change, before: None
        self.on_connection: Callable[[Key], None] = lambda key: None
        self._version = 0
        self._born = 0
        self._past: list[tuple[float, dict[Key, Object]]] = []
        self._news = asyncio.Event()

    # what users do

    def create(self, key: Key, spec: Object) -> None:
        """Create an object."""
        assert key not in self.objects
        self._born += 1
        metadata = {
            "name": key.name,
            "namespace": key.namespace,
            "uid": f"uid-{self._born}",
            "generation": 1,
            "creationTimestamp": moment().replace(microsecond=0).isoformat(),
        }
        self._put("ADDED", key, {"metadata": metadata, "spec": spec, "status": {"observedGeneration": -1}})

    def edit(self, key: Key, change: Callable[[Object], None]) -> None:
        """Change a spec."""
        body = copy.deepcopy(self.objects[key])
        change(body["spec"])
        if body["spec"] != self.objects[key]["spec"]:
            body["metadata"]["generation"] += 1
            self._put("MODIFIED", key, body)

    def request(self, key: Key, value: str) -> None:
        """Ask for a look."""
        body = copy.deepcopy(self.objects[key])
        body["metadata"].setdefault("annotations", {})[REQUESTED_AT] = value
        self._put("MODIFIED", key, body)

    def delete(self, key: Key) -> None:
        """Delete an object: at once, or when its last finalizer goes."""
        body = copy.deepcopy(self.objects[key])
        metadata = body["metadata"]
        if "deletionTimestamp" in metadata:
            return
        if not metadata.get("finalizers"):
            self._remove(key, body)
            return
        metadata["deletionTimestamp"] = moment().replace(microsecond=0).isoformat()
        metadata["generation"] += 1
        self._put("MODIFIED", key, body)

    def replace(self, key: Key) -> None:
        """Replace an object by a manifest that tells nothing of finalizers, so that it has none any more."""
        body = copy.deepcopy(self.objects[key])
        if body["metadata"].pop("finalizers", None):
            self._put("MODIFIED", key, body)

    def connect(self, namespace: str, name: str, spec: Object) -> None:
        """Make a Connection, or let one lead elsewhere."""
        key = Key(Connection.kind(), namespace, name)
        known = self.connections.get(key)
        self._version += 1
        if known is None:
            self._born += 1
            metadata = {"name": name, "namespace": namespace, "uid": f"uid-{self._born}", "generation": 1}
        else:
            metadata = {**known["metadata"], "generation": known["metadata"]["generation"] + 1}
        body = {"metadata": {**metadata, "resourceVersion": str(self._version)}, "spec": spec}
        self.connections[key] = body
        self._connection_happened(Change(now(), "ADDED" if known is None else "MODIFIED", key, body))

    def disconnect(self, key: Key) -> None:
        """Delete a Connection."""
        self._connection_happened(Change(now(), "DELETED", key, self.connections.pop(key)))

    def endpoint(self, key: Key, body: Object) -> str | None:
        """Return where the connection of a resource leads; None where there is no such connection."""
        connection = self.connections.get(connection_of(key, body))
        return None if connection is None else _leads_to(connection)

    def endpoints(self, key: Key, body: Object, since: float) -> list[str | None]:
        """Return where the connection of a resource led at any moment since then, the present place at the end."""
        named = connection_of(key, body)
        changes = [change for change in self.connection_history if change.key == named]
        later = [change for change in changes if change.at > since]
        known = changes[: len(changes) - len(later)][-1:] + later
        return [None if change.type == "DELETED" else _leads_to(change.body) for change in known] or [None]

    # what the operator does

    def get(self, path: str) -> Object:
        """Return an object."""
        if "/secrets/" in path:
            return self._secret(path.split("/")[4])
        key, _ = _parse(path)
        if key not in self.objects:
            raise ResourceGone(f"{key} not found")
        return self.objects[key]

    def listed(self, path: str, *, age: float = 0.0) -> list[Object]:
        """Return all objects of a kind, as they were so many seconds ago."""
        plural = path.rpartition("/")[2]
        if plural == Connection.PLURAL:
            return list(self.connections.values())
        kind = KINDS.get(plural)
        objects = self._before(age) if age else self.objects
        return [body for key, body in objects.items() if key.kind == kind]

    def patch(self, path: str, operations: list[dict[str, Any]]) -> Object:
        """Apply a JSON patch, to an object or to its status."""
        key, part = _parse(path)
        if key not in self.objects:
            raise ResourceGone(f"{key} not found")
        before = self.objects[key]
        body = copy.deepcopy(before)
        for operation in operations:
            _apply(body, operation)
        after = copy.deepcopy(before)
        if part == "status":
            after["status"] = body["status"]
        else:
            after["metadata"]["finalizers"] = body["metadata"].get("finalizers", [])
            assert body["spec"] == before["spec"], "the operator changes no spec"
        if after == before:
            return before
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            return self._remove(key, after)
        return self._put("MODIFIED", key, after)

    def _secret(self, namespace: str) -> Object:
        if namespace not in self.secrets:
            raise ResourceGone(f"there is no Secret in {namespace}")
        return {"data": {SECRET_KEY: base64.b64encode(self.secrets[namespace].encode()).decode()}}

    def _before(self, seconds: float) -> dict[Key, Object]:
        earlier = [objects for at, objects in self._past if at <= now() - seconds]
        return earlier[-1] if earlier else {}

    def _put(self, type_: str, key: Key, body: Object) -> Object:
        before = self.objects.get(key)
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.objects = {**self.objects, key: body}
        self._happened(Change(now(), type_, key, body), before)
        return body

    def _remove(self, key: Key, body: Object) -> Object:
        before = self.objects[key]
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.objects = {other: kept for other, kept in self.objects.items() if other != key}
        self._happened(Change(now(), "DELETED", key, body), before)
        return body

    def _happened(self, change: Change, before: Object | None) -> None:
        self.history.append(change)
        self._past.append((change.at, self.objects))
        self.on_change(change, before)
        self.wake()

    def _connection_happened(self, change: Change) -> None:
        self.connection_history.append(change)
        self.on_connection(change.key)
        self.wake()

    async def news(self) -> None:
        """Wait until something happens."""
        await self._news.wait()

    def wake(self) -> None:
        """Let all who wait for news look again."""
        self._news.set()
        self._news = asyncio.Event()


def connection_of(key: Key, body: Object) -> Key:
    """Return the connection a resource refers to."""
    name = body["spec"].get("connectionRef", {}).get("name", DEFAULT[key.kind])
    return Key(Connection.kind(), key.namespace, name)


def _leads_to(connection: Object) -> str:
    spec = connection["spec"]
    return place((spec.get("baseten") or spec["bifrost"])["url"])


def _parse(path: str) -> tuple[Key, str]:
    parts = path.split("/")
    namespace, plural, name = parts[5:8]
    return Key(KINDS[plural], namespace, name), parts[8] if len(parts) > 8 else ""


def _apply(body: Object, operation: dict[str, Any]) -> None:
    *way, last = operation["path"].strip("/").split("/")
    place: Any = body
    for step in way:
        place = place[step]
    match operation["op"]:
        case "test":
            if place.get(last) != operation["value"]:
                raise api.RequestRefused(422, f"{operation['path']} is another one")
        case "add":
            place[last] = copy.deepcopy(operation["value"])
        case "remove":
            if last not in place:
                raise api.RequestRefused(422, f"{operation['path']} is not there")
            del place[last]
        case other:
            raise AssertionError(other)


def conditions(body: Object) -> Iterator[tuple[str, str, str]]:
    """Yield type, status and reason of every condition of an object."""
    for condition in body.get("status", {}).get("conditions", []):
        yield condition["type"], condition["status"], condition["reason"]


def ready(body: Object) -> tuple[str, str]:
    """Return status and reason of the Ready condition, of whatever generation."""
    return next(((status, reason) for type_, status, reason in conditions(body) if type_ == "Ready"), ("", ""))
