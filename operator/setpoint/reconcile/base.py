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
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

from setpoint.reconcile import anchor, claims, conditions, corrections, sweeps
from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.corrections import Correction
from setpoint.reconcile.gate import LONGEST_WAIT
from setpoint.reconcile.kind import Kind
from setpoint.reconcile.memory import REFUSED_AGAIN, Memory, Pending, Refusal
from setpoint.reconcile.origin import leads_elsewhere, left_behind
from setpoint.reconcile.outcome import Attempt, Observation, ObservationOutdated, Outcome, Written
from setpoint.reconcile.ownership import PATIENCE, Standing, Thing
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
from setpoint.remotes.answers import Answer
from setpoint.remotes.errors import (
    AuthenticationFailed,
    CredentialError,
    InvalidSettings,
    RemoteError,
    RemoteFailure,
    TransientError,
    UnexpectedAnswer,
)
from setpoint.resources.common import DeletionPolicy, Drift, Managed, Mode, Response, clean_message, utc

log = logging.getLogger(__name__)

C = TypeVar("C")
R = TypeVar("R", bound=Managed)
S = TypeVar("S")
T = TypeVar("T")

CONVERGENCE_LIMIT = 600.0
"""Seconds after which a write that is not read back counts as NotConverged."""

UNCLEAR_AGAIN = 10.0
"""Seconds after which a write whose answer could not be understood is sent again, if a read shows that it did not happen.

Doubled each time, up to the interval.
"""

NEARLY = 0.9
"""Part of an interval after which the next sweep may be: they are jittered."""

ANY_TIME = float("-inf")
"""The `not_before` of a read that may have begun at any time."""

FRESH = 0.5
"""Seconds that a shared read may be old to verify a write: one begun right after the write shows the old values."""

Work: TypeAlias = Callable[[C, R, Memory, Attempt], Awaitable[Outcome]]
"""What is done for a resource on an open connection."""

LONGEST_POLL = 30.0

QUEUED = "QUEUED"
UNCHANGED = "UNCHANGED"


