"""Bugs that operators really have, to be planted into this one: the simulation is worth what it finds.

Each is put in for a whole process (of the pool that plays the stories), and changes the code the way the mistake would.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from setpoint.cluster.connections import ConnectionPool
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile import anchor, base
from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.chain_autoscaling import ChainReconciler
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.deployment_autoscaling import DeploymentReconciler
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.outcome import Attempt, Observation
from setpoint.reconcile.ownership import Contest, Ownership, Rank, Standing
from setpoint.reconcile.ports import Key
from setpoint.remotes.bifrost import Bifrost
from setpoint.resources.common import Managed, Origin, StatusBase


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
    _set(Ownership, "contest", lambda self, key, now: Contest({}))


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


def baseline_follows_the_name() -> None:
    """What was found is put back into whatever the name or the connection leads to at the end."""

    def follow(resource: Any, memory: Memory, found: Origin) -> Any:
        memory.status = memory.status.model_copy(update={"origin": found})
        return resource.model_copy(update={"status": memory.status})

    _set(anchor, "_cut_off", follow)
    _set(anchor, "check", lambda memory, found, title: None)
    _set(Reconciler, "elsewhere", lambda self, resource: None)


def stale_list_is_believed() -> None:
    """What a shared list of a few seconds ago does not have is not there."""

    async def rows(self: Bifrost, *, not_before: float | None = None, urgent: bool = False) -> Any:
        del not_before
        return await real(self, urgent=urgent)

    real = Bifrost.rows
    _set(Bifrost, "rows", rows)


def finalizer_only_before_writes() -> None:
    """A finalizer is put on when something is written, and never looked after again."""

    class Later:
        """Holds nothing yet."""

        def __init__(self, hold: Any) -> None:
            self.hold = hold

        async def __call__(self, status: StatusBase) -> None:
            """Do nothing."""

    async def keep(self: Controller, resource: Managed) -> None:
        """Do nothing."""

    async def compared(
        self: Any, client: Any, resource: Any, memory: Memory, attempt: Attempt, *what: Any, **how: Any
    ) -> Any:
        return await really_compared(
            self, client, resource, memory, replace(attempt, hold=Later(attempt.hold)), *what, **how
        )

    async def push(self: Any, client: Any, resource: Any, memory: Memory, attempt: Attempt, *what: Any) -> Any:
        hold = attempt.hold.hold if isinstance(attempt.hold, Later) else attempt.hold
        return await really_pushed(self, client, resource, memory, replace(attempt, hold=hold), *what)

    really_compared, really_pushed = Reconciler._compared, Reconciler._push
    _set(Controller, "_keep_finalizer", keep)
    _set(Reconciler, "_compared", compared)
    _set(Reconciler, "_push", push)


def deleted_connections_serve_nobody() -> None:
    """What is deleted together with its connection is let go without a request."""
    _set(ConnectionPool, "_departed", lambda self, resource, endpoint: None)


def claims_stay_behind() -> None:
    """Where a connection leads now its resources claim nothing until they were looked at."""

    def changed(self: Controller, key: Key) -> None:
        self._queue.add_after(key, self._random.uniform(0, 2))

    _set(Controller, "connection_changed", changed)


def unreadable_success_is_repeated() -> None:
    """A write whose answer cannot be understood is sent again."""
    _set(base, "_is_success", lambda error: False)


def promotions_are_ignored() -> None:
    """What differs is corrected in the middle of a promotion."""

    def blind(kind: type[Reconciler[Any, Any, Any, Any]]) -> None:
        real = kind.read

        async def read(self: Any, client: Any, target: Any, desired: Any, **how: Any) -> Any:
            target, seen = await real(self, client, target, desired, **how)
            return target, replace(seen, promotion=None)

        _set(kind, "read", read)

    blind(DeploymentReconciler)
    blind(ChainReconciler)


def claims_need_no_key() -> None:
    """A claim counts whether or not the connection of the resource opens the target."""
    real = Ownership.claim

    def claim(self: Ownership, key: Any, rank: Rank, things: Any, standing: Any = None, now: float = 0.0) -> Any:
        return real(self, key, rank, things, Standing.HELD, now)

    _set(Ownership, "claim", claim)
    _set(Controller, "_is_proven", lambda self, key, resource: True)


def what_is_deleted_makes_way() -> None:
    """Any other claim goes before that of a resource that is being deleted and has something to put back."""
    real = Ownership.claim

    def claim(self: Ownership, key: Any, rank: Rank, things: Any, standing: Any, now: float) -> Any:
        rank = rank._replace(created=math.inf) if rank.created == -math.inf else rank
        return real(self, key, rank, things, standing, now)

    _set(Ownership, "claim", claim)


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
        baseline_follows_the_name,
        stale_list_is_believed,
        finalizer_only_before_writes,
        deleted_connections_serve_nobody,
        claims_stay_behind,
        unreadable_success_is_repeated,
        promotions_are_ignored,
        claims_need_no_key,
        what_is_deleted_makes_way,
    )
}


def _set(place: Any, name: str, value: Any) -> None:
    setattr(place, name, value)


def _key(resource: Managed) -> Any:
    return Key(resource.kind(), resource.metadata.namespace, resource.metadata.name)
