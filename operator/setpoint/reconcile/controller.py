"""Who is reconciled when: watch events in, looks at resources out.

The controller owns the queue and what is remembered of each resource; what a look does is the reconcilers'
business (`base`). Events only say that something may have changed; what is done depends on the resource as it is when its
turn comes. So events may come twice, late, or not at all, and nothing but speed is lost:

- a new generation or a new `requestedAt` is looked at at once, ahead of everything that is merely due;
- at start and after a re-list, resources that were in order are spread over their interval, the others are looked at soon;
- every look ends with the time of the next one, so that each resource is swept at its interval for ever.

Stopping hands out nothing more and lets the looks that are under way end.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any

from pydantic import ValidationError

from setpoint.reconcile import conditions
from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.claims import proven
from setpoint.reconcile.conditions import Type
from setpoint.reconcile.deletion import finish, left
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.origin import needs_finalizer
from setpoint.reconcile.outcome import Attempt, Outcome
from setpoint.reconcile.ownership import Contest, Ownership, Rank, Standing, Thing
from setpoint.reconcile.ports import (
    Clock,
    ClusterUnavailable,
    Event,
    Key,
    NoTelemetry,
    Reporter,
    ResourceChanged,
    ResourceGone,
    Telemetry,
    View,
)
from setpoint.reconcile.queue import Priority, ShutDown, WorkQueue
from setpoint.resources.common import FINALIZER, DeletionPolicy, Managed, StatusBase

log = logging.getLogger(__name__)

LONGEST_SPREAD = 300.0
"""Seconds after a start within which resources that were in order are looked at again, at most."""

CONNECTIONS_AT_ONCE = 16
"""Connections whose resources are looked at by as many workers as each may have; more of them share these."""

TRIES_TO_FINISH = 5
"""Times the operator's own bug may keep a deletion from ending."""

WAKE_SPREAD = 2.0
"""Seconds over which resources are woken that waited for one connection."""


class Superseded(Exception):
    """The resource changed or vanished since this look began; the look must not write."""


