"""What is counted of a resource's status, taken out of it when the watch shows it: ten thousand are counted at every scrape."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from setpoint.resources.serving import NOT_SERVING


class UsedLimit(NamedTuple):
    """What was used of one limit of a model config, as its status tells."""

    limit: str
    reset_duration: str
    ratio: float


class Shown(NamedTuple):
    """What a resource's status shows to those who count resources."""

    ready: str
    reason: str
    since: str
    """When Ready became what it is, or the resource was created; as Kubernetes writes times."""
    suspended: bool
    used: tuple[UsedLimit, ...]
    drifted: bool = False
    contested: bool = False
    state: str = ""
    """What its remote calls the state of the target; nothing where it does not tell."""
    failing: str = ""
    """The state in which the target, or a chainlet of it, does not serve; nothing while all do or may."""


def shown(body: Mapping[str, Any]) -> Shown:
    """Read what is counted from a status, which anybody may have written: what does not fit counts as not there."""
    status = body.get("status")
    status = status if isinstance(status, dict) else {}
    found = {str(one.get("type")): one for one in _objects(status.get("conditions"))}
    ready = found.get("Ready", {})
    states = _states(status.get("serving"))
    return Shown(
        ready=sys.intern(str(ready.get("status", "Unknown"))),
        reason=sys.intern(str(ready.get("reason", "Pending"))),
        since=str(ready.get("lastTransitionTime") or body["metadata"].get("creationTimestamp") or ""),
        suspended=found.get("Suspended", {}).get("status") == "True",
        used=tuple(used for one in _objects(status.get("usage")) if (used := _used(one)) is not None),
        drifted=found.get("Drifted", {}).get("status") == "True",
        contested=found.get("Contested", {}).get("status") == "True",
        state=states[0] if states else "",
        failing=next((state for state in states if state in NOT_SERVING), ""),
    )


def _states(serving: object) -> list[str]:
    """Return the states of a target and of its chainlets."""
    if not isinstance(serving, dict):
        return []
    return [sys.intern(str(one.get("status"))) for one in (serving, *_objects(serving.get("chainlets")))]


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _used(window: Mapping[str, Any]) -> UsedLimit | None:
    limit, used = window.get("maxLimit"), window.get("currentUsage")
    if not isinstance(limit, int | float) or not isinstance(used, int | float) or limit <= 0:
        return None
    try:
        ratio = used / limit
    except OverflowError:
        return None
    return UsedLimit(sys.intern(str(window.get("limit"))), sys.intern(str(window.get("resetDuration"))), ratio)
