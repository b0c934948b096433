"""How one resource is brought to what its spec says: the part that is the same for every kind.

One call of `reconcile` is one look at one resource. It decides from the spec, the status and what the remote API reports,
does at most one write, and returns an `Outcome`: the status as it now is, what happened, and when to look again. It keeps
nothing but the `Memory` it is given, and any call may be the last one before a crash or come twice:

- the settings differ from `status.applied`: write them all, without a read in front;
- a write was answered and is not read back yet: read, at 1, 2, 4 … 30 seconds, and do not write;
- otherwise: read, compare the managed fields, and write only those that differ.

Whatever goes wrong becomes a verdict (`conditions`) and a time to try again; nothing is raised but bugs.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar

from setpoint.reconcile import conditions
from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.memory import Memory, Pending
from setpoint.reconcile.ports import (
    Clock,
    ClusterUnavailable,
    ConnectionNotAllowed,
    ConnectionNotFound,
    Connections,
    Event,
    EventType,
    Handle,
    Key,
)
from setpoint.remotes.baseten import Answer, Baseten
from setpoint.remotes.errors import AuthenticationFailed, CredentialError, RemoteError, TransientError
from setpoint.resources.common import Drift, Managed, Mode, Response, StatusBase, clean_message, utc

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Managed)
S = TypeVar("S")
T = TypeVar("T")

CONVERGENCE_LIMIT = 600.0
"""Seconds after which a write that is not read back counts as NotConverged."""

FRESH = 0.5
"""Seconds that a shared read may be old to verify a write: one begun right after the write shows the old values."""

LONGEST_POLL = 30.0
TRIES_BEFORE_UNKNOWN = 3
MISSING_CONNECTION_GRACE = 30.0
"""Seconds a connection may be missing before it counts as a failure: GitOps applies things in any order."""

LONGEST_PAUSE_REFUSED = 300.0
"""Seconds after which a resource looks again at a credential that another one found refused, if nothing wakes it before."""

QUEUED = "QUEUED"
UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True)
class Observation(Generic[S]):
    """What the remote API reports."""

    settings: S
    busy: bool = False
    """The remote is in the middle of a build, a start or a stop, so that waiting is normal."""
    promotion: str | None = None
    """Word for the promotion that runs, if one does."""
    schedule_id: str | None = None
    """Schedule of the platform that holds other values on purpose, if one does."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The circumstances of one reconcile."""

    key: Key
    urgent: bool
    """Somebody waits for this one: it goes ahead of sweeps at the limiter too."""
    failures: int
    """Tries in a row that failed for a transient reason."""
    confirm: Callable[[], Awaitable[None]]
    """To be awaited before every write; raises what ends the reconcile when the resource is gone or changed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one reconcile."""

    status: StatusBase | None
    """The status to report; None leaves what is there."""
    due: float = 0.0
    """Seconds until the next look."""
    backoff: bool = False
    """Add the key's growing backoff to `due`, since this was a failure."""
    urgent: bool = False
    """The next look goes ahead of sweeps."""
    events: tuple[Event, ...] = ()
    wake: frozenset[Key] = field(default_factory=frozenset)
    """Resources that waited for this connection and can go on."""


