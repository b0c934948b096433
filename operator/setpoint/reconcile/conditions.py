"""What a situation means for the conditions: the table of reasons, in one place.

Every function returns a `Verdict`; `apply` turns it into the list of conditions. `Ready` is always there; `Reconciling`,
`Stalled`, `Drifted` and `Suspended` are there only while they are True, as kstatus wants it: a tool that waits for the
resource takes Reconciling for "in progress" and Stalled for "failed", and neither can be left over from before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from setpoint.reconcile.ports import ConnectionNotAllowed, ConnectionProblem, Event, EventType
from setpoint.remotes.errors import (
    AuthenticationFailed,
    Forbidden,
    HostNotAllowed,
    InvalidSettings,
    RateLimited,
    RemoteUnreachable,
    TargetNotFound,
    UnexpectedAnswer,
)
from setpoint.resources.common import Condition, Drift, Response, StatusBase, clean_message, shown, utc

DRIFT_CORRECTED = "DriftCorrected"
"""Reason of the Event that tells that drift was written over."""

NOT_SERVING = "NotServing"
"""Reason of the Event that tells that nothing serves behind settings that are kept."""

SIMILAR_TARGET = "SimilarTarget"
"""Reason of the Event that tells of something beside the target that is easily taken for it."""

SHOWN = 8
"""Fields named in one message at most."""

Status = Literal["True", "False", "Unknown"]


class Type(StrEnum):
    """Types of conditions, in the order they are listed."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DRIFTED = "Drifted"
    CONTESTED = "Contested"
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Reasons, one word for programs each."""

    SYNCED = "Synced"
    APPLYING = "Applying"
    QUEUED = "Queued"
    PROMOTING = "Promoting"
    NOT_CONVERGED = "NotConverged"
    OBSERVED = "Observed"
    DRIFT_DETECTED = "DriftDetected"
    SCHEDULE_ACTIVE = "PlatformScheduleActive"
    SUSPENDED = "Suspended"
    INVALID_SETTINGS = "InvalidSettings"
    TARGET_NOT_FOUND = "TargetNotFound"
    CONNECTION_NOT_FOUND = "ConnectionNotFound"
    CONNECTION_NOT_ALLOWED = "ConnectionNotAllowed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    FORBIDDEN = "Forbidden"
    CONFLICT = "Conflict"
    TARGET_RENAMED = "TargetRenamed"
    REPEATEDLY_CORRECTED = "RepeatedlyCorrected"
    CONNECTED = "Connected"
    UNEXPECTED_ANSWER = "UnexpectedAnswer"
    RATE_LIMITED = "RateLimited"
    REMOTE_ERROR = "RemoteError"
    REMOTE_UNREACHABLE = "RemoteUnreachable"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the conditions say: the Ready condition, and which of the others are True."""

    ready: Status
    reason: Reason
    message: str
    also: Type | None = None

    @property
    def event_type(self) -> EventType:
        """Warning where somebody may have to act, else Normal."""
        alarming = self.also is Type.STALLED or self.ready == "Unknown" or self.reason is Reason.DRIFT_DETECTED
        return EventType.WARNING if alarming else EventType.NORMAL


def synced(target: str) -> Verdict:
    """Return: the remote was read and equals the spec."""
    return Verdict("True", Reason.SYNCED, f"{target} has the settings of the spec")


def applying(response: Response | None, drift: Sequence[Drift]) -> Verdict:
    """Return: written, but the remote does not show it yet."""
    return Verdict("False", Reason.APPLYING, f"{_answered(response)}; waiting until {_listed(drift)}", Type.RECONCILING)


def queued(response: Response | None) -> Verdict:
    """Return: the API stored the settings and applies them later."""
    return Verdict("False", Reason.QUEUED, f"{_answered(response)}; waiting for it to be applied", Type.RECONCILING)


def promoting(promotion: str, drift: Sequence[Drift]) -> Verdict:
    """Return: a promotion runs, and the settings are not in place yet."""
    return Verdict(
        "False", Reason.PROMOTING, f"a promotion is {promotion}; waiting until {_listed(drift)}", Type.RECONCILING
    )


