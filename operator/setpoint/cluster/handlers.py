"""kopf's part: watches in, keys out.

Only `on.event` is used. It is called for every event and, with type None, for every object of a list at start and after a
gap, so the handlers are idempotent and do no more than keep the object and say that something may have changed. The
change-detecting handlers, timers and daemons would write annotations and finalizers onto every resource.
"""

import logging
from collections.abc import Mapping
from typing import Any

import kopf
from pydantic import ValidationError

from setpoint.cluster.monitor import ConnectionMonitor
from setpoint.cluster.store import Store
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import Key
from setpoint.resources import CONNECTION_KINDS, GROUP, MANAGED_KINDS, VERSION, Managed, Resource

log = logging.getLogger(__name__)


def register(
    registry: kopf.OperatorRegistry,
    store: Store,
    controller: Controller,
    monitor: ConnectionMonitor,
    *,
    cluster_wide: bool,
) -> None:
    """Put the handlers of every kind into a registry; cluster-scoped kinds only where the whole cluster is served."""
    for model in MANAGED_KINDS:
        _register_managed(registry, model, store, controller)
    for kind in CONNECTION_KINDS:
        if cluster_wide or kind.SCOPE == "Namespaced":
            _register_connection(registry, kind, store, controller, monitor)


def shown(kind: str, event: str | None, body: Mapping[str, Any], store: Store, controller: Controller) -> None:
    """Keep what the watch shows of a managed kind, and say that it may have to be looked at; None: a list shows it."""
    metadata = body["metadata"]
    if event == "DELETED":
        key = Key(kind, metadata.get("namespace", ""), metadata["name"])
        if store.drop(key, metadata["uid"], metadata["resourceVersion"]):
            controller.gone(key)
        return
    key, news = store.put(kind, body, listed=event is None)
    if news:
        controller.changed(key)
    elif event == "ADDED":
        controller.added(key)
    else:
        controller.seen(key)


def connection_shown(
    kind: str, event: str | None, body: Mapping[str, Any], store: Store, controller: Controller
) -> bool:
    """Keep what the watch shows of a connection, and say that its resources have to be looked at; tell whether it is news."""
    metadata = body["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    changed = True
    if event == "DELETED":
        store.drop_connection(kind, namespace, name)
    else:
        try:
            changed = store.put_connection({**body, "kind": kind})
        except ValidationError as error:
            log.error(  # noqa: TRY400 - the traceback would show what is in the object
                "this connection cannot be read: %d fields do not fit",
                error.error_count(),
                extra={"object": {"kind": kind, "namespace": namespace, "name": name}},
            )
            store.drop_connection(kind, namespace, name)
    if changed:
        for key in store.users_of(kind, namespace, name):
            controller.connection_changed(key)
    return changed


def _register_managed(
    registry: kopf.OperatorRegistry, model: type[Managed], store: Store, controller: Controller
) -> None:
    kind = model.kind()

    @kopf.on.event(GROUP, VERSION, model.PLURAL, registry=registry, id=f"{kind}-seen")
    async def seen(type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002 - kopf's name
        shown(kind, type, body, store, controller)


def _register_connection(
    registry: kopf.OperatorRegistry,
    model: type[Resource],
    store: Store,
    controller: Controller,
    monitor: ConnectionMonitor,
) -> None:
    kind = model.kind()

    @kopf.on.event(GROUP, VERSION, model.PLURAL, registry=registry, id=f"{kind}-seen")
    async def seen(type: str | None, body: Mapping[str, Any], **_: Any) -> None:  # noqa: A002 - kopf's name
        if connection_shown(kind, type, body, store, controller):
            monitor.changed()
