"""Finds, reads and changes resources for a person; objects are as the API server shows them, whatever its version."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from setpoint.cluster import api
from setpoint.resources import CONNECTION_KINDS, KINDS, MANAGED_KINDS, Connection, Managed, Resource
from setpoint.resources.common import REQUESTED_AT

Body = dict[str, Any]

POLL = 0.5


class NotFound(Exception):
    """There is no such resource, or more than one; `str()` says which there are."""


@dataclass(frozen=True, slots=True)
class Found:
    """A resource of the cluster."""

    model: type[Resource]
    body: Body

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace, empty where it has none."""
        return str(self.body["metadata"].get("namespace", ""))

    @property
    def title(self) -> str:
        """Short kind, namespace and name."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.model.SHORT_NAMES[0]} {place}{self.name}"

    @property
    def status(self) -> Body:
        """Its status, empty where it has none."""
        status = self.body.get("status")
        return status if isinstance(status, dict) else {}

    @property
    def suspended(self) -> bool:
        """Whether its spec says so."""
        spec = self.body.get("spec") or {}
        return bool(spec.get("suspend"))

    @property
    def current(self) -> bool:
        """Whether the operator has looked at this generation."""
        return bool(self.status.get("observedGeneration") == self.body["metadata"].get("generation"))

    def condition(self, kind: str) -> Body:
        """Return a condition, empty where it is not there."""
        listed = self.status.get("conditions") or ()
        return next((dict(one) for one in listed if one.get("type") == kind), {})


class Cluster:
    """The resources of a cluster, by way of its API server."""

    def __init__(self, kube: api.KubeApi, namespace: str | None) -> None:
        self._kube = kube
        self.namespace = namespace
        """Where is looked; None: in all namespaces."""

    async def all(self, models: Iterable[type[Resource]] = KINDS) -> list[Found]:
        """Return all resources of these kinds.

        Raises:
            ClusterUnavailable, RequestRefused: the API server did not tell.
            ResourceGone: the kinds are not installed.
        """
        found: list[Found] = []
        for model in models:
            try:
                found += [
                    Found(model, body) async for body in self._kube.objects(api.collection(model, self.namespace), None)
                ]
            except api.RequestRefused:
                # Whoever may see a namespace need not see what the cluster shares.
                if model.SCOPE != "Cluster":
                    raise
        return found

    async def find(self, wanted: str) -> Found:
        """Return the resource that `kind/name` or a name means. Raises NotFound, and as `all`."""
        kind, _, name = wanted.rpartition("/")
        models = [model for model in KINDS if not kind or kind.lower() in names_of(model)]
        if not models:
            known = ", ".join(model.SHORT_NAMES[0] for model in KINDS)
            raise NotFound(f"{kind!r} is no kind of Setpoint; there are {known}")
        found = [one for one in await self.all(models) if one.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFound(
                f"{wanted} may mean {' or '.join(one.title for one in found)}: say which, as KIND/NAME, with -n"
            )
        where = "in any namespace" if self.namespace is None else f"in namespace {self.namespace}"
        raise NotFound(f"there is no {wanted} {where}")

    async def patch(self, one: Found, operations: list[Body]) -> Found:
        """Change a resource if it is still the one that was found. Raises as `all`."""
        same = {"op": "test", "path": "/metadata/uid", "value": one.body["metadata"]["uid"]}
        path = api.item(one.model, one.namespace, one.name)
        return Found(one.model, await self._kube.json_patch(path, [same, *operations]))

    async def suspend(self, one: Found, *, suspended: bool) -> Found:
        """Suspend or resume a resource. Raises as `all`."""
        return await self.patch(one, [{"op": "add", "path": "/spec/suspend", "value": suspended}])

    async def request(self, one: Found) -> str:
        """Ask for a look at a resource now, and return by what the answer is known. Raises as `all`."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        annotations = {**(one.body["metadata"].get("annotations") or {}), REQUESTED_AT: stamp}
        await self.patch(one, [{"op": "add", "path": "/metadata/annotations", "value": annotations}])
        return stamp

    async def handled(self, one: Found, stamp: str, timeout: float) -> Found | None:
        """Wait until a request was handled, and return the resource; None where it was not within the seconds."""
        path = api.item(one.model, one.namespace, one.name)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    now = Found(one.model, await self._kube.get(path))
                    if now.status.get("lastHandledReconcileAt") == stamp:
                        return now
                    await asyncio.sleep(POLL)
        except TimeoutError:
            return None


def names_of(model: type[Resource]) -> set[str]:
    """Return the words by which people name a kind, in lower case."""
    kind = model.kind().lower()
    return {kind, model.PLURAL, f"{model.PLURAL}.setpoint.dev", *model.SHORT_NAMES}


def connection_of(one: Found, connections: Mapping[tuple[str, str, str], Found]) -> tuple[str, str, str]:
    """Return kind, namespace and name of the connection a resource uses, or would if it were there."""
    if not issubclass(one.model, Managed):
        raise TypeError(f"{one.title} uses no connection")
    wanted = one.model.reference(one.body)
    kinds = wanted.kinds
    named = [(kind, one.namespace if kind == Connection.kind() else "", wanted.name) for kind in kinds]
    return next((key for key in named if key in connections), named[0])


def by_connection(found: Iterable[Found]) -> dict[tuple[str, str, str], tuple[Found | None, list[Found]]]:
    """Return every connection with the resources that use it; None for one that resources name and is not there."""
    listed = list(found)
    connections = {(one.model.kind(), one.namespace, one.name): one for one in listed if one.model in CONNECTION_KINDS}
    grouped: dict[tuple[str, str, str], tuple[Found | None, list[Found]]] = {
        key: (one, []) for key, one in connections.items()
    }
    for one in listed:
        if one.model in MANAGED_KINDS:
            grouped.setdefault(connection_of(one, connections), (None, []))[1].append(one)
    return grouped