class Reconciler(Kind[C, R, S, T]):
    """Brings resources of one kind (R) with settings (S) of a target (T) behind a client (C) to what their spec says."""

    def __init__(self, connections: Connections, clock: Clock, *, dry_run: bool = False) -> None:
        self._connections = connections
        self._clock = clock
        self._reports = Reports(clock)
        self._dry_run = dry_run

    def stakes(self, resource: R) -> frozenset[Thing]:
        """Return what a resource claims, as far as that can be told without asking anybody."""
        return self._things(resource, None) if self.writes(resource) else frozenset()

    def standing(self, resource: R, *, held: bool) -> Standing:
        """Return what the claim of a resource is worth; `held`: it was once proven and not lost since."""
        return claims.standing(resource, self._connections.origin(resource), held=held)

    def elsewhere(self, resource: R) -> str | None:
        """Return why what was found is not put back where the connection leads now; None where that is the same API."""
        here, known = self._connections.origin(resource), resource.status.origin
        if here is None or known is None or known.leads_to(here):
            return None
        return f"{leads_elsewhere(known, here)}; {left_behind(resource.status)}"

    def next_sweep(self, resource: R) -> float:
        """Return the seconds until the resource is to be looked at for drift."""
        group = (self._connections.place(resource), self.shares(resource))
        return sweeps.until_next(self._clock.monotonic(), resource.spec.every.total_seconds(), group)

    async def reconcile(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Look at one resource, do what is needed, and tell what came of it."""
        if resource.spec.suspend:
            # Paused, not given up: whoever suspends it wants no other one to take over. What it never had it does not take.
            standing = self.standing(resource, held=memory.proven)
            attempt.claim(self.stakes(resource) if standing is Standing.HELD else frozenset(), standing)
            return self._suspended(resource, memory)
        return await self._ask(resource, memory, attempt, self._converge)

    async def delete(self, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        """Delete at the remote what the resource created, and tell what came of it."""
        return await self._ask(resource, memory, attempt, self.remove)

    async def _ask(self, resource: R, memory: Memory, attempt: Attempt, work: Work[C, R]) -> Outcome:
        """Do something on the resource's connection; what goes wrong becomes a verdict."""
        wait = LONGEST_WAIT
        try:
            handle = await self.connect(resource, fresh=self._forced(resource, memory))
            wait = handle.gate.patience(attempt.key, self._clock.monotonic())
            handle.gate.enter(attempt.key, self._clock.monotonic())
            return await self._through_gate(handle, resource, memory, attempt, work)
        except AuthenticationFailed as error:
            rest = self._shut(resource, memory, attempt)
            return self._reports.refused(resource, memory, error, due=min(self.next_sweep(resource), wait, rest))
        except ConnectionNotFound as error:
            self._shut(resource, memory, attempt)
            return self._reports.connection_missing(resource, memory, error)
        except ConnectionNotAllowed as error:
            rest = self._shut(resource, memory, attempt)
            return self._reports.refused(resource, memory, error, due=min(self.next_sweep(resource), rest))
        except ClusterUnavailable as error:
            log.warning("not looked at: %s", error, extra={"object": attempt.key._asdict()})
            return Outcome(status=None, backoff=True, urgent=attempt.urgent)

    async def _through_gate(
        self, handle: Handle[C], resource: R, memory: Memory, attempt: Attempt, work: Work[C, R]
    ) -> Outcome:
        """Work on an open connection, and close or open its gate by what it answers."""
        try:
            try:
                outcome = await work(handle.client, resource, memory, replace(attempt, origin=handle.origin))
            except AuthenticationFailed:
                renewed = await self.connect(resource, fresh=True)
                if renewed.client is handle.client:
                    raise
                outcome = await work(renewed.client, resource, memory, replace(attempt, origin=renewed.origin))
        except AuthenticationFailed as error:
            pause = handle.gate.close(attempt.key, error, self._clock.monotonic())
            rest = self._shut(resource, memory, attempt)
            return self._reports.refused(resource, memory, error, due=min(pause, rest))
        except TransientError as error:
            handle.gate.undecided(attempt.key, self._clock.monotonic())
            return self._reports.failing(resource, memory, attempt, error)
        except RemoteError as error:
            rest = self._shut(resource, memory, attempt) if claims.is_shut(error) else math.inf
            outcome = self._reports.refused(resource, memory, error, due=min(self.next_sweep(resource), rest))
        outcome = self._with_notices(outcome, memory)
        if not outcome.asked:
            # Let through as a probe, perhaps, and did not use it.
            handle.gate.probe_now()
            return outcome
        return replace(outcome, wake=frozenset(handle.gate.open()) - {attempt.key})

    def _shut(self, resource: R, memory: Memory, attempt: Attempt) -> float:
        """Note that the target is not open to the resource; return the seconds until its claim is worth nothing any more."""
        now = self._clock.monotonic()
        if memory.refused_at is None:
            memory.refused_at = now
        rest = memory.refused_at + claims.GRACE - now
        # One that has never been in place has nothing to lose, and may have no right to write at all.
        if memory.proven and rest > 0 and self.applied(memory.status) is not None:
            return rest
        self._give_up(memory)
        attempt.claim(self.stakes(resource), Standing.VOID)
        return math.inf

    def _give_up(self, memory: Memory) -> None:
        """Note that the target is not the resource's any more; a new process knows by what was seen, which is not kept."""
        memory.proven = False
        memory.status = memory.status.model_copy(update={"observed": None})

    def _with_notices(self, outcome: Outcome, memory: Memory) -> Outcome:
        notices, memory.notices = tuple(memory.notices), []
        return replace(outcome, events=(*notices, *outcome.events)) if notices else outcome

    async def _converge(self, client: C, resource: R, memory: Memory, attempt: Attempt) -> Outcome:
        if not attempt.restoring:
            resource = anchor.at_endpoint(resource, memory, attempt.origin)
        target = await self._identified(client, resource, memory, attempt)
        if not self.READS_FIRST:
            renamed = await self._renamed(client, resource, memory, target)
            if renamed is not None:
                return self._settled(resource, memory, renamed, drift=[])
            resource = self._anchored(resource, memory, attempt, target)
        desired = self._contest(resource, memory, attempt, target, self.standing(resource, held=memory.proven))
        if isinstance(desired, Verdict):
            return replace(self._lost(resource, memory, target, desired), asked=False)
        if not self.writes(resource):
            memory.pending = None
        if memory.refused is not None and memory.refused.generation != resource.metadata.generation:
            memory.refused = None
        changed = self._changed(resource, memory, desired)
        if changed:
            memory.pending = None
            if not self._reads_first(resource, memory, desired):
                outcome = await self._push(client, resource, memory, attempt, target, desired, desired, [])
                if outcome is not None:
                    return outcome
        return await self._compared(client, resource, memory, attempt, target, desired, changed=changed)

    async def _compared(
        self, client: C, resource: R, memory: Memory, attempt: Attempt, target: T, desired: S, *, changed: bool
    ) -> Outcome:
        """Read, and do what follows from what differs."""
        lacking = self._lacking(resource, memory, desired)
        # What is saved to be put back one day is never taken from what was read for somebody else.
        not_before = self._clock.monotonic() if lacking else self._not_before(resource, memory)
        named = target
        target, seen = await self.read(client, named, desired, not_before=not_before, urgent=attempt.urgent)
        before, standing = memory.proven, self._opened(memory)
        if target != named or before != memory.proven or standing is Standing.VOID:
            claimed = self._contest(resource, memory, attempt, target, standing)
            if isinstance(claimed, Verdict):
                return self._lost(resource, memory, target, claimed)
            if claimed != desired:
                # What was read is not what is to be compared now.
                return self._soon(0.0)
        drift = self.differences(desired, seen.settings)
        if self.READS_FIRST:
            resource = self._anchored(resource, memory, attempt, target, as_wanted=not drift)
            # Whichever thing it is now, this is what was read.
            self._opened(memory)
            changed = changed or self._changed(resource, memory, desired)
            if not lacking and self._lacking(resource, memory, desired):
                return self._soon(0.0)
        self._note_observation(resource, memory, attempt, target, seen)
        if lacking:
            baseline = self.baseline(memory.status, seen.settings, desired)
            memory.status = memory.status.model_copy(update={"baseline": baseline})
        if dict(memory.status).get("baseline") is not None:
            await attempt.hold(memory.status)
        memory.drifted = bool(drift)
        if not drift:
            return self._in_sync(resource, memory, target, desired, seen)
        outcome = self._left_alone(resource, memory, target, seen, drift, changed=changed)
        if outcome is None:
            differing, corrected = self.differing(desired, drift), [] if changed else drift
            outcome = await self._push(client, resource, memory, attempt, target, desired, differing, corrected)
        return outcome or self._soon(1.0)

    def _opened(self, memory: Memory) -> Standing:
        """Note that the target was read; return what the resource's claim is worth then."""
        if claims.may_read_only(memory.status):
            return Standing.HELD if memory.proven else Standing.VOID
        memory.proven, memory.refused_at = True, None
        return Standing.HELD

    def _lacking(self, resource: R, memory: Memory, desired: S) -> bool:
        """Tell whether what is there has to be saved before anything is written; drop what is not to be put back."""
        if resource.spec.deletion_policy is not DeletionPolicy.RESTORE:
            memory.status = memory.status.model_copy(update={"baseline": None})
            return False
        known = memory.status.origin
        if known is not None and known.lost:
            # What was found before the first write is not what is there now.
            return False
        return self.writes(resource) and self.lacks_baseline(memory.status, desired)

    def _changed(self, resource: R, memory: Memory, desired: S) -> bool:
        applied = self.applied(memory.status)
        return self.writes(resource) and (applied is None or not self.covers(applied, desired))

    def _left_alone(
        self,
        resource: R,
        memory: Memory,
        target: T,
        seen: Observation[S],
        drift: list[Drift],
        *,
        changed: bool,
    ) -> Outcome | None:
        """Return the outcome where differences are not to be written, now or at all; None where they are."""
        fields = self._fields(resource, memory, target, seen)
        if not self.writes(resource):
            return self._settled(resource, memory, conditions.drift_detected(drift), drift=drift, **fields)
        if memory.pending is None and seen.promotion is not None:
            due = min(LONGEST_POLL, self.next_sweep(resource))
            verdict = conditions.promoting(seen.promotion, drift)
            return self._reports.outcome(resource, memory, verdict, due=due, drift=drift, **fields)
        if memory.refused is not None and memory.pending is None and not self._forced(resource, memory):
            memory.refused = memory.refused.seen_with(drift)
            if memory.refused.holds(drift, self._clock.monotonic()):
                return self._settled(resource, memory, memory.refused.verdict, drift=drift, **fields)
        if memory.pending is not None and memory.pending.unexpected is not None and self._forced(resource, memory):
            # Somebody has corrected what answers there; asked for once, it is sent once.
            handled = {"last_handled_reconcile_at": resource.requested_at}
            memory.status = memory.status.model_copy(update=handled)
            return None
        if memory.pending is not None and not self._write_again(resource, memory.pending, seen):
            return self._waiting(resource, memory, memory.pending, seen, drift, fields)
        if memory.pending is None and not changed and seen.schedule_id is not None:
            verdict = conditions.schedule_active(seen.schedule_id, drift)
            return self._settled(resource, memory, verdict, drift=drift, **fields)
        return None

    async def _identified(self, client: C, resource: R, memory: Memory, attempt: Attempt) -> T:
        """Return the target, with all its names where another resource may use one of them."""
        target = await self.resolve(client, resource)
        near = self.near(resource, target)
        if near is None or not attempt.crowded(near):
            return target
        return await self.identify(client, target, not_before=self._not_before(resource, memory))

    def near(self, resource: R, target: T | None) -> Thing | None:
        """Return the place where the target may have a second name; `target` is None where nobody was asked."""
        place = self._connections.place(resource)
        near = self.neighbourhood(resource, target)
        return Thing(place, near) if place is not None and near is not None and self.writes(resource) else None

    def _contest(self, resource: R, memory: Memory, attempt: Attempt, target: T, standing: Standing) -> S | Verdict:
        """Claim the target; return the settings of what is not another resource's, a verdict where all of it is."""
        desired = self.present(target, self.desired(resource))
        things = self._things(resource, target) if self.writes(resource) else frozenset()
        rivals, settled, memory.unopened = attempt.claim(things, standing)
        memory.contested = None
        memory.unsettled = not settled
        if not rivals:
            return desired
        others = [thing.id for thing in rivals]
        rest = self.uncontested(desired, frozenset(others))
        what = self.title(target) if rest is None else self.parts(target, others)
        owners = sorted({str(key) for key in rivals.values()})
        verdict = conditions.conflict(what, owners, whole=rest is None)
        if rest is None:
            return verdict
        memory.contested = verdict
        return rest

    def _lost(self, resource: R, memory: Memory, target: T, verdict: Verdict) -> Outcome:
        """Return the outcome for a resource whose target is another one's."""
        memory.pending = None
        self._give_up(memory)
        fields = self.record(resource, memory.status, target=target, applied=None, observed=None)
        outcome = self._settled(resource, memory, verdict, drift=[], **fields)
        return replace(outcome, due=min(outcome.due, PATIENCE)) if memory.unsettled else outcome

    def _anchored(self, resource: R, memory: Memory, attempt: Attempt, target: T, *, as_wanted: bool = False) -> R:
        found, title = attempt.origin.model_copy(update={"id": self.origin_id(target)}), self.title(target)
        if attempt.restoring:
            anchor.check(memory, found, title)
            return resource
        return anchor.anchored(resource, memory, found, title, as_wanted=as_wanted)

    async def _renamed(self, client: C, resource: R, memory: Memory, target: T) -> Verdict | None:
        """Return why nothing may be written to what the spec's name means by now; None where it may."""
        known, id_ = memory.status.origin, self.origin_id(target)
        if known is None or known.id in {None, id_}:
            return None
        called = await self.name_of_known(client, resource)
        if called is None:
            return None
        stalled = memory.status.condition(Type.STALLED)
        asked = stalled is not None and stalled.reason == Reason.TARGET_RENAMED
        edited = stalled is not None and stalled.observed_generation != resource.metadata.generation
        if asked and (edited or self._forced(resource, memory)):
            return None
        memory.pending = None
        return conditions.renamed(self.spec_name(resource), str(known.id), str(id_), called)

    def _reads_first(self, resource: R, memory: Memory, desired: S) -> bool:
        """Tell whether a changed spec is compared with a read before it is written: to save what is there, or to wait."""
        if self.READS_FIRST or memory.unopened or self._lacking(resource, memory, desired):
            return True
        stalled = memory.status.condition(Type.STALLED)
        refused = stalled is not None and stalled.observed_generation == resource.metadata.generation
        return refused or memory.unread or memory.refused is not None or memory.promotion is not None

    def _needs_hold(self, resource: R, memory: Memory, target: T) -> bool:
        """Tell whether a write that is about to go out will have to be undone one day."""
        match resource.spec.deletion_policy:
            case DeletionPolicy.ORPHAN:
                return False
            case DeletionPolicy.RESTORE:
                return True
            case DeletionPolicy.DELETE:
                return self.creates(target) or self.created(resource)

    def _note_observation(self, resource: R, memory: Memory, attempt: Attempt, target: T, seen: Observation[S]) -> None:
        """Remember what was seen beside the settings, and note an Event for what somebody should know."""
        self._notice_attachment(resource, memory, attempt, target, seen)
        memory.unread = False
        ended = memory.promotion is not None and seen.promotion is None
        replaced = memory.current is not None and seen.current not in {None, memory.current}
        memory.promoted = ended or replaced
        memory.promotion, memory.current = seen.promotion, seen.current or memory.current
        if seen.warning is not None and seen.warning != memory.warned:
            memory.notices.append(Event(EventType.WARNING, conditions.SIMILAR_TARGET, clean_message(seen.warning)))
        memory.warned = seen.warning

    def _fields(
        self, resource: R, memory: Memory, target: T, seen: Observation[S], *, applied: S | None = None
    ) -> dict[str, Any]:
        """Return the kind's status fields after a read, with what serves where it changed, once per interval at most."""
        fields = self.record(resource, memory.status, target=target, applied=applied, observed=seen.settings)
        before = dict(memory.status).get("serving")
        now = self._clock.monotonic()
        if seen.serving is None or seen.serving == before:
            return fields
        failed, failed_before = seen.serving.failed, before.failed if before is not None else None
        if failed == failed_before and now - memory.serving_told < resource.spec.every.total_seconds() * NEARLY:
            return fields
        if failed is not None and failed != failed_before and self.writes(resource):
            memory.notices.append(Event(EventType.WARNING, conditions.NOT_SERVING, clean_message(failed)))
        memory.serving_told = now
        # Kept at once: the look may go on to a write, and what it was told of would be lost.
        memory.status = memory.status.model_copy(update={"serving": seen.serving})
        return fields

    def _notice_attachment(
        self, resource: R, memory: Memory, attempt: Attempt, target: T, seen: Observation[S]
    ) -> None:
        """Note an Event where the target is part of something that another resource manages, once for each of them."""
        place, part = self._connections.place(resource), seen.part_of
        owner = attempt.manager(Thing(place, part.id)) if place is not None and part is not None else None
        if part is None or owner in {None, attempt.key}:
            memory.attached = None
        elif memory.attached != (part, owner):
            memory.attached = (part, owner)
            memory.notices.append(conditions.attached(self.title(target), part.title, str(owner)))

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
        if self._needs_hold(resource, memory, target):
            await attempt.hold(memory.status)
        await attempt.confirm()
        if self._connections.origin(resource) != attempt.origin:
            # It leads elsewhere since this look began.
            return self._soon(0.0)
        before = memory.pending
        unclear, unexpected = False, None
        try:
            written = await self.write(client, target, settings, attempt)
        except ObservationOutdated as outdated:
            log.info("reading again before the write: %s", outdated, extra={"object": attempt.key._asdict()})
            return self._soon(0.0)
        except RemoteError as caught:
            if not _is_success(caught):
                raise await self._refused_write(client, resource, memory, attempt, target, desired, caught) from None
            # What it did is found out by reading: sent again, it would be sent for ever.
            written = Written(Answer(str(caught.status), caught.message), target)
            unclear, unexpected = True, conditions.refused(caught)
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
            promoted=memory.promoted,
            unclear=unclear,
            unexpected=unexpected,
            repeats=before.repeats + 1 if before is not None else 0,
        )
        memory.refused = None
        if not unclear and not memory.proven:
            memory.proven, memory.refused_at = True, None
            attempt.claim(self._things(resource, target), Standing.HELD)
        fields = self.record(resource, memory.status, target=target, applied=desired, observed=None)
        known = memory.status.origin
        if known is not None and known.id is None:
            fields["origin"] = known.model_copy(update={"id": self.origin_id(target)})
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

    async def _refused_write(
        self,
        client: C,
        resource: R,
        memory: Memory,
        attempt: Attempt,
        target: T,
        desired: S,
        caught: RemoteError,
    ) -> RemoteError:
        """Return what a failed write means, and remember it where the same write would be refused again."""
        error = self.weigh(resource, memory, attempt, caught)
        if isinstance(error, TransientError):
            return error
        self._note_response(memory, error)
        if isinstance(error, CredentialError):
            return error
        error = await self.explain(client, target, desired, error)
        verdict = conditions.refused(error)
        if isinstance(error, InvalidSettings) and error.status is not None and verdict is not None:
            now = self._clock.monotonic()
            # A gateway's 500 is most likely a refusal, but it may pass.
            wait = REFUSED_AGAIN if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else 0.0
            memory.refused = Refusal(resource.metadata.generation, verdict, now, wait)
        return error

    def _note_response(self, memory: Memory, error: RemoteError) -> None:
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
            fields = self._fields(resource, memory, written.target, written.seen)
            return self._waiting(resource, memory, pending, written.seen, drift, fields)
        if pending.response.status == UNCHANGED:
            return None
        if pending.response.status == QUEUED:
            return self._reports.outcome(resource, memory, conditions.queued(pending.response), due=1.0, urgent=True)
        return self._soon(1.0)

    def _in_sync(self, resource: R, memory: Memory, target: T, desired: S, seen: Observation[S]) -> Outcome:
        done, memory.pending, memory.refused = memory.pending, None, None
        corrected = done.corrected if done is not None else []
        now = self._clock.monotonic()
        memory.corrections = corrections.recent(
            [*memory.corrections, *(Correction(now, one) for one in corrected)], now
        )
        title = self.title(target)
        verdict = memory.contested or conditions.synced(title)
        if not self.writes(resource):
            verdict = conditions.observed(title)
        fields = self._fields(resource, memory, target, seen, applied=desired)
        outcome = self._settled(resource, memory, verdict, drift=[], **fields)
        if not corrected:
            return outcome
        said = conditions.corrected(title, corrected, promoted=done is not None and done.promoted)
        event = Event(EventType.NORMAL, conditions.DRIFT_CORRECTED, clean_message(said))
        return replace(outcome, events=(event, *outcome.events))

    def _write_again(self, resource: R, pending: Pending, seen: Observation[S]) -> bool:
        """Tell whether a write that cannot be read back is repeated: once per interval, and never while it is queued.

        One whose answer could not be understood may not have been done at all; it is repeated sooner, after growing pauses.
        """
        patience = resource.spec.every.total_seconds() * NEARLY
        if pending.unclear:
            patience = min(patience, UNCLEAR_AGAIN * 2.0 ** min(pending.repeats, 16))
        waited = self._clock.monotonic() - pending.answered
        if seen.busy or seen.promotion is not None or waited < patience:
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
        elif pending.unexpected is not None:
            verdict = pending.unexpected
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
        if memory.warned is not None:
            verdict = replace(verdict, message=f"{verdict.message}; {memory.warned}")
        return self._reports.outcome(resource, memory, verdict, due=self.next_sweep(resource), **fields)

    def _soon(self, delay: float) -> Outcome:
        return Outcome(status=None, due=delay, urgent=True)

    def _things(self, resource: R, target: T | None) -> frozenset[Thing]:
        known = resource.status.origin
        # Where a connection is made anew, nobody else is to take over meanwhile.
        place = self._connections.place(resource) or (known.endpoint if known is not None else None)
        if not place:
            return frozenset()
        return frozenset(Thing(place, thing) for thing in self.manages(resource, target))

    def _not_before(self, resource: R, memory: Memory) -> float:
        """Return the time after which a read has to begin to tell the truth about this resource."""
        now = self._clock.monotonic()
        if self._forced(resource, memory):
            return now
        if memory.pending is not None:
            return max(memory.written, memory.pending.answered, now - FRESH)
        return memory.written

    def writes(self, resource: R) -> bool:
        """Tell whether anything may be written for a resource."""
        return resource.spec.mode is Mode.ENFORCE and not self._dry_run

    def _forced(self, resource: R, memory: Memory) -> bool:
        return resource.requested_at not in {None, memory.status.last_handled_reconcile_at}


def _is_success(error: RemoteError) -> bool:
    """Tell whether a request was answered with a 2xx and only the answer could not be understood."""
    answered = isinstance(error, RemoteFailure | UnexpectedAnswer)
    return answered and error.status is not None and HTTPStatus.OK <= error.status < HTTPStatus.MULTIPLE_CHOICES
