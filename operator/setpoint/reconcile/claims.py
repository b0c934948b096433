"""When the claim of a resource counts, as far as its status tells; `ownership` says what follows.

A claim takes a target from others, so it needs a key: the target was read or written through the resource's own connection.
It ends when that connection does not open the target any more, for longer than an outage or a mistaken rotation lasts.
"""

from datetime import datetime

from setpoint.reconcile.conditions import Reason, Type
from setpoint.reconcile.ownership import Standing
from setpoint.reconcile.ports import ConnectionProblem
from setpoint.remotes.errors import CredentialError, TargetNotFound
from setpoint.resources.common import Managed, Origin, StatusBase

GRACE = 600.0
"""Seconds for which a resource keeps its claim though its connection is gone or refused."""

FORBIDDEN = "403"

SHUT = frozenset(
    {
        Reason.CONNECTION_NOT_FOUND,
        Reason.CONNECTION_NOT_ALLOWED,
        Reason.AUTHENTICATION_FAILED,
        Reason.FORBIDDEN,
        Reason.TARGET_NOT_FOUND,
    }
)
"""Reasons of Ready while the target is not open to the resource."""


def proven(status: StatusBase, now: datetime) -> bool:
    """Tell whether the target was open to the resource when its status was written, and it had not lost it to another one."""
    ready = status.condition(Type.READY)
    if ready is None or not dict(status).get("observed"):
        return False
    return ready.reason not in SHUT or (now - ready.last_transition_time).total_seconds() < GRACE


def refused_at(status: StatusBase, now: datetime, monotonic: float) -> float | None:
    """Return since when the target is not open, in monotonic seconds; None where it is."""
    ready = status.condition(Type.READY)
    if ready is None or ready.reason not in SHUT:
        return None
    return monotonic - max((now - ready.last_transition_time).total_seconds(), 0.0)


def standing(resource: Managed, here: Origin | None, *, held: bool) -> Standing:
    """Return what the claim of a resource is worth where its connection leads now; `held`: it was proven where it led."""
    known = resource.status.origin
    if not held or known is None or (here is not None and not known.leads_to(here)):
        return Standing.ASKED
    return Standing.HELD


def may_read_only(status: StatusBase) -> bool:
    """Tell whether the last write was forbidden: that the target can be read proves nothing then."""
    return status.response is not None and status.response.status == FORBIDDEN


def is_shut(error: Exception) -> bool:
    """Tell whether an error means that the target is not open to the resource."""
    return isinstance(error, CredentialError | TargetNotFound | ConnectionProblem)
