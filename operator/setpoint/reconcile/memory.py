"""What the process remembers of a resource between two reconciles, and how it is told from the status after a restart.

Everything here can be lost at any moment. What must not be lost is in the status; the rest costs one more read.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime

from setpoint.reconcile.conditions import Reason, Type, Verdict
from setpoint.reconcile.ports import Event
from setpoint.resources.common import Drift, Managed, Response, StatusBase

MOST_TOLD = 8
"""Statuses remembered of those whose arrival is uncertain; only an outage of the API server makes them many."""

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
    attached: Hashable = None
    """What the target belongs to and which resource manages that, as it was told last."""
    notices: list[Event] = field(default_factory=list)
    """What is to be told with the outcome of this look."""
    drifted: bool = False
    """A difference was seen and is not known to be gone: Ready may no longer be left True on a failure."""

    @classmethod
    def of(cls, resource: Managed, now: datetime, monotonic: float) -> "Memory":
        """Return what the status of a resource tells that this process has not worked on yet."""
        status = resource.status
        return cls(
            uid=resource.metadata.uid,
            status=status,
            told=[status],
            pending=_pending(status, now, monotonic),
            verified_at=monotonic,
        )

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
        """Go on from a status that another process wrote, be it a predecessor's last one or somebody's correction."""
        self.status = shown
        self.told = [shown]
        self.pending = _pending(shown, now, monotonic)

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

    def ago(moment: datetime) -> float:
        return monotonic - max((now - moment).total_seconds(), 0.0)

    return Pending(
        response=status.response,
        answered=ago(status.response.time),
        since=ago(min(ready.last_transition_time, status.response.time)),
    )
