"""How kopf is made a plain informer: its settings, who it is told the operator is, and how it ends.

When one watch of kopf 1.45.2 fails for good, kopf means to end and may hang: it cancels the other watches together with the
tasks by which they tell their own pauses from a cancellation, and a watch that was asking takes the one for the other and goes
on. So they are ended before, and with them what it would wait for in vain for five seconds (`tests/e2e/faults` measures it).
"""

import asyncio
from typing import Any

import kopf

from setpoint.cluster import api
from setpoint.cluster.login import EndlessBackoffs, Login
from setpoint.reconcile.ports import Clock
from setpoint.resources import GROUP, MANAGED_KINDS, VERSION

LEFT_RUNNING = ("watcher for ", "stop-flag waiter")
"""How the names of those tasks begin that kopf leaves running when it ends by itself."""


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


def new_registry(clock: Clock) -> kopf.OperatorRegistry:
    """Return a registry with what kopf calls at its start and its end; the watches are still to be registered."""
    registry = kopf.OperatorRegistry()
    login = Login(clock)
    kopf.on.login(registry=registry, id="login")(login.log_in)

    @kopf.on.cleanup(registry=registry, id="rest")
    async def rest(**_: Any) -> None:
        await end_the_rest()
        await login.aclose()

    return registry


async def end_the_rest() -> None:
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
