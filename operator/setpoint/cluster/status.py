"""Writes results back: one merge patch of `/status` per change, none without one."""

import logging
from collections.abc import Mapping
from typing import Any

from setpoint.cluster import api
from setpoint.cluster.events import EventPoster
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import ClusterUnavailable, Event, Key, ResourceGone
from setpoint.resources.common import Managed, StatusBase

log = logging.getLogger(__name__)


class StatusWriter:
    """Makes the status at the API server what the controller worked out; implements the controller's reporter."""

    def __init__(self, kube: api.KubeApi, store: Store, events: EventPoster) -> None:
        self._kube = kube
        self._store = store
        self._events = events

    async def status(self, resource: Managed, status: StatusBase) -> None:
        """Send what differs from the status as last shown by the API server.

        The uid in the patch is a precondition: a successor of the same name answers 409 and keeps its own status.

        Raises:
            ResourceGone: the resource is not there any more, or another one has its name.
            ClusterUnavailable: the API server did not take it.
        """
        meta = resource.metadata
        key = Key(resource.kind(), meta.namespace, meta.name)
        known = self._store.status_known(key)
        if known is None:
            raise ResourceGone(f"{key} is not there any more")
        patch = merge_patch(known, without_empty(status.dump()))
        if not patch:
            return
        path = f"{api.item(type(resource), meta.namespace, meta.name)}/status"
        try:
            body = await self._kube.merge_patch(path, {"metadata": {"uid": meta.uid}, "status": patch})
        except api.RequestRefused as error:
            raise ClusterUnavailable(str(error)) from None
        if body.get("metadata", {}).get("uid") == meta.uid:
            self._store.put(key.kind, body)

    def event(self, resource: Managed, event: Event) -> None:
        """Tell what happened, in the background."""
        self._events.post(resource, event)


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) that turns one object into another; empty where they are equal."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        known = before.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            if inner := merge_patch(known, value):
                patch[name] = inner
        elif name not in before or known != value:
            patch[name] = value
    return patch


def without_empty(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status without empty lists, which say nothing and would have to be told apart from absent ones."""
    return {name: value for name, value in status.items() if value != []}
