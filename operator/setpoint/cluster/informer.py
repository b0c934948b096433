"""How kopf is made a plain informer: its settings, who it is told the operator is, and how it ends.

Two things of kopf 1.45.2, both measured by `tests/e2e/faults`:

- It asks for credentials again after a 401, but ends when it is told those that were refused before. An API server that has
  just started, or whose authenticators cannot be reached, refuses good ones; so what kopf is told is new each time.
- When one watch fails for good, it means to end and may hang: it cancels the other watches together with the tasks by which
  they tell their own pauses from a cancellation, and a watch that was asking takes the one for the other and goes on. So they
  are ended before, and with them what it would wait for in vain for five seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import chain, repeat
from typing import Any, TypeAlias

import kopf

from setpoint.cluster import api
from setpoint.reconcile.ports import Clock
from setpoint.resources import GROUP, MANAGED_KINDS, VERSION

log = logging.getLogger(__name__)

CALM = 120.0
"""Seconds after which credentials that were not refused count as good."""

FAR_AWAY = timedelta(days=3650)
"""When what kopf is told expires: never, but at another moment each time, so that no two are equal."""

LEFT_RUNNING = ("watcher for ", "stop-flag waiter")
"""How the names of those tasks begin that kopf leaves running when it ends by itself."""


class EndlessBackoffs:
    """Pauses in seconds between tries that are refused or not answered, without an end.

    kopf ends the whole process after its last pause. But a namespace may be served whose Role is not there yet, or not any
    more, and that must not keep the others from being served.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8, 13, 21), repeat(30))


class NullDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of the last seen object: nothing here compares with it."""

    def build(self, *, body: Any, extra_fields: Any = None, ignored_fields: Any = None) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, *, body: Any) -> Any:
        """Return nothing to compare."""
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        """Keep nothing."""


Credentials: TypeAlias = kopf.ConnectionInfo | None


async def credentials(**given: Any) -> Credentials:
    """Return what opens the API server by now: the pod's service account, else the kubeconfig."""
    return await asyncio.to_thread(kopf.login_via_client, **given)


def login(
    clock: Clock, read: Callable[..., Awaitable[Credentials]] = credentials
) -> Callable[..., Awaitable[Credentials]]:
    """Return a handler of kopf's for logins, which waits longer each time it is called again."""
    last = float("-inf")
    pauses: Iterator[float] = iter(())

    async def log_in(**given: Any) -> Credentials:
        nonlocal last, pauses
        if clock.monotonic() - last > CALM:
            pauses = chain((0.0,), EndlessBackoffs())
        pause = next(pauses)
        if pause:
            log.warning("the API server refuses the operator's credentials; they are read again in %d s", pause)
        await asyncio.sleep(pause)
        info = await read(**given)
        last = clock.monotonic()
        return None if info is None else replace(info, expiration=clock.now() + FAR_AWAY)

    return log_in


def new_registry(clock: Clock) -> kopf.OperatorRegistry:
    """Return a registry with what kopf calls at its start and its end; the watches are still to be registered."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry, id="login")(login(clock))
    kopf.on.cleanup(registry=registry, id="rest")(end_the_rest)
    return registry


async def end_the_rest(**_: Any) -> None:
    """End what kopf leaves running when it ends by itself."""
    rest = [task for task in asyncio.all_tasks() if task.get_name().startswith(LEFT_RUNNING)]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def informer_settings(label_selector: str | None) -> kopf.OperatorSettings:
    """Return kopf's settings for a plain informer: no Events, no annotations, no scanning of the cluster."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.persistence.diffbase_storage = NullDiffBase()
    chosen.persistence.progress_storage = kopf.StatusProgressStorage()
    chosen.networking.request_timeout = 30.0
    chosen.networking.error_backoffs = EndlessBackoffs()
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330.0
    chosen.watching.chunk_size = api.PAGE
    chosen.queueing.idle_timeout = 0.5
    chosen.process.ultimate_exiting_timeout = None
    if label_selector is not None:
        for model in MANAGED_KINDS:
            chosen.watching.label_selectors[GROUP, VERSION, model.PLURAL] = label_selector
    return chosen
