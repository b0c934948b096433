"""Turns what happened in a look into a status, Events and the time of the next look.

Here is decided what a failure does to a status that was good: nothing for the first few tries, since the remote very likely
still has what it had; and that a transition is told once.
"""

import logging
from typing import Any

from setpoint.reconcile import conditions
from setpoint.reconcile.bounds import within_bounds
from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.outcome import Attempt, Outcome
from setpoint.reconcile.ports import Clock, ConnectionNotFound, Event, EventType
from setpoint.remotes.errors import TransientError
from setpoint.resources.common import MOST_DRIFT, Drift, Managed, clean_message

log = logging.getLogger(__name__)

TRIES_BEFORE_UNKNOWN = 3
MISSING_CONNECTION_GRACE = 30.0
"""Seconds a connection may be missing before it counts as a failure: GitOps applies things in any order."""


class Reports:
    """Makes outcomes; the memory's status is the newest one, and is kept so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def outcome(
        self,
        resource: Managed,
        memory: Memory,
        verdict: Verdict,
        *,
        due: float,
        backoff: bool = False,
        urgent: bool = False,
        **fields: Any,
    ) -> Outcome:
        """Return the outcome of a verdict: its status, and an Event where it is a transition."""
        before = memory.status
        generation = resource.metadata.generation
        handled = resource.requested_at or before.last_handled_reconcile_at
        drift: list[Drift] | None = fields.get("drift")
        drifted = len(drift) if drift is not None else before.drifted_fields
        contested = memory.contention(self._clock.monotonic())
        listed = conditions.apply(before.conditions, verdict, generation, self._clock.now(), contested=contested)
        after = within_bounds(
            before.model_copy(
                update={
                    "observed_generation": generation,
                    "last_handled_reconcile_at": handled,
                    "conditions": listed,
                    **fields,
                    "drift": (before.drift if drift is None else drift)[:MOST_DRIFT],
                    "drifted_fields": drifted or None,
                }
            )
        )
        memory.status = after
        events: tuple[Event, ...] = ()
        if contested is not None and not before.is_true(Type.CONTESTED):
            events = (Event(EventType.WARNING, Reason.REPEATEDLY_CORRECTED, clean_message(contested)),)
        if conditions.signature(before) != conditions.signature(after) or before.observed_generation != generation:
            events = (*events, Event(verdict.event_type, verdict.reason, clean_message(verdict.message)))
        return Outcome(status=after, due=due, backoff=backoff, urgent=urgent, events=events)

    def suspended(self, resource: Managed, memory: Memory, *, still_true: bool, due: float) -> Outcome:
        """Return the outcome for a suspended resource; `still_true`: what is known of it speaks of this spec."""
        status = memory.status
        generation = resource.metadata.generation
        listed = conditions.suspend(status.conditions, generation, self._clock.now(), still_true=still_true)
        updated = status.model_copy(update={"observed_generation": generation, "conditions": listed})
        first = not status.is_true(Type.SUSPENDED)
        memory.status = updated
        event = Event(EventType.NORMAL, Reason.SUSPENDED, "spec.suspend is true: nothing is read or written")
        return Outcome(status=updated, due=due, events=(event,) if first else ())

    def refused(self, resource: Managed, memory: Memory, error: Exception, *, due: float) -> Outcome:
        """Return the outcome of an error that does not pass by itself; raises it where it is none of those."""
        verdict = conditions.refused(error)
        if verdict is None:
            raise error
        return self.outcome(resource, memory, verdict, due=due)

    def connection_missing(self, resource: Managed, memory: Memory, error: ConnectionNotFound) -> Outcome:
        """Report a missing connection: in progress for the first half minute, then a failure that stays one."""
        known = memory.status.condition(Type.STALLED) or memory.status.condition(Type.RECONCILING)
        stalled = False
        if known is not None and known.reason == Reason.CONNECTION_NOT_FOUND:
            waited = (self._clock.now() - known.last_transition_time).total_seconds()
            stalled = known.type == Type.STALLED or waited >= MISSING_CONNECTION_GRACE
        verdict = conditions.connection_missing(error, stalled=stalled)
        return self.outcome(resource, memory, verdict, due=0.0, backoff=True)

    def failing(self, resource: Managed, memory: Memory, attempt: Attempt, error: TransientError) -> Outcome:
        """Return the outcome of a failure that passes by itself."""
        pause = error.retry_after or 0.0
        log.warning("try %d failed: %s", attempt.failures + 1, error, extra={"object": attempt.key._asdict()})
        if memory.verified(resource) and attempt.failures < TRIES_BEFORE_UNKNOWN:
            return Outcome(status=None, due=pause, backoff=True)
        verdict = conditions.failing(error)
        ready = memory.status.condition(Type.READY)
        if ready is not None and (ready.status, ready.reason) == (verdict.ready, verdict.reason):
            # The words of an outage change from try to try; rewriting the status for them helps nobody.
            verdict = Verdict(verdict.ready, verdict.reason, ready.message, verdict.also)
        return self.outcome(resource, memory, verdict, due=pause, backoff=True)

    def broken(self, resource: Managed, memory: Memory, attempt: Attempt) -> Outcome:
        """Return the outcome of a look that ended in a bug of the operator's own."""
        if memory.verified(resource) and attempt.failures < TRIES_BEFORE_UNKNOWN:
            return Outcome(status=None, backoff=True)
        return self.outcome(resource, memory, conditions.broken(), due=0.0, backoff=True)
