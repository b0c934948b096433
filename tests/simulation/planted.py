"""Bugs that operators really have, to be planted into this one: the simulation is worth what it finds.

Each is put in for a whole process (of the pool that plays the stories), and changes the code the way the mistake would.
"""

from collections.abc import Callable, Mapping
from typing import Any

from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.outcome import Observation
from setpoint.reconcile.ownership import Ownership
from setpoint.reconcile.ports import Key
from setpoint.resources.common import Managed, StatusBase


def no_uid_precondition() -> None:
    """A successor of the same name gets its predecessor's status."""

    async def send(self: Controller, key: Any, resource: Managed, status: StatusBase) -> None:
        await self._reporter.status(resource, status)

    async def status(self: StatusWriter, resource: Managed, status: StatusBase) -> None:
        current = self._store.get(_key(resource))
        await real(self, current or resource, status)

    real = StatusWriter.status
    _set(Controller, "_send", send)
    _set(StatusWriter, "status", status)


def finalizer_after_the_write() -> None:
    """What a write changed is not put back where the process dies before the finalizer is there."""

    async def hold(self: Controller, key: Any, resource: Managed, status: StatusBase) -> None:
        """Do nothing; the report comes soon enough."""

    _set(Controller, "_hold", hold)


def baseline_after_the_write() -> None:
    """What was found is in memory only when it is overwritten."""

    async def hold(self: Controller, key: Any, resource: Managed, status: StatusBase) -> None:
        await self._reporter.hold(resource)

    _set(Controller, "_hold", hold)


def ready_when_accepted() -> None:
    """An accepted write counts as one that is in force."""

    def after(self: Any, resource: Any, memory: Memory, pending: Any, desired: Any, written: Any) -> Any:
        return self._in_sync(resource, memory, written.target, desired, Observation(desired))

    _set(Reconciler, "_after_write", after)


def no_confirmation() -> None:
    """What the store has is taken for what there is."""

    async def confirm(self: Store, key: Any) -> Any:
        return self.get(key)

    _set(Store, "confirm", confirm)


def lists_are_trusted() -> None:
    """A list after a start or a gap is taken for the newest there is."""
    real = Store._keep

    def keep(self: Store, kind: str, body: Mapping[str, Any], *, listed: bool) -> Any:
        return real(self, kind, body, listed=False)

    _set(Store, "_keep", keep)


def no_owners() -> None:
    """Whoever is looked at writes."""
    _set(Ownership, "rivals", lambda self, key, things: {})


def claims_only_when_looked_at() -> None:
    """What a new spec manages is known when its turn comes, not when the watch shows it."""
    _set(Controller, "_staked", lambda self, key: self._view.get(key))


def older_specs_are_written() -> None:
    """A spec that was edited while its look was under way is written all the same."""
    real = Controller._confirm

    async def confirm(self: Controller, key: Any, resource: Managed, owned: Any) -> None:
        current = await self._view.confirm(key)
        if current is None or current.metadata.uid != resource.metadata.uid:
            await real(self, key, resource, owned)

    _set(Controller, "_confirm", confirm)


def status_in_pieces() -> None:
    """A status is written on top of one that is not known."""

    async def patched(
        self: StatusWriter, key: Any, path: str, whole: str, known: Mapping[str, Any], changes: list[dict[str, Any]]
    ) -> bool:
        same = {"op": "test", "path": "/metadata/uid", "value": known["uid"]}
        self._store.learn(key.kind, await self._kube.json_patch(path, [same, *changes]))
        return True

    _set(StatusWriter, "_patched", patched)


def own_status_over_everybodys() -> None:
    """A process with an older view writes its own status over the newer one that it learns of."""

    async def send(self: Controller, key: Any, resource: Managed, status: StatusBase) -> None:
        await self._reporter.status(resource, status)

    _set(Controller, "_send", send)
    _set(Memory, "knows", lambda self, shown: True)


def news_swallowed() -> None:
    """What the operator's own answers show of a new spec is not told by the watch any more."""
    real = Store.learn

    def learn(self: Store, kind: str, body: Mapping[str, Any]) -> None:
        real(self, kind, body)
        entry = self._managed.get(Key(kind, body["metadata"]["namespace"], body["metadata"]["name"]))
        if entry is not None:
            entry.told = entry.asks

    _set(Store, "learn", learn)


def successors_forgotten() -> None:
    """Who hears that a resource is gone forgets the one of the same name that came meanwhile."""
    _set(Controller, "_vanished", lambda self, key, resource: self.gone(key))


def no_audit() -> None:
    """What vanished while the watch was cut is never noticed."""
    from setpoint.cluster.audit import Audit  # noqa: PLC0415 - this bug alone

    async def once(self: Audit) -> None:
        """Compare nothing."""

    _set(Audit, "once", once)


def late_news_are_no_claims() -> None:
    """What a predecessor found out of a resource's target counts only where it was known at the start."""

    def staked(self: Controller, key: Key, *, more: bool = False) -> Managed | None:
        return None if more else real(self, key)

    real = Controller._staked
    _set(Controller, "_staked", staked)


def whole_settings_at_every_correction() -> None:
    """Rate limit and budget are written though only one of them is managed."""

    async def write(self: GovernanceReconciler, client: Any, target: Any, settings: Any, attempt: Any) -> Any:
        full = settings.model_copy(update={"budgets": settings.budgets or []})
        return await real(self, client, target, full, attempt)

    real = GovernanceReconciler.write
    _set(GovernanceReconciler, "write", write)


def deletion_forgets_to_verify() -> None:
    """A resource is let go as soon as its old settings were sent."""
    from setpoint.reconcile import controller, deletion  # noqa: PLC0415 - this bug alone

    async def finish(reconciler: Any, resource: Any, memory: Memory, attempt: Any, now: float) -> Any:
        outcome = await real(reconciler, resource, memory, attempt, now)
        return deletion.left(resource.spec.deletion_policy, "sent") if memory.pending is not None else outcome

    real = deletion.finish
    _set(controller, "finish", finish)


PLANTS: Mapping[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        no_uid_precondition,
        finalizer_after_the_write,
        baseline_after_the_write,
        ready_when_accepted,
        no_confirmation,
        lists_are_trusted,
        no_owners,
        claims_only_when_looked_at,
        older_specs_are_written,
        status_in_pieces,
        own_status_over_everybodys,
        news_swallowed,
        successors_forgotten,
        no_audit,
        late_news_are_no_claims,
        whole_settings_at_every_correction,
        deletion_forgets_to_verify,
    )
}


def _set(place: Any, name: str, value: Any) -> None:
    setattr(place, name, value)


def _key(resource: Managed) -> Any:
    return Key(resource.kind(), resource.metadata.namespace, resource.metadata.name)