class Reconciler(ABC, Generic[R, S, T]):
    """Brings resources of one kind (R) with settings (S) of a remote target (T) to what their spec says."""

    def __init__(self, connections: Connections, clock: Clock, random: Random, *, dry_run: bool = False) -> None:
        self._connections = connections
        self._clock = clock
        self._random = random
        self._dry_run = dry_run

    @abstractmethod
    def desired(self, resource: R) -> S:
        """Return the settings the spec wants."""

    @abstractmethod
    def applied(self, status: StatusBase) -> S | None:
        """Return the settings the status says were last written or found in place."""

    @abstractmethod
    def covers(self, applied: S, desired: S) -> bool:
        """Tell whether everything desired is among what was applied."""

    @abstractmethod
    def differences(self, desired: S, observed: S) -> list[Drift]:
        """Return the managed fields that the remote reports otherwise."""

    @abstractmethod
    def differing(self, desired: S, drift: list[Drift]) -> S:
        """Return only those desired settings that the differences name."""

    @abstractmethod
    async def resolve(self, client: Baseten, resource: R) -> T:
        """Return the target by the remote API's ids."""

    @abstractmethod
    async def write(self, client: Baseten, target: T, settings: S, *, urgent: bool) -> Answer:
        """Write settings."""

    @abstractmethod
    async def read(
        self, client: Baseten, target: T, desired: S, *, not_before: float | None, urgent: bool
    ) -> tuple[T, Observation[S]]:
        """Return the target, perhaps now known better, and what the remote reports for the managed fields."""

    @abstractmethod
    async def explain(self, client: Baseten, target: T, desired: S, error: RemoteError) -> RemoteError:
        """Return a refused write's error, or a clearer one where a cheap read tells what is missing."""

    @abstractmethod
    def title(self, target: T) -> str:
        """Return the target's name for people."""

    @abstractmethod
    def record(self, resource: R, *, target: T, applied: S | None, observed: S | None) -> dict[str, Any]:
        """Return the kind's own status fields; only those whose value is known."""

    async def reconcile(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Look at one resource, do what is needed, and tell what came of it."""
        if resource.spec.suspend:
            return self._suspended(resource, memory)
        forced = self._forced(resource, memory)
        try:
            handle = await self._connections.baseten(resource, fresh=forced)
            handle.gate.enter(attempt.key, self._clock.monotonic())
            return await self._through_gate(handle, resource, memory, attempt)
        except AuthenticationFailed as error:
            return self._refused(resource, memory, error, due=min(self._interval(resource), LONGEST_PAUSE_REFUSED))
        except ConnectionNotFound as error:
            return self._connection_missing(resource, memory, error)
        except ConnectionNotAllowed as error:
            return self._refused(resource, memory, error)
        except ClusterUnavailable:
            return Outcome(status=None, backoff=True, urgent=attempt.urgent)

    async def _through_gate(self, handle: Handle, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Reconcile on an open connection, and close or open its gate by what it answers."""
        try:
            try:
                outcome = await self._converge(handle.client, resource, memory, attempt)
            except AuthenticationFailed:
                renewed = await self._connections.baseten(resource, fresh=True)
                if renewed.client is handle.client:
                    raise
                outcome = await self._converge(renewed.client, resource, memory, attempt)
        except AuthenticationFailed as error:
            pause = handle.gate.close(attempt.key, error, self._clock.monotonic())
            return self._refused(resource, memory, error, due=pause)
        except TransientError as error:
            return self._failing(resource, memory, attempt, error)
        except RemoteError as error:
            outcome = self._refused(resource, memory, error)
        wake = frozenset(handle.gate.open()) - {attempt.key}
        return Outcome(
            status=outcome.status,
            due=outcome.due,
            backoff=outcome.backoff,
            urgent=outcome.urgent,
            events=outcome.events,
            wake=wake,
        )

    async def _converge(self, client: Baseten, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        target = await self.resolve(client, resource)
        desired = self.desired(resource)
        writes = self._writes(resource)
        if not writes:
            memory.pending = None
        applied = self.applied(memory.status)
        not_before = self._clock.monotonic() if self._forced(resource, memory) else None
        if writes and (applied is None or not self.covers(applied, desired)):
            memory.pending = None
            await self._push(client, resource, memory, attempt, target, desired, desired, [])
            outcome = self._after_write(resource, memory)
            if outcome is not None:
                return outcome
        if memory.pending is not None:
            not_before = max(memory.pending.answered, self._clock.monotonic() - FRESH)
        target, seen = await self.read(client, target, desired, not_before=not_before, urgent=attempt.urgent)
        drift = self.differences(desired, seen.settings)
        memory.drifted = bool(drift)
        if not drift:
            return self._in_sync(resource, memory, target, desired, seen)
        fields = self.record(resource, target=target, applied=None, observed=seen.settings)
        if not writes:
            return self._settled(resource, memory, conditions.drift_detected(drift), drift=drift, **fields)
        if memory.pending is None:
            if seen.schedule_id is not None:
                verdict = conditions.schedule_active(seen.schedule_id, drift)
                return self._settled(resource, memory, verdict, drift=drift, **fields)
            return await self._correct(client, resource, memory, attempt, target, desired, drift)
        if self._write_again(resource, memory.pending, seen):
            return await self._correct(client, resource, memory, attempt, target, desired, drift)
        return self._waiting(resource, memory, memory.pending, seen, drift, fields)

    async def _correct(
        self,
        client: Baseten,
        resource: R,
        memory: Memory,
        attempt: Attempt,
        target: T,
        desired: S,
        drift: list[Drift],
    ) -> Outcome:
        differing = self.differing(desired, drift)
        await self._push(client, resource, memory, attempt, target, desired, differing, drift)
        return self._after_write(resource, memory) or self._soon(1.0)

    async def _push(
        self,
        client: Baseten,
        resource: R,
        memory: Memory,
        attempt: Attempt,
        target: T,
        desired: S,
        settings: S,
        drift: list[Drift],
    ) -> None:
        """Write, and remember the answer; what is remembered reaches the status with the next verdict."""
        await attempt.confirm()
        before = memory.pending
        try:
            answer = await self.write(client, target, settings, urgent=attempt.urgent)
        except TransientError:
            raise
        except RemoteError as error:
            memory.pending = None
            if error.status is not None:
                message = clean_message(error.api_message or "")
                refusal = Response(status=str(error.status), message=message, time=utc(self._clock.now()))
                memory.status = memory.status.model_copy(update={"response": refusal})
            if isinstance(error, CredentialError):
                raise
            raise await self.explain(client, target, desired, error) from None
        answered = self._clock.monotonic()
        response = Response(status=answer.status, message=clean_message(answer.message), time=utc(self._clock.now()))
        memory.pending = Pending(
            response=response,
            answered=answered,
            since=before.since if before is not None else answered,
            corrected=drift or (before.corrected if before is not None else []),
        )
        fields = self.record(resource, target=target, applied=desired, observed=None)
        memory.status = memory.status.model_copy(update={"response": response, **fields})
        log.info(
            "wrote %s to %s: answered %s%s",
            "what had drifted" if drift else "the spec's settings",
            self.title(target),
            answer.status,
            f" ({response.message})" if response.message else "",
            extra={"object": attempt.key._asdict()},
        )

    def _after_write(self, resource: R, memory: Memory) -> Outcome | None:
        """Return the outcome right after a write; None where a read can verify it at once."""
        pending = memory.pending
        if pending is None or pending.response.status == UNCHANGED:
            return None
        if pending.response.status == QUEUED:
            return self._outcome(resource, memory, conditions.queued(pending.response), due=1.0, urgent=True)
        return self._soon(1.0)

    def _in_sync(self, resource: R, memory: Memory, target: T, desired: S, seen: Observation[S]) -> Outcome:
        corrected = memory.pending.corrected if memory.pending is not None else []
        memory.pending = None
        title = self.title(target)
        verdict = conditions.synced(title) if self._writes(resource) else conditions.observed(title)
        fields = self.record(resource, target=target, applied=desired, observed=seen.settings)
        outcome = self._settled(resource, memory, verdict, drift=[], **fields)
        if not corrected:
            return outcome
        event = Event(EventType.NORMAL, "DriftCorrected", clean_message(conditions.corrected(title, corrected)))
        return Outcome(status=outcome.status, due=outcome.due, events=(event, *outcome.events))

    def _write_again(self, resource: R, pending: Pending, seen: Observation[S]) -> bool:
        """Tell whether a write that cannot be read back is repeated: once per interval, and never while it is queued."""
        waited = self._clock.monotonic() - pending.answered
        if seen.busy or seen.promotion is not None or waited < resource.spec.every.total_seconds() * 0.9:
            return False
        return pending.response.status != QUEUED or self._overdue(pending)

    def _waiting(
        self,
        resource: R,
        memory: Memory,
        pending: Pending,
        seen: Observation[S],
        drift: list[Drift],
        fields: dict[str, Any],
    ) -> Outcome:
        pending.polls += 1
        due = min(2.0**pending.polls, LONGEST_POLL)
        if seen.promotion is not None:
            verdict = conditions.promoting(seen.promotion, drift)
        elif self._overdue(pending) and not seen.busy:
            verdict = conditions.not_converged(pending.response, drift)
            due = self._interval(resource)
        elif pending.response.status == QUEUED:
            verdict = conditions.queued(pending.response)
        else:
            verdict = conditions.applying(pending.response, drift)
        return self._outcome(resource, memory, verdict, due=due, drift=drift, **fields)

    def _overdue(self, pending: Pending) -> bool:
        return self._clock.monotonic() - pending.since >= CONVERGENCE_LIMIT

    def _suspended(self, resource: R, memory: Memory) -> Outcome:
        status = memory.status
        applied = self.applied(status)
        desired = self.desired(resource)
        still_true = applied is not None and self.covers(applied, desired) and not memory.drifted
        generation = resource.metadata.generation
        updated = status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": conditions.suspend(
                    status.conditions, generation, self._clock.now(), still_true=still_true
                ),
            }
        )
        first = not status.is_true(Type.SUSPENDED)
        memory.status = updated
        event = Event(EventType.NORMAL, Reason.SUSPENDED, "spec.suspend is true: nothing is read or written")
        return Outcome(status=updated, due=self._interval(resource), events=(event,) if first else ())

    def _refused(self, resource: R, memory: Memory, error: Exception, due: float | None = None) -> Outcome:
        verdict = conditions.refused(error)
        if verdict is None:
            raise error
        return self._outcome(resource, memory, verdict, due=due if due is not None else self._interval(resource))

    def _connection_missing(self, resource: R, memory: Memory, error: ConnectionNotFound) -> Outcome:
        """Report a missing connection: in progress for the first half minute, then a failure that stays one."""
        known = memory.status.condition(Type.STALLED) or memory.status.condition(Type.RECONCILING)
        stalled = False
        if known is not None and known.reason == Reason.CONNECTION_NOT_FOUND:
            waited = (self._clock.now() - known.last_transition_time).total_seconds()
            stalled = known.type == Type.STALLED or waited >= MISSING_CONNECTION_GRACE
        verdict = conditions.connection_missing(error, stalled=stalled)
        return self._outcome(resource, memory, verdict, due=0.0, backoff=True)

    def _failing(self, resource: R, memory: Memory, attempt: Attempt, error: TransientError) -> Outcome:
        pause = error.retry_after or 0.0
        log.warning("try %d failed: %s", attempt.failures + 1, error, extra={"object": attempt.key._asdict()})
        if memory.verified(resource) and attempt.failures < TRIES_BEFORE_UNKNOWN:
            return Outcome(status=None, due=pause, backoff=True)
        verdict = conditions.failing(error)
        ready = memory.status.condition(Type.READY)
        if ready is not None and (ready.status, ready.reason) == (verdict.ready, verdict.reason):
            # The words of an outage change from try to try; rewriting the status for them helps nobody.
            verdict = Verdict(verdict.ready, verdict.reason, ready.message, verdict.also)
        return self._outcome(resource, memory, verdict, due=pause, backoff=True)

    def failed(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Return the outcome of a reconcile that ended in a bug of the operator's own."""
        if memory.verified(resource) and attempt.failures < TRIES_BEFORE_UNKNOWN:
            return Outcome(status=None, backoff=True)
        return self._outcome(resource, memory, conditions.broken(), due=0.0, backoff=True)

    def _settled(self, resource: R, memory: Memory, verdict: Verdict, **fields: Any) -> Outcome:
        return self._outcome(resource, memory, verdict, due=self._interval(resource), **fields)

    def _outcome(
        self,
        resource: R,
        memory: Memory,
        verdict: Verdict,
        *,
        due: float,
        backoff: bool = False,
        urgent: bool = False,
        **fields: Any,
    ) -> Outcome:
        """Turn a verdict into the status, and a transition into an Event."""
        before = memory.status
        generation = resource.metadata.generation
        handled = resource.requested_at or before.last_handled_reconcile_at
        after = before.model_copy(
            update={
                "observed_generation": generation,
                "last_handled_reconcile_at": handled,
                "conditions": conditions.apply(before.conditions, verdict, generation, self._clock.now()),
                **fields,
            }
        )
        memory.status = after
        events: tuple[Event, ...] = ()
        if conditions.signature(before) != conditions.signature(after) or before.observed_generation != generation:
            events = (Event(verdict.event_type, verdict.reason, clean_message(verdict.message)),)
        return Outcome(status=after, due=due, backoff=backoff, urgent=urgent, events=events)

    def _soon(self, delay: float) -> Outcome:
        return Outcome(status=None, due=delay, urgent=True)

    def _interval(self, resource: R) -> float:
        return resource.spec.every.total_seconds() * self._random.uniform(0.9, 1.1)

    def _writes(self, resource: R) -> bool:
        return resource.spec.mode is Mode.ENFORCE and not self._dry_run

    def _forced(self, resource: R, memory: Memory) -> bool:
        return resource.requested_at not in {None, memory.status.last_handled_reconcile_at}
