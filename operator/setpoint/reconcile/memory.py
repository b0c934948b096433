"""What the process remembers of a resource between two reconciles, and how it is told from the status after a restart.

Everything here can be lost at any moment. What must not be lost is in the status; the rest costs one more read.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import datetime

from setpoint.reconcile import claims, corrections, origin
from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.corrections import Correction
from setpoint.reconcile.ports import Event
from setpoint.resources.common import DeletionPolicy, Drift, Managed, Origin, Response, StatusBase

MOST_TOLD = 8
"""Statuses remembered of those whose arrival is uncertain; only an outage of the API server makes them many."""

REFUSED_AGAIN = 3600.0
"""Seconds after which settings that the API refused are sent again though neither spec nor remote changed."""

_WAITING = {Reason.APPLYING, Reason.QUEUED, Reason.PROMOTING, Reason.NOT_CONVERGED}


@dataclass(slots=True)
class Pending:
    """A write that was answered and not read back yet; times are monotonic seconds."""

    response: Response
    answered: float
    """When the answer came; only a read that started later can verify it."""
    since: float
    """When the first write of this unbroken wait was answered."""
    polls: int = 0
    corrected: list[Drift] = field(default_factory=list)
    """Differences the write was meant to correct; empty for a change of the spec."""
    promoted: bool = False
    """A promotion had ended before what was corrected was found."""
    unclear: bool = False
    """The answer could not be understood, so that only a read tells whether anything was written."""
    unexpected: Verdict | None = None
    """What to say while it cannot be read back, because what answered the write was not the API."""
    repeats: int = 0
    """How often it was sent again in this unbroken wait."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write that was refused for good: what follows reads first, and does not repeat it for nothing."""

    generation: int
    """Of the spec that was refused."""
    verdict: Verdict
    at: float
    """When it was refused; monotonic seconds."""
    wait: float
    """Seconds after which it is sent again anyway."""
    drift: tuple[Drift, ...] | None = None
    """What differed when it was read next; None until then."""

    def seen_with(self, drift: list[Drift]) -> "Refusal":
        """Return this refusal with what differs, if that was not known."""
        return self if self.drift is not None else replace(self, drift=_sorted(drift))

    def holds(self, drift: list[Drift], now: float) -> bool:
        """Tell whether the same settings would be refused again for all that is known."""
        return self.drift in {None, _sorted(drift)} and now - self.at < self.wait


