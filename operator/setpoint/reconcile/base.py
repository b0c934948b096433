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
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from setpoint.reconcile import conditions, sweeps
from setpoint.reconcile.conditions import Verdict
from setpoint.reconcile.memory import Memory, Pending
from setpoint.reconcile.outcome import Attempt, Observation, Outcome, Written
from setpoint.reconcile.ports import (
    Clock,
    ClusterUnavailable,
    ConnectionNotAllowed,
    ConnectionNotFound,
    Connections,
    Event,
    EventType,
    Handle,
)
from setpoint.reconcile.reports import Reports
from setpoint.remotes.errors import AuthenticationFailed, CredentialError, RemoteError, TransientError
from setpoint.resources.common import Drift, Managed, Mode, Response, StatusBase, clean_message, utc

log = logging.getLogger(__name__)

C = TypeVar("C")
R = TypeVar("R", bound=Managed)
S = TypeVar("S")
T = TypeVar("T")

CONVERGENCE_LIMIT = 600.0
"""Seconds after which a write that is not read back counts as NotConverged."""

ANY_TIME = float("-inf")
"""The `not_before` of a read that may have begun at any time."""

FRESH = 0.5
"""Seconds that a shared read may be old to verify a write: one begun right after the write shows the old values."""

LONGEST_POLL = 30.0
LONGEST_PAUSE_REFUSED = 300.0
"""Seconds after which a resource looks again at a credential that another one found refused, if nothing wakes it before."""

QUEUED = "QUEUED"
UNCHANGED = "UNCHANGED"


