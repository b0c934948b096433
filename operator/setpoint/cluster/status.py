"""Writes results back: one patch of `/status` per change, none without one."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from setpoint.cluster import api
from setpoint.cluster.events import EventPoster
from setpoint.cluster.store import FINALIZERS_CUT, Store
from setpoint.reconcile.ports import ClusterUnavailable, Event, EventType, Key, ResourceChanged, ResourceGone
from setpoint.resources.common import FINALIZER, Managed, StatusBase, clean_message

log = logging.getLogger(__name__)

TRIES = 5
"""Times a write of a status or of finalizers starts anew because somebody else changed the object."""


MOST_TOLD = 1024
"""Resources of which it is known that their refused status was told of."""

STATUS_REFUSED = "StatusRefused"
"""Reason of the Event that tells that the API server does not take a status, which then cannot say so itself."""


class _RefusedError(ClusterUnavailable):
    """The API server understood a change, of the version there is, and does not take it."""


class StatusWriter:
    """Makes the status at the API server what the controller worked out; implements the controller's reporter."""

    def __init__(self, kube: api.KubeApi, store: Store, events: EventPoster) -> None:
        self._kube = kube
        self._store = store
        self._events = events
        self._refused: set[str] = set()
        """By uid: resources whose status the API server refuses, as was told."""

    async def status(self, resource: Managed, status: StatusBase) -> None:
        """Send what differs from the status as last shown by the API server, if that is still what it has.

        Only the whole of a status is true: half of it on top of what another process wrote since would not be. And a
        successor of the same name must keep its own. A merge patch cannot ask for either: the API server ignores the uid in
        one of a custom resource's `/status` (measured with 1.35). The `test` of a JSON patch does.

        Raises:
            ResourceGone: the resource is not there any more, or another one has its name.
            ResourceChanged: it has another spec, or a status of somebody else, by now.
            ClusterUnavailable: the API server did not take it.
        """
        meta = resource.metadata
        key = Key(resource.kind(), meta.namespace, meta.name)
        wanted = without_empty(status.dump())
        path = api.item(type(resource), meta.namespace, meta.name)
        before = self._known(key, meta.uid)["status"]
        for _ in range(TRIES):
            known = self._known(key, meta.uid)
            if known["metadata"].get("generation", 0) > meta.generation:
                raise ResourceChanged(f"{key} has another spec by now")
            if known["status"] != before:
                raise ResourceChanged(f"{key} has another status by now")
            changes = operations(known["status"], wanted)
            try:
                done = not changes or await self._patched(key, f"{path}/status", path, known["metadata"], changes)
            except _RefusedError as error:
                self._tell_refused(resource, error)
                raise
            if done:
                self._refused.discard(meta.uid)
                return
        raise ClusterUnavailable(f"{key} changes all the time")

    def _tell_refused(self, resource: Managed, error: Exception) -> None:
        """Tell once what a status that is not taken cannot tell."""
        uid = resource.metadata.uid
        if uid in self._refused:
            return
        if len(self._refused) >= MOST_TOLD:
            self._refused.clear()
        self._refused.add(uid)
        message = clean_message(f"the API server refuses the status of this resource, which is tried again: {error}")
        self._events.post(resource, Event(EventType.WARNING, STATUS_REFUSED, message))

    async def hold(self, resource: Managed) -> None:
        """Put the finalizer onto a resource; nothing is sent where it has it.

        Raises:
            ResourceGone: the resource is not there any more or is being deleted, or another one has its name.
            ClusterUnavailable: the API server did not take it.
        """
        await self._finalizers(resource, lambda there: there if FINALIZER in there else [*there, FINALIZER])

    async def release(self, resource: Managed) -> None:
        """Take the finalizer off a resource; nothing is sent where it has none. Raises as `hold`."""
        await self._finalizers(resource, lambda there: [name for name in there if name != FINALIZER])

    async def _finalizers(self, resource: Managed, change: Callable[[list[str]], list[str]]) -> None:
        """Change the list as long as it is the one that was seen: others have finalizers there, too."""
        meta = resource.metadata
        key = Key(resource.kind(), meta.namespace, meta.name)
        path = api.item(type(resource), meta.namespace, meta.name)
        for _ in range(TRIES):
            known = self._known(key, meta.uid)["metadata"]
            if FINALIZERS_CUT in known:
                known = await self._whole_metadata(key, path, meta.uid)
            before = known.get("finalizers") or []
            after = change(before)
            if after == before:
                return
            if len(after) > len(before) and "deletionTimestamp" in known:
                raise ResourceGone(f"{key} is being deleted")
            changes = [{"op": "add", "path": "/metadata/finalizers", "value": after}]
            if await self._patched(key, path, path, known, changes):
                return
        raise ClusterUnavailable(f"{key} changes all the time")

    async def _whole_metadata(self, key: Key, path: str, uid: str) -> dict[str, Any]:
        """Return the metadata of a resource as the API server has it, with all finalizers."""
        try:
            body = await self._kube.get(path)
        except api.RequestRefused as error:
            raise ClusterUnavailable(str(error)) from None
        self._store.learn(key.kind, body)
        self._known(key, uid)
        metadata: dict[str, Any] = body["metadata"]
        return metadata

    def _known(self, key: Key, uid: str) -> dict[str, Any]:
        known = self._store.body(key)
        if known is None or known["metadata"]["uid"] != uid:
            raise ResourceGone(f"{key} is not there any more")
        return known

    async def _patched(
        self, key: Key, path: str, whole: str, known: Mapping[str, Any], changes: list[dict[str, Any]]
    ) -> bool:
        """Patch an object if it is the version that is known; False where it is another one, which is known then."""
        try:
            body = await self._kube.json_patch(path, [*still(known["uid"], known["resourceVersion"]), *changes])
        except api.RequestRefused as error:
            body = await self._kube.get(whole)
            if body["metadata"]["resourceVersion"] == known["resourceVersion"]:
                raise _RefusedError(str(error)) from None
            self._store.learn(key.kind, body)
            return False
        except ClusterUnavailable:
            self._store.doubt(key)
            raise
        self._store.learn(key.kind, body)
        return True

    def event(self, resource: Managed, event: Event) -> None:
        """Tell what happened, in the background."""
        self._events.post(resource, event)


def still(uid: str, version: str) -> list[dict[str, Any]]:
    """Return the tests of a JSON patch that hold as long as the object is this version of this very one."""
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
    ]


def operations(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the JSON patch (RFC 6902) that turns one status into another, field by field; empty where they are equal."""
    if not before and after:
        return [{"op": "add", "path": "/status", "value": dict(after)}]
    removed = [{"op": "remove", "path": f"/status/{name}"} for name in before if name not in after]
    return removed + [
        {"op": "add", "path": f"/status/{name}", "value": value}
        for name, value in after.items()
        if name not in before or before[name] != value
    ]


def without_empty(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status without empty lists, which say nothing and would have to be told apart from absent ones."""
    return {name: value for name, value in status.items() if value != []}