class Controller:
    """Keeps looking at resources, several at once, each at its time."""

    def __init__(
        self,
        *,
        view: View,
        reporter: Reporter,
        reconcilers: Mapping[str, Reconciler[Any, Any, Any, Any]],
        clock: Clock,
        random: Random,
        workers: int,
        may_write: Callable[[], bool] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._view = view
        self._reporter = reporter
        self._reconcilers = reconcilers
        self._clock = clock
        self._random = random
        self._may_write = may_write
        self._telemetry = telemetry or NoTelemetry()
        self._queue = WorkQueue(clock, random, lane_of=view.lane, seats=workers, total=workers * CONNECTIONS_AT_ONCE)
        self._memory: dict[Key, Memory] = {}
        self._ownership = Ownership()
        self._under_way = 0

    @property
    def backlog(self) -> int:
        """How many resources wait for their turn right now."""
        return len(self._queue)

    @property
    def longest_wait(self) -> float:
        """For how many seconds the resource has waited for its turn that waits longest."""
        return self._queue.oldest

    @property
    def under_way(self) -> int:
        """How many resources are being looked at right now."""
        return self._under_way

    def stalest(self) -> dict[str, float]:
        """Return, of each kind, for how many seconds a Ready resource has not been seen equal to its remote, at most."""
        now = self._clock.monotonic()
        ages: dict[str, float] = {}
        for key, memory in self._memory.items():
            if memory.verified_at is not None and memory.status.is_true(Type.READY) and not memory.drifted:
                ages[key.kind] = max(ages.get(key.kind, 0.0), now - memory.verified_at)
        return ages

    def changed(self, key: Key) -> None:
        """Tell that the resource has a new spec or asks for a look now."""
        self._staked(key)
        self._queue.add(key, Priority.URGENT)

    def loaded(self, keys: Iterable[Key]) -> None:
        """Tell of all resources there are at the start: what they claim is put down before any is looked at."""
        found = list(keys)
        for key in found:
            self._staked(key)
        for key in found:
            self.seen(key)

    def seen(self, key: Key) -> None:
        """Tell that the resource is there, as known from a list: it is looked at soon, or in its turn if in order."""
        if key in self._memory:
            # A predecessor may have found out more of it than was known when it was looked at here first.
            self._staked(key, more=True)
            return
        resource = self._staked(key)
        if resource is None or not _in_order(resource):
            self._queue.add(key, Priority.ROUTINE)
            return
        self._queue.add_after(key, min(self._reconcilers[key.kind].next_sweep(resource), LONGEST_SPREAD))

    def added(self, key: Key) -> None:
        """Tell that the resource was created: it is looked at at once, unless it is already known."""
        if key not in self._memory:
            self._staked(key)
            self._queue.add(key, Priority.URGENT)

    def connection_changed(self, key: Key) -> None:
        """Tell that the connection the resource refers to changed: it is looked at within moments.

        What it claims where the connection leads now it claims at once: the look may have to wait for a Secret.
        """
        self._staked(key)
        self._queue.add_after(key, self._random.uniform(0, WAKE_SPREAD))

    def gone(self, key: Key) -> None:
        """Tell that the resource was deleted: nothing is done for it any more."""
        self._queue.discard(key)
        self._memory.pop(key, None)
        self._wake(self._ownership.release(key))

    async def run(self) -> None:
        """Work until `stop`; returns when the looks under way have ended."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    turn = await self._queue.get()
                except ShutDown:
                    return
                self._under_way += 1
                self._telemetry.queued(turn.key, turn.waited, urgent=turn.priority is Priority.URGENT)
                group.create_task(self._work(turn.key, turn.priority), name=f"reconcile {turn.key}")

    def stop(self) -> None:
        """Begin no more looks."""
        self._queue.shut_down()

    async def _work(self, key: Key, priority: Priority) -> None:
        begin, failures = self._clock.monotonic(), self._queue.failures(key)
        result = "error"
        try:
            result = "done" if await self._look(key, priority) else "superseded"
            if self._queue.failures(key) > failures:
                result = "retry"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something this look waited for was cancelled, not the look.
            log.warning("a look was interrupted", extra={"object": key._asdict()})
            self._queue.add_rate_limited(key)
        except Exception:  # one resource's bug must not stop the others
            log.exception("the operator failed on this resource", extra={"object": key._asdict()})
            self._queue.add_rate_limited(key)
        finally:
            self._under_way -= 1
            self._telemetry.looked(key, self._clock.monotonic() - begin, result=result)
            self._wake(self._ownership.let_go(key))
            self._queue.done(key)

    async def _look(self, key: Key, priority: Priority) -> bool:
        """Look at a resource; tell whether it was one to look at and stayed the same meanwhile."""
        try:
            resource = self._view.get(key)
        except ValidationError as error:
            await self._report_unreadable(key, error)
            return True
        if resource is None:
            self.gone(key)
            return False
        if resource.metadata.deletion_timestamp is not None and not _held(resource):
            self._wake(self._ownership.release(key))
            return False
        outcome = await self._brought(key, resource, priority)
        if outcome is None:
            return False
        memory = self._memory.get(key)
        if memory is not None and outcome.asked and not outcome.backoff and memory.verified(resource):
            memory.verified_at = self._clock.monotonic()
        await self._report(key, resource, outcome)
        return True

    async def _brought(self, key: Key, resource: Managed, priority: Priority) -> Outcome | None:
        """Do what is to be done for a resource now; None where it is another one by now, which was queued."""
        reconciler = self._reconcilers[key.kind]
        memory = self._remember(key, resource)
        shown, resource = resource, _with_newest_status(resource, memory)
        attempt = self._attempt(key, resource, priority)
        going = resource.metadata.deletion_timestamp is not None
        try:
            if going:
                return await finish(reconciler, resource, memory, attempt, self._clock.monotonic())
            await self._keep_finalizer(shown)
            return await reconciler.reconcile(resource, memory, attempt)
        except ResourceGone:
            self._vanished(key, resource)
            return None
        except Superseded:
            return None
        except ClusterUnavailable as error:
            log.warning("the finalizer was not changed: %s", error, extra={"object": key._asdict()})
            return Outcome(status=None, backoff=True)
        except Exception:  # reported on the resource; the log has the traceback
            log.exception("the operator failed on this resource", extra={"object": key._asdict()})
            if going and self._queue.failures(key) >= TRIES_TO_FINISH:
                return left(resource.spec.deletion_policy, "the operator failed on it; its log says more")
            return reconciler.failed(resource, memory, attempt)

    async def _keep_finalizer(self, resource: Managed) -> None:
        """Make the finalizer what policy and status ask for, whoever changed any of them since. Raises as `Reporter`."""
        needed = needs_finalizer(resource)
        if needed and not _held(resource):
            await self._reporter.hold(resource)
        elif _held(resource) and not needed:
            await self._reporter.release(resource)

    def _attempt(self, key: Key, resource: Managed, priority: Priority) -> Attempt:
        owned: frozenset[Thing] = frozenset()

        def claim(things: frozenset[Thing], standing: Standing) -> Contest:
            nonlocal owned
            if self._view.identity(key) != (resource.metadata.uid, resource.metadata.generation):
                # What it is now has other claims.
                self.changed(key)
                raise Superseded
            contest = self._claim(key, resource, things, standing)
            owned = self._ownership.own(key)
            return contest

        return Attempt(
            key=key,
            urgent=priority is Priority.URGENT,
            failures=self._queue.failures(key),
            confirm=lambda: self._confirm(key, resource, owned),
            hold=lambda status: self._hold(key, resource, status),
            claim=claim,
            crowded=lambda place: self._ownership.crowded(key, place),
            manager=self._ownership.owner,
        )

    async def _hold(self, key: Key, resource: Managed, status: StatusBase) -> None:
        """Save how to undo what is about to be written, and keep the resource from vanishing before that was done.

        In this order: a finalizer without a status that says what it is for means that the status was lost.

        Of the status nothing else is sent: a verdict that has not reached the API server yet was about another moment, and
        what is about to be written shows that it does not hold any more.

        Raises:
            Superseded: it has vanished already.
            ClusterUnavailable: the API server did not take it.
        """
        try:
            shown = self._shown(key, resource).status
            saved = shown.with_baseline_of(status)
            if saved != shown:
                await self._send(key, resource, saved)
            await self._reporter.hold(resource)
        except (ResourceGone, ResourceChanged):
            self.changed(key)
            raise Superseded from None

    async def _confirm(self, key: Key, resource: Managed, owned: frozenset[Thing]) -> None:
        """Make sure that the spec about to be written is still the resource's, and that this process may write.

        Raises:
            Superseded: it is not; whatever is to be done now has been queued.
            ClusterUnavailable: the API server could not tell, or another process may write now.
        """
        current = await self._view.confirm(key)
        if self._may_write is not None and not self._may_write():
            raise ClusterUnavailable("the lease has not been renewed")
        if current is None or current.metadata.uid != resource.metadata.uid:
            self._vanished(key, resource)
            raise Superseded
        known = resource.metadata
        if (current.metadata.generation, current.metadata.deletion_timestamp) != (
            known.generation,
            known.deletion_timestamp,
        ):
            self.changed(key)
            raise Superseded
        if self._ownership.own(key) != owned:
            self.changed(key)
            raise Superseded
        if not self._ownership.hold(key):
            # Looked at again when the other one's write has ended.
            raise Superseded

    async def _report(self, key: Key, resource: Managed, outcome: Outcome) -> None:
        for woken in sorted(outcome.wake):
            self._queue.add_after(woken, self._random.uniform(0, WAKE_SPREAD))
        if outcome.status is not None:
            try:
                await self._send(key, resource, outcome.status)
            except ResourceGone:
                self._vanished(key, resource)
                return
            except ResourceChanged:
                self.changed(key)
                return
            except ClusterUnavailable as error:
                log.warning("status not written: %s", error, extra={"object": key._asdict()})
                self._tell(key, resource, outcome.events)
                self._queue.add_rate_limited(key)
                return
        if outcome.release and not await self._released(key, resource):
            return
        self._tell(key, resource, outcome.events)
        if outcome.release:
            return
        if outcome.backoff:
            self._queue.add_rate_limited(key, at_least=outcome.due)
            return
        self._queue.forget(key)
        self._queue.add_after(key, outcome.due, Priority.URGENT if outcome.urgent else Priority.ROUTINE)

    async def _send(self, key: Key, resource: Managed, status: StatusBase) -> None:
        """Send a status, unless somebody else has written one meanwhile that it knows nothing of.

        Raises as `Reporter.status`.
        """
        shown = self._shown(key, resource)
        memory = self._memory.get(key)
        if memory is not None and memory.uid == resource.metadata.uid:
            if not memory.knows(shown.status):
                raise ResourceChanged(f"{key} has another status by now")
            memory.tell(status)
        await self._reporter.status(resource, status)

    def _shown(self, key: Key, resource: Managed) -> Managed:
        """Return the resource as the API server showed it last.

        Raises:
            ResourceGone: it is not there any more, or another one has its name.
        """
        try:
            shown = self._view.get(key)
        except ValidationError:
            shown = self._view.bare(key)
        if shown is None or shown.metadata.uid != resource.metadata.uid:
            raise ResourceGone(f"{key} is not there any more")
        return shown

    async def _released(self, key: Key, resource: Managed) -> bool:
        """Let a resource go for which nothing is left to do; False where the API server has to be asked again."""
        try:
            await self._reporter.release(resource)
        except ResourceGone:
            pass
        except ClusterUnavailable as error:
            log.warning("finalizer not removed: %s", error, extra={"object": key._asdict()})
            self._queue.add_rate_limited(key)
            return False
        self._vanished(key, resource)
        return True

    def _vanished(self, key: Key, resource: Managed) -> None:
        """Forget the resource of a look; one of the same name that came meanwhile is looked at instead."""
        current = self._view.identity(key)
        if current is None or current[0] == resource.metadata.uid:
            self.gone(key)
            return
        memory = self._memory.get(key)
        if memory is not None and memory.uid == resource.metadata.uid:
            del self._memory[key]
        self.changed(key)

    async def _report_unreadable(self, key: Key, error: ValidationError) -> None:
        """Say on the resource itself that it does not fit the model, which the CRD's rules otherwise prevent."""
        first = error.errors(include_url=False, include_input=False)[0]
        problem = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        bare = self._view.bare(key)
        if bare is None:
            self.gone(key)
            return
        if bare.metadata.deletion_timestamp is not None:
            if FINALIZER in bare.metadata.finalizers:
                await self._report(key, bare, left(DeletionPolicy.RESTORE, f"the resource cannot be read: {problem}"))
            return
        verdict = conditions.unreadable(problem)
        generation = bare.metadata.generation
        status = bare.status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": conditions.apply(bare.status.conditions, verdict, generation, self._clock.now()),
            }
        )
        event = Event(verdict.event_type, verdict.reason, verdict.message)
        news = conditions.signature(status) != conditions.signature(bare.status)
        await self._report(key, bare, Outcome(status=status, due=LONGEST_SPREAD, events=(event,) if news else ()))

    def _staked(self, key: Key, *, more: bool = False) -> Managed | None:
        """Return a resource, after its claims were put down: those made before it is looked at decide who owns what.

        Where there may be `more`, it keeps those it has: a look under way may have found them.
        """
        try:
            resource = self._view.get(key)
        except ValidationError:
            return None
        if resource is not None and (resource.metadata.deletion_timestamp is None or _held(resource)):
            reconciler = self._reconcilers[key.kind]
            known = _with_newest_status(resource, self._memory.get(key))
            kept = self._ownership.claimed(key) if more else frozenset()
            standing = reconciler.standing(known, held=self._is_proven(key, known))
            paused = known.spec.suspend and standing is not Standing.HELD
            self._claim(key, resource, frozenset() if paused else reconciler.stakes(known) | kept, standing)
            near = reconciler.near(known, None)
            if near is not None:
                self._ownership.crowded(key, near)
        return resource

    def _is_proven(self, key: Key, resource: Managed) -> bool:
        """Tell whether the target was open to a resource, as this process knows or as the newest status tells."""
        memory = self._memory.get(key)
        if memory is not None and memory.uid == resource.metadata.uid and resource.status is memory.status:
            return memory.proven
        return proven(resource.status, self._clock.now())

    def _claim(self, key: Key, resource: Managed, things: frozenset[Thing], standing: Standing) -> Contest:
        meta, now = resource.metadata, self._clock.monotonic()
        created = meta.creation_timestamp.timestamp() if meta.creation_timestamp is not None else math.inf
        if meta.deletion_timestamp is not None:
            # What it owns is its own until it has put back what it found; what it does not own it takes from nobody.
            created = -math.inf if standing is Standing.HELD else math.inf
        self._wake(self._ownership.claim(key, Rank(created, meta.uid), things, standing, now))
        return self._ownership.contest(key, now)

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in sorted(keys):
            self._queue.add(key, Priority.URGENT)

    def _remember(self, key: Key, resource: Managed) -> Memory:
        memory = self._memory.get(key)
        if memory is None or memory.uid != resource.metadata.uid:
            memory = Memory.of(resource, self._clock.now(), self._clock.monotonic())
            self._memory[key] = memory
        elif not memory.knows(resource.status):
            log.info("going on from a status that another process wrote", extra={"object": key._asdict()})
            memory.adopt(resource.status, self._clock.now(), self._clock.monotonic())
        return memory

    def _tell(self, key: Key, resource: Managed, events: tuple[Event, ...]) -> None:
        for event in events:
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            log.log(level, "%s: %s", event.reason, event.message, extra={"object": key._asdict()})
            self._telemetry.told(key, event)
            self._reporter.event(resource, event)


def _with_newest_status(resource: Managed, memory: Memory | None) -> Managed:
    """Return a resource with the status this process worked out, which may not have reached the API server yet."""
    if memory is None or memory.uid != resource.metadata.uid or not memory.knows(resource.status):
        return resource
    return resource.model_copy(update={"status": memory.status})


def _held(resource: Managed) -> bool:
    return FINALIZER in resource.metadata.finalizers


def _in_order(resource: Managed) -> bool:
    status = resource.status
    return (
        status.observed_generation == resource.metadata.generation
        and status.is_true(Type.READY)
        and resource.requested_at in {None, status.last_handled_reconcile_at}
    )