def not_converged(response: Response | None, drift: Sequence[Drift]) -> Verdict:
    """Return: written ten minutes ago or longer, and the remote still shows something else."""
    return Verdict(
        "False",
        Reason.NOT_CONVERGED,
        f"{_answered(response)}, but after 10 minutes {_differences(drift)}; tried again at every interval",
        Type.STALLED,
    )


def observed(target: str) -> Verdict:
    """Return: nothing is written in this mode, and nothing would have to be."""
    return Verdict("True", Reason.OBSERVED, f"{target} has the settings of the spec; mode Observe writes nothing")


def drift_detected(drift: Sequence[Drift]) -> Verdict:
    """Return: there are differences that mode Observe leaves alone, so that nothing is left to do."""
    return Verdict("True", Reason.DRIFT_DETECTED, f"{_differences(drift)}; mode Observe writes nothing", Type.DRIFTED)


def schedule_active(schedule_id: str, drift: Sequence[Drift]) -> Verdict:
    """Return: a schedule of the platform holds other values on purpose, so that nothing is left to do."""
    return Verdict(
        "True",
        Reason.SCHEDULE_ACTIVE,
        f"schedule {schedule_id} of the platform is active: {_differences(drift)}; not corrected until it ends",
        Type.DRIFTED,
    )


def refused(error: Exception) -> Verdict | None:
    """Return what an error means that does not pass by itself; None for one that does."""
    match error:
        case TargetNotFound():
            reason = Reason.TARGET_NOT_FOUND
        case InvalidSettings():
            reason = Reason.INVALID_SETTINGS
        case AuthenticationFailed():
            reason = Reason.AUTHENTICATION_FAILED
        case Forbidden():
            reason = Reason.FORBIDDEN
        case ConnectionNotAllowed() | HostNotAllowed():
            reason = Reason.CONNECTION_NOT_ALLOWED
        case UnexpectedAnswer():
            reason = Reason.UNEXPECTED_ANSWER
        case _:
            return None
    return Verdict("False", reason, str(error), Type.STALLED)


def conflict(target: str, owners: Sequence[str], *, whole: bool) -> Verdict:
    """Return: another resource manages the same thing, or a part of it, and two would correct each other for ever."""
    rest = "nothing is written for this one" if whole else "the rest has the settings of the spec"
    message = f"{target} is managed by {' and '.join(owners)}, which comes first; {rest}"
    return Verdict("False", Reason.CONFLICT, message, Type.STALLED)


def renamed(name: str, before: str, after: str, called: str) -> Verdict:
    """Return: the name of the spec belongs to something else now, while what it meant before has another name."""
    message = (
        f"{name} meant {before} and means {after} now, while {before} is named {called}: nothing is written to {after} until "
        "an edit of the spec or a new reconcile.setpoint.dev/requestedAt confirms that it is meant"
    )
    return Verdict("False", Reason.TARGET_RENAMED, message, Type.STALLED)


def attached(target: str, part: str, owner: str) -> Event:
    """Return what is told where the target belongs to something that another resource manages."""
    return Event(
        EventType.WARNING,
        "AttachedToEnvironment",
        f"{target} is attached to {part}, which {owner} manages: at the next promotion its settings apply here",
    )


def connection_missing(error: ConnectionProblem, *, stalled: bool) -> Verdict:
    """Return: connection, Secret or key is missing; not alarming at first, since GitOps applies things in any order."""
    also = Type.STALLED if stalled else Type.RECONCILING
    return Verdict("False", Reason.CONNECTION_NOT_FOUND, str(error), also)


def connected(url: str) -> Verdict:
    """Return: the remote behind a connection answers, and lets it in."""
    return Verdict("True", Reason.CONNECTED, f"{url} answers")


def not_the_remote(error: Exception) -> Verdict:
    """Return: something answers behind a connection, but not as the remote it is said to be."""
    return Verdict("False", Reason.UNEXPECTED_ANSWER, f"{error}; correct the URL of the connection", Type.STALLED)


