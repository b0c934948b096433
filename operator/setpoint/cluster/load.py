"""Fills the store before anything is looked at.

Who owns what depends on all resources there are, and so does which connection one means. The watch shows them one by one,
and the first one shown is not the oldest. So everything is listed once, page by page, before the first look; what the watch
shows afterwards is news or known.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from pydantic import ValidationError

from setpoint.cluster import api
from setpoint.cluster.store import Store
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import ClusterUnavailable, ResourceGone
from setpoint.resources import CONNECTION_KINDS, MANAGED_KINDS

log = logging.getLogger(__name__)

PATIENCE = 2.0


async def load(
    kube: api.KubeApi,
    store: Store,
    controller: Controller,
    *,
    namespaces: Sequence[str],
    label_selector: str | None,
    stopping: asyncio.Event,
) -> None:
    """List everything, put it into the store, and tell the controller of it; tried until it works or a signal comes."""
    told = False
    while not stopping.is_set():
        try:
            if not namespaces:
                await _list(kube, store, None, label_selector)
            for namespace in namespaces:
                await _list_one(kube, store, namespace, label_selector)
        except (ClusterUnavailable, ResourceGone, api.RequestRefused) as error:
            if not told:
                log.warning("waiting: the resources cannot be listed: %s", error)
                told = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await stopping.wait()
            continue
        keys = [key for model in MANAGED_KINDS for key in store.known(model.kind())]
        # Claims first, and without a pause in between: a look that begins meanwhile would know only some of them.
        controller.loaded(keys)
        log.info("found %d resources", len(keys))
        return


async def _list_one(kube: api.KubeApi, store: Store, namespace: str, label_selector: str | None) -> None:
    """List one of several namespaces; one without a Role does not hold up the others, and is seen when it has one."""
    try:
        await _list(kube, store, namespace, label_selector)
    except api.RequestRefused as error:
        log.warning("namespace %s is not served: %s", namespace, error)


async def _list(kube: api.KubeApi, store: Store, namespace: str | None, label_selector: str | None) -> None:
    """List everything in a namespace; None: in all of them, and what belongs to the cluster."""
    for kind in CONNECTION_KINDS:
        if namespace is not None and kind.SCOPE == "Cluster":
            continue
        async for body in kube.objects(api.collection(kind, namespace), None):
            try:
                store.put_connection({**body, "kind": kind.kind()})
            except ValidationError:
                # The watch shows it too, and then it is told.
                continue
    for model in MANAGED_KINDS:
        async for body in kube.objects(api.collection(model, namespace), label_selector):
            store.put(model.kind(), body, listed=True)