class Reconciler(ABC, Generic[C, R, S, T]):
    """Brings resources of one kind (R) with settings (S) of a target (T) behind a client (C) to what their spec says."""

    READS_FIRST: ClassVar[bool] = False
    """A changed spec is compared with a read before it is written, because a write needs to know what is there."""

    def __init__(self, connections: Connections, clock: Clock, *, dry_run: bool = False) -> None:
        self._connections = connections
        self._clock = clock
        self._reports = Reports(clock)
        self._dry_run = dry_run

    @abstractmethod
    async def connect(self, resource: R, *, fresh: bool) -> Handle[C]:
        """Return the open connection of a resource; raises as `Connections` says."""

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
    def manages(self, resource: R, target: T | None) -> frozenset[Hashable]:
        """Return the remote things a resource manages, by ids of its API; empty where they are not known yet.

        `target` is None where nobody was asked: then spec and status tell, or nothing does.
        """

    @abstractmethod
    def shares(self, resource: R) -> Hashable:
        """Return what is read for this resource: all that return the same can be served by one read."""

    @abstractmethod
    async def resolve(self, client: C, resource: R) -> T:
        """Return the target by the remote API's ids."""

    @abstractmethod
    async def write(self, client: C, target: T, settings: S, *, urgent: bool) -> Written[S, T]:
        """Write settings."""

    @abstractmethod
    async def read(
        self, client: C, target: T, desired: S, *, not_before: float, urgent: bool
    ) -> tuple[T, Observation[S]]:
        """Return the target, perhaps now known better, and what the remote reports for the managed fields."""

    async def explain(self, client: C, target: T, desired: S, error: RemoteError) -> RemoteError:
        """Return a refused write's error, or a clearer one where a cheap read tells what is missing."""
        del client, target, desired
        return error

    def weigh(self, resource: R, memory: Memory, attempt: Attempt, error: RemoteError) -> RemoteError:
        """Return a failed write's error, or another one where it means something else for this kind."""
        del resource, memory, attempt
        return error

    @abstractmethod
    def title(self, target: T) -> str:
        """Return the target's name for people."""

    @abstractmethod
    def record(
        self, resource: R, status: StatusBase, *, target: T, applied: S | None, observed: S | None
    ) -> dict[str, Any]:
        """Return the kind's own status fields; only those whose value is known. `status` is the newest one so far."""

    def stakes(self, resource: R) -> frozenset[Hashable]:
        """Return what a resource claims, as far as that can be told without asking anybody."""
        return self._things(resource, None) if self._writes(resource) else frozenset()

    def next_sweep(self, resource: R) -> float:
        """Return the seconds until the resource is to be looked at for drift."""
        group = (self._connections.place(resource), self.shares(resource))
        return sweeps.until_next(self._clock.monotonic(), resource.spec.every.total_seconds(), group)

    async def reconcile(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Look at one resource, do what is needed, and tell what came of it."""
        if resource.spec.suspend:
            return self._suspended(resource, memory)
        forced = self._forced(resource, memory)
        try:
            handle = await self.connect(resource, fresh=forced)
            handle.gate.enter(attempt.key, self._clock.monotonic())
            return await self._through_gate(handle, resource, memory, attempt)
        except AuthenticationFailed as error:
            due = min(self.next_sweep(resource), LONGEST_PAUSE_REFUSED)
            return self._reports.refused(resource, memory, error, due=due)
        except ConnectionNotFound as error:
            return self._reports.connection_missing(resource, memory, error)
        except ConnectionNotAllowed as error:
            return self._reports.refused(resource, memory, error, due=self.next_sweep(resource))
        except ClusterUnavailable:
            return Outcome(status=None, backoff=True, urgent=attempt.urgent)

    async def _through_gate(self, handle: Handle[C], resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Reconcile on an open connection, and close or open its gate by what it answers."""
        try:
            try:
                outcome = await self._converge(handle.client, resource, memory, attempt)
            except AuthenticationFailed:
                renewed = await self.connect(resource, fresh=True)
                if renewed.client is handle.client:
                    raise
                outcome = await self._converge(renewed.client, resource, memory, attempt)
        except AuthenticationFailed as error:
            pause = handle.gate.close(attempt.key, error, self._clock.monotonic())
            return self._reports.refused(resource, memory, error, due=pause)
        except TransientError as error:
            return self._reports.failing(resource, memory, attempt, error)
        except RemoteError as error:
            outcome = self._reports.refused(resource, memory, error, due=self.next_sweep(resource))
        if not outcome.asked:
            # Let through as a probe, perhaps, and did not use it.
            handle.gate.probe_now()
            return outcome
        return replace(outcome, wake=frozenset(handle.gate.open()) - {attempt.key})

    async def _converge(self, client: C, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        target = await self.resolve(client, resource)
        desired = self.desired(resource)
        writes = self._writes(resource)
        rival = attempt.claim(self._things(resource, target) if writes else frozenset())
        if rival is not None:
            memory.pending = None
            fields = self.record(resource, memory.status, target=target, applied=None, observed=None)
            verdict = conditions.conflict(self.title(target), str(rival))
            return replace(self._settled(resource, memory, verdict, drift=[], **fields), asked=False)
        if not writes:
            memory.pending = None
        applied = self.applied(memory.status)
        changed = writes and (applied is None or not self.covers(applied, desired))
        if changed:
            memory.pending = None
            if not self.READS_FIRST:
                outcome = await self._push(client, resource, memory, attempt, target, desired, desired, [])
                if outcome is not None:
                    return outcome
        not_before = self._not_before(resource, memory)
        target, seen = await self.read(client, target, desired, not_before=not_before, urgent=attempt.urgent)
        drift = self.differences(desired, seen.settings)
        memory.drifted = bool(drift)
        if not drift:
            return self._in_sync(resource, memory, target, desired, seen)
        fields = self.record(resource, memory.status, target=target, applied=None, observed=seen.settings)
        if not writes:
            return self._settled(resource, memory, conditions.drift_detected(drift), drift=drift, **fields)
        if memory.pending is not None and not self._write_again(resource, memory.pending, seen):
            return self._waiting(resource, memory, memory.pending, seen, drift, fields)
        if memory.pending is None and seen.schedule_id is not None:
            verdict = conditions.schedule_active(seen.schedule_id, drift)
            return self._settled(resource, memory, verdict, drift=drift, **fields)
        differing = self.differing(desired, drift)
        corrected = [] if changed else drift
        outcome = await self._push(client, resource, memory, attempt, target, desired, differing, corrected)
        return outcome or self._soon(1.0)

    async def _push(
        self,
        client: C,
        resource: R,
        memory: Memory,
        attempt: Attempt,
        target: T,
        desired: S,
        settings: S,
        corrected: list[Drift],
    ) -> Outcome | None:
        """Write, and return what follows from the answer; None where a read can verify it at once.

        The answer is remembered; it reaches the status with the next verdict.
        """
        await attempt.confirm()
        before = memory.pending
        try:
            written = await self.write(client, target, settings, urgent=attempt.urgent)
        except RemoteError as caught:
            error = self.weigh(resource, memory, attempt, caught)
            if isinstance(error, TransientError):
                raise error from None
            self._note_refusal(memory, error)
            if isinstance(error, CredentialError):
                raise error from None
            raise await self.explain(client, target, desired, error) from None
        finally:
            # Whatever became of it: what was read before does not tell.
            memory.written = self._clock.monotonic()
        answer, target = written.answer, written.target
        response = Response(status=answer.status, message=clean_message(answer.message), time=utc(self._clock.now()))
        memory.pending = Pending(
            response=response,
            answered=memory.written,
            since=before.since if before is not None else memory.written,
            corrected=corrected or (before.corrected if before is not None else []),
        )
        fields = self.record(resource, memory.status, target=target, applied=desired, observed=None)
        memory.status = memory.status.model_copy(update={"response": response, **fields})
        log.info(
            "wrote %s to %s: answered %s%s",
            "what had drifted" if corrected else "the spec's settings",
            self.title(target),
            answer.status,
            f" ({response.message})" if response.message else "",
            extra={"object": attempt.key._asdict()},
        )
        outcome = self._after_write(resource, memory, memory.pending, desired, written)
        return replace(outcome, events=(*written.events, *outcome.events)) if outcome is not None else None

    def _note_refusal(self, memory: Memory, error: RemoteError) -> None:
        memory.pending = None
        if error.status is not None:
            message = clean_message(error.api_message or "")
            refusal = Response(status=str(error.status), message=message, time=utc(self._clock.now()))
            memory.status = memory.status.model_copy(update={"response": refusal})

    def _after_write(
        self, resource: R, memory: Memory, pending: Pending, desired: S, written: Written[S, T]
    ) -> Outcome | None:
        if written.seen is not None:
            drift = self.differences(desired, written.seen.settings)
            memory.drifted = bool(drift)
            if not drift:
                return self._in_sync(resource, memory, written.target, desired, written.seen)
            fields = self.record(
                resource, memory.status, target=written.target, applied=None, observed=written.seen.settings
            )
            return self._waiting(resource, memory, pending, written.seen, drift, fields)
        if pending.response.status == UNCHANGED:
            return None
        if pending.response.status == QUEUED:
            return self._reports.outcome(resource, memory, conditions.queued(pending.response), due=1.0, urgent=True)
        return self._soon(1.0)

    def _in_sync(self, resource: R, memory: Memory, target: T, desired: S, seen: Observation[S]) -> Outcome:
        corrected = memory.pending.corrected if memory.pending is not None else []
        memory.pending = None
        title = self.title(target)
        verdict = conditions.synced(title) if self._writes(resource) else conditions.observed(title)
        fields = self.record(resource, memory.status, target=target, applied=desired, observed=seen.settings)
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
            due = self.next_sweep(resource)
        elif pending.response.status == QUEUED:
            verdict = conditions.queued(pending.response)
        else:
            verdict = conditions.applying(pending.response, drift)
        return self._reports.outcome(resource, memory, verdict, due=due, drift=drift, **fields)

    def _overdue(self, pending: Pending) -> bool:
        return self._clock.monotonic() - pending.since >= CONVERGENCE_LIMIT

    def _suspended(self, resource: R, memory: Memory) -> Outcome:
        applied = self.applied(memory.status)
        still_true = applied is not None and self.covers(applied, self.desired(resource)) and not memory.drifted
        return self._reports.suspended(resource, memory, still_true=still_true, due=self.next_sweep(resource))

    def failed(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Return the outcome of a reconcile that ended in a bug of the operator's own."""
        return self._reports.broken(resource, memory, attempt)

    def _settled(self, resource: R, memory: Memory, verdict: Verdict, **fields: Any) -> Outcome:
        return self._reports.outcome(resource, memory, verdict, due=self.next_sweep(resource), **fields)

    def _soon(self, delay: float) -> Outcome:
        return Outcome(status=None, due=delay, urgent=True)

    def _things(self, resource: R, target: T | None) -> frozenset[Hashable]:
        place = self._connections.place(resource)
        if place is None:
            return frozenset()
        return frozenset((place, thing) for thing in self.manages(resource, target))

    def _not_before(self, resource: R, memory: Memory) -> float:
        """Return the time after which a read has to begin to tell the truth about this resource."""
        now = self._clock.monotonic()
        if self._forced(resource, memory):
            return now
        if memory.pending is not None:
            return max(memory.written, memory.pending.answered, now - FRESH)
        return memory.written

    def _writes(self, resource: R) -> bool:
        return resource.spec.mode is Mode.ENFORCE and not self._dry_run

    def _forced(self, resource: R, memory: Memory) -> bool:
        return resource.requested_at not in {None, memory.status.last_handled_reconcile_at}