def failing(error: Exception) -> Verdict:
    """Return: what the remote has is unknown, because it cannot be asked right now."""
    match error:
        case RateLimited():
            reason = Reason.RATE_LIMITED
        case RemoteUnreachable():
            reason = Reason.REMOTE_UNREACHABLE
        case _:
            reason = Reason.REMOTE_ERROR
    return Verdict("Unknown", reason, f"{error}; tried again by itself", Type.RECONCILING)


def broken() -> Verdict:
    """Return: the operator itself failed; the log has the details."""
    return Verdict(
        "Unknown",
        Reason.INTERNAL_ERROR,
        "the operator failed on this resource; its log says more; tried again by itself",
        Type.RECONCILING,
    )


def unreadable(problem: str) -> Verdict:
    """Return: the object does not fit this version of the operator, for example under an older CRD."""
    return Verdict("False", Reason.INVALID_SETTINGS, f"the resource cannot be read: {problem}", Type.STALLED)


def apply(
    previous: Sequence[Condition],
    verdict: Verdict,
    generation: int,
    now: datetime,
    *,
    contested: str | None = None,
    suspended: bool = False,
) -> list[Condition]:
    """Return the conditions that say the verdict; the time of a condition moves only when its status changes.

    `contested` says which fields are corrected again and again.
    """
    wanted: list[tuple[Type, Status, str, str]] = [
        (Type.READY, verdict.ready, verdict.reason, verdict.message),
    ]
    if verdict.also is not None:
        wanted.append((verdict.also, "True", verdict.reason, verdict.message))
    if contested is not None:
        wanted.append((Type.CONTESTED, "True", Reason.REPEATEDLY_CORRECTED, contested))
    if suspended:
        wanted.append((Type.SUSPENDED, "True", Reason.SUSPENDED, "spec.suspend is true: nothing is read or written"))
    before = {condition.type: condition for condition in previous}
    return [
        Condition(
            type=kind,
            status=status,
            reason=reason,
            message=clean_message(message),
            observed_generation=generation,
            last_transition_time=(
                known.last_transition_time
                if (known := before.get(kind)) is not None and known.status == status
                else utc(now)
            ),
        )
        for kind, status, reason, message in wanted
    ]


def signature(status: StatusBase) -> tuple[str, ...]:
    """Return what makes a transition worth an Event: the conditions and their reasons, not their words."""
    return tuple(f"{condition.type}={condition.status}:{condition.reason}" for condition in status.conditions)


def suspend(previous: Sequence[Condition], generation: int, now: datetime, *, still_true: bool) -> list[Condition]:
    """Return the conditions of a suspended resource: Ready stays what it was if it still speaks of this spec."""
    ready = next((condition for condition in previous if condition.type == Type.READY), None)
    if ready is not None and ready.reason in set(Reason) and (still_true or ready.status != "True"):
        verdict = Verdict(_status(ready.status), Reason(ready.reason), ready.message)
    else:
        verdict = Verdict("Unknown", Reason.SUSPENDED, "suspended before the remote was compared with this spec")
    return apply(previous, verdict, generation, now, suspended=True)


def corrected(target: str, drift: Sequence[Drift], *, promoted: bool) -> str:
    """Return what an Event says of differences that were corrected; `promoted`: after a promotion, which may be why."""
    said = [f"{entry.place} from {shown(entry.observed)} back to {shown(entry.desired)}" for entry in drift[:SHOWN]]
    hint = "; a promotion ended since the last read, which may have brought other settings" if promoted else ""
    return f"{target}: {', '.join(said)}{' and more' if len(drift) > SHOWN else ''}{hint}"


def _status(text: str) -> Status:
    match text:
        case "True" | "False":
            return text
        case _:
            return "Unknown"


def _answered(response: Response | None) -> str:
    if response is None:
        return "written"
    return f"the API answered {response.status}{f' ({response.message})' if response.message else ''}"


def _differences(drift: Sequence[Drift]) -> str:
    said = ", ".join(str(entry) for entry in drift[:SHOWN])
    return f"{said} and {len(drift) - SHOWN} more" if len(drift) > SHOWN else said


def _listed(drift: Sequence[Drift]) -> str:
    fields = [entry.place for entry in drift]
    said = ", ".join(fields[:SHOWN])
    return f"{said or 'the settings'} {'and more ' if len(fields) > SHOWN else ''}can be read back"
