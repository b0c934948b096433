"""Holds the watch against lists: drops what is gone, and notices a watch that shows nothing any more.

A watch can end without a word, and kopf's re-list after a gap does not tell what was deleted meanwhile. So every two minutes
the metadata of all resources is listed, page by page:

- what the store has and the list has not is forgotten, unless the watch has shown it since the list began;
- what the list has in another version than the store, at two audits in a row and unchanged between them, was never
  delivered: the watch is dead, the liveness endpoint says so, and a restart heals it.
"""

import asyncio
import logging

from setpoint.cluster import api
from setpoint.cluster.store import Identity, Store
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import Clock, ClusterUnavailable, Key, ResourceGone
from setpoint.resources import MANAGED_KINDS, Managed

log = logging.getLogger(__name__)

PERIOD = 120.0


class Audit:
    """Compares the store with the API server from time to time."""

    def __init__(
        self,
        *,
        kube: api.KubeApi,
        store: Store,
        controller: Controller,
        clock: Clock,
        namespaces: tuple[str, ...],
        label_selector: str | None,
        period: float = PERIOD,
    ) -> None:
        self._kube = kube
        self._store = store
        self._controller = controller
        self._clock = clock
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._label_selector = label_selector
        self._period = period
        self._undelivered: dict[Key, Identity] = {}
        self._well = clock.monotonic()
        self.dead_watch: str | None = None
        """What the watch has failed to show, in one sentence; None while it is well."""

    @property
    def watch_age(self) -> float:
        """Seconds since the watches were last known to have delivered everything there was."""
        return self._clock.monotonic() - self._well

    async def run(self) -> None:
        """Audit for ever."""
        while True:
            await asyncio.sleep(self._period)
            try:
                await self.once()
            except (ClusterUnavailable, ResourceGone, api.RequestRefused) as error:
                log.warning("the audit of the watch was not possible: %s", error)

    async def once(self) -> None:
        """Audit every kind once.

        Raises:
            ClusterUnavailable: the API server could not tell.
            ResourceGone: the kind is not installed any more.
            RequestRefused: the operator may not list it.
        """
        undelivered: dict[Key, Identity] = {}
        begin = self._clock.monotonic()
        for model in MANAGED_KINDS:
            undelivered.update(await self._compare(model))
        stuck = [key for key, identity in undelivered.items() if self._undelivered.get(key) == identity]
        self._undelivered = undelivered
        if not stuck:
            self._well = begin
        if stuck:
            self.dead_watch = f"the watch has not shown {stuck[0]} and {len(stuck) - 1} more for {self._period:.0f} s"
            log.error(self.dead_watch)

    async def _compare(self, model: type[Managed]) -> dict[Key, Identity]:
        started = self._clock.monotonic()
        before = self._store.known(model.kind())
        listed: dict[Key, Identity] = {}
        refused: set[str] = set()
        for namespace in self._namespaces:
            try:
                async for metadata in self._kube.metadata(api.collection(model, namespace), self._label_selector):
                    key = Key(model.kind(), metadata.get("namespace", ""), metadata["name"])
                    listed[key] = Identity(metadata["uid"], metadata["resourceVersion"])
            except api.RequestRefused as error:
                if namespace is None:
                    raise
                log.warning("namespace %s is not served: %s", namespace, error)
                refused.add(namespace)
        for key, identity in before.items():
            if key.namespace in refused:
                continue
            there = listed.get(key)
            if there is not None and there.uid == identity.uid:
                continue
            if self._store.seen_since(key, started):
                continue
            if self._store.drop(key, identity.uid):
                log.info("gone without a word of the watch", extra={"object": key._asdict()})
                self._controller.gone(key)
        after = self._store.known(model.kind())
        return {key: identity for key, identity in listed.items() if after.get(key) != identity}