@dataclass(slots=True)
class Memory:
    """What is remembered of one resource, by uid, so that a successor of the same name starts afresh."""

    uid: str
    status: StatusBase
    """Newest status this process worked out. It may be ahead of the API server's, never behind."""
    told: list[StatusBase] = field(default_factory=list)
    """What the API server may show that is not news: the status it showed last, and those sent since, oldest first."""
    pending: Pending | None = None
    written: float = float("-inf")
    """When this process had its last write answered; what was read before says nothing of it."""
    verified_at: float | None = None
    """When the remote was last seen equal to this generation; what a predecessor saw counts from when it was read."""
    ending: float | None = None
    """When this process began to put back what was there before, because the resource is being deleted."""
    contested: Verdict | None = None
    """What to say of those parts of the target that another resource manages; None where there are none."""
    refused: Refusal | None = None
    """The refusal of the spec's settings, if that is what became of the last write."""
    promotion: str | None = None
    """The promotion of the target that was under way when it was read last."""
    promoted: bool = False
    """A promotion of the target ended between its last two reads."""
    current: str | None = None
    """Id of the deployment that served the target when it was read last."""
    corrections: tuple[Correction, ...] = ()
    """What drifted and was written back within the last hour."""
    contested_before: tuple[float, str] | None = None
    """Until when what a predecessor said of contested fields counts, and what that was; monotonic seconds."""
    serving_told: float = float("-inf")
    """When the status was last told what serves."""
    warned: str | None = None
    """What was last warned of."""
    attached: Hashable = None
    """What the target belongs to and which resource manages that, as it was told last."""
    notices: list[Event] = field(default_factory=list)
    """What is to be told with the outcome of this look."""
    proven: bool = False
    """The target was read or written through the resource's own connection, and no other resource owns it."""
    refused_at: float | None = None
    """Since when that connection does not open the target any more; monotonic seconds."""
    unopened: bool = False
    """Another resource holds the target, which this one would own if it could open it."""
    unsettled: bool = False
    """Who owns the target is about to be found out."""
    unread: bool = False
    """The target is another thing than before and was not read yet."""
    drifted: bool = False
    """A difference was seen and is not known to be gone: Ready may no longer be left True on a failure."""

    @classmethod
    def of(cls, resource: Managed, now: datetime, monotonic: float) -> "Memory":
        """Return what the status of a resource tells that this process has not worked on yet."""
        status = resource.status
        memory = cls(uid=resource.metadata.uid, status=status, told=[status], verified_at=monotonic)
        memory._take_up(status, now, monotonic)
        if origin.lost(resource) and status.origin is None:
            memory.status = status.model_copy(update={"origin": Origin(endpoint="", lost=True)})
            if resource.spec.deletion_policy is not DeletionPolicy.ORPHAN:
                memory.notices.append(origin.baseline_lost())
        return memory

    def tell(self, status: StatusBase) -> None:
        """Remember a status that is sent now; whether it arrives is known when it is shown."""
        self.told.append(status)
        if len(self.told) > MOST_TOLD:
            del self.told[1]

    def knows(self, shown: StatusBase) -> bool:
        """Tell whether a status at the API server is this process's own, or what it began with; forget older ones."""
        if shown is self.told[0]:
            return True
        wanted = shown.dump()
        for index, told in enumerate(self.told):
            if told.dump() == wanted:
                self.told[: index + 1] = [shown]
                return True
        return False

    def adopt(self, shown: StatusBase, now: datetime, monotonic: float) -> None:
        """Go on from a status that another process wrote, be it a predecessor's last one or somebody's correction.

        One that was wiped tells nothing: what is remembered of it is written again.
        """
        self.told = [shown]
        if shown.observed_generation < 0 and shown.origin is None and self.status.observed_generation >= 0:
            return
        self.status = shown
        self._take_up(shown, now, monotonic)

    def contention(self, now: float) -> str | None:
        """Return which fields are corrected again and again; what a predecessor counted holds for an hour."""
        before = self.contested_before
        told = before[1] if before is not None and now < before[0] else None
        return corrections.contested(self.corrections, now) or told

    def _take_up(self, status: StatusBase, now: datetime, monotonic: float) -> None:
        """Go on where the process stopped that wrote this status."""
        self.proven = claims.proven(status, now)
        self.refused_at = claims.refused_at(status, now, monotonic)
        self.pending = _pending(status, now, monotonic)
        self.refused = _refused(status, now, monotonic)
        ready, contested = status.condition(Type.READY), status.condition(Type.CONTESTED)
        if ready is not None and ready.reason == Reason.PROMOTING:
            self.promotion = "under way"
        if contested is not None:
            self.contested_before = (monotonic + corrections.WITHIN, contested.message)

    def verified(self, resource: Managed) -> bool:
        """Tell whether the remote was last seen equal to this very generation of the spec."""
        return (
            self.status.is_true(Type.READY)
            and self.status.observed_generation == resource.metadata.generation
            and self.pending is None
            and not self.drifted
        )


def _pending(status: StatusBase, now: datetime, monotonic: float) -> Pending | None:
    ready = status.condition(Type.READY)
    if status.response is None or ready is None or ready.reason not in _WAITING:
        return None

    return Pending(
        response=status.response,
        answered=_ago(status.response.time, now, monotonic),
        since=_ago(min(ready.last_transition_time, status.response.time), now, monotonic),
    )


def _refused(status: StatusBase, now: datetime, monotonic: float) -> Refusal | None:
    ready = status.condition(Type.READY)
    if status.response is None or ready is None or ready.reason != Reason.INVALID_SETTINGS:
        return None
    verdict = Verdict("False", Reason.INVALID_SETTINGS, ready.message, Type.STALLED)
    wait = REFUSED_AGAIN if status.response.status.startswith("4") else 0.0
    return Refusal(ready.observed_generation, verdict, _ago(status.response.time, now, monotonic), wait)


def _ago(moment: datetime, now: datetime, monotonic: float) -> float:
    return monotonic - max((now - moment).total_seconds(), 0.0)


def _sorted(drift: list[Drift]) -> tuple[Drift, ...]:
    return tuple(sorted(drift, key=str))
