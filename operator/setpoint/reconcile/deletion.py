"""What becomes of a resource that is being deleted and whose deletion policy asks for more than to let go of it.

To put back what was found is to reconcile with the baseline for a spec: the same writes, the same reads that verify them, the
same verdicts. To delete a row is one request. Either may fail, and a resource that cannot be deleted is worse than a setting
that stays: so everything that does not pass by itself releases the resource with a Warning, and so do ten minutes of what
might pass.
"""

from dataclasses import replace
from typing import Any

from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.conditions import Reason, Type
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.origin import left_behind, lost
from setpoint.reconcile.outcome import Attempt, Outcome
from setpoint.reconcile.ports import Event, EventType
from setpoint.resources.common import DeletionPolicy, Managed, clean_message

PATIENCE = 600.0
"""Seconds for which a failing deletion is tried again."""

RESTORED = "Restored"
LOST = "the status was lost that held what was found before the first write"
_LEFT = {DeletionPolicy.RESTORE: "NotRestored", DeletionPolicy.DELETE: "NotDeleted"}


async def finish(
    reconciler: Reconciler[Any, Any, Any, Any], resource: Managed, memory: Memory, attempt: Attempt, now: float
) -> Outcome:
    """Do what the deletion policy says; the outcome releases the resource when that is done or cannot be.

    `now` is in monotonic seconds.
    """
    policy = resource.spec.deletion_policy
    if memory.ending is None:
        memory.ending = now
    if policy is DeletionPolicy.DELETE:
        wanted = resource if reconciler.created(resource) else None
    else:
        wanted = reconciler.as_found(resource) if policy is DeletionPolicy.RESTORE else None
    if wanted is None:
        if lost(resource):
            return left(policy, LOST)
        stays = reconciler.stays(resource) if policy is DeletionPolicy.RESTORE else ""
        return left(policy, stays) if stays else Outcome(status=None, release=True, asked=False)
    if resource.spec.suspend or not reconciler.writes(resource):
        why = "spec.suspend is true" if resource.spec.suspend else "nothing is written in mode Observe"
        return left(policy, why)
    elsewhere = reconciler.elsewhere(resource)
    if elsewhere is not None:
        return left(policy, elsewhere)
    if policy is DeletionPolicy.DELETE:
        outcome = await reconciler.delete(wanted, memory, attempt)
    else:
        before = memory.status
        outcome = await reconciler.reconcile(wanted, memory, replace(attempt, restoring=True))
        if memory.status.is_true(Type.READY):
            # Of the old settings, which the spec does not want; should anything keep it, it must not say so.
            memory.status = memory.status.model_copy(
                update={"conditions": before.conditions, "observed_generation": before.observed_generation}
            )
    return (
        outcome if outcome.release else _judged(reconciler, resource, memory, outcome, memory.ending + PATIENCE - now)
    )


def left(policy: DeletionPolicy, why: str) -> Outcome:
    """Return the outcome that releases a resource and warns that the remote keeps what it has."""
    message = clean_message(f"deleted; the remote keeps what it has: {why}")
    event = Event(EventType.WARNING, _LEFT.get(policy, "NotRestored"), message)
    return Outcome(status=None, release=True, events=(event,), asked=False)


def _judged(
    reconciler: Reconciler[Any, Any, Any, Any], resource: Managed, memory: Memory, outcome: Outcome, rest: float
) -> Outcome:
    """Return a look's outcome as it is where waiting may help, and one that releases the resource where not."""
    policy = resource.spec.deletion_policy
    said = outcome.status or memory.status
    ready = said.condition(Type.READY)
    if outcome.status is not None and ready is not None:
        # What answered the write was something else, but a read may show all the same that it was done.
        unclear = memory.pending is not None and memory.pending.unclear
        stalled = said.is_true(Type.STALLED) and not unclear
        if stalled or said.is_true(Type.DRIFTED) or ready.reason in _MISSING:
            return replace(left(policy, f"{ready.message}; {left_behind(said)}"), wake=outcome.wake)
        if ready.status == "True":
            return _restored(reconciler, resource, outcome)
    if rest <= 0:
        last = ready.message if ready is not None and ready.status != "True" else "the API server could not be asked"
        return replace(left(policy, f"given up after {PATIENCE / 60:.0f} minutes: {last}"), wake=outcome.wake)
    return replace(outcome, due=min(outcome.due, rest))


_MISSING = {Reason.CONNECTION_NOT_FOUND}
"""Reasons that are in progress for a resource that lives, and final for one that goes."""


def _restored(reconciler: Reconciler[Any, Any, Any, Any], resource: Managed, outcome: Outcome) -> Outcome:
    done = Event(EventType.NORMAL, RESTORED, "deleted; the remote has what was found before the first write again")
    stays = reconciler.stays(resource)
    if stays:
        text = f"{stays}; what was written stays"
        done = Event(EventType.WARNING, _LEFT[DeletionPolicy.RESTORE], clean_message(text))
    return Outcome(status=None, release=True, events=(done,), wake=outcome.wake)
