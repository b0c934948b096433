"""What is counted of a resource's status, taken out of it when the watch shows it: ten thousand are counted at every scrape."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from setpoint.resources.common import WORD_LIMIT, clean_message
from setpoint.resources.model_config_governance import MOST_WINDOWS
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
    left_out: int = 0
    """How many more limits there are than are in `used`."""


def shown(body: Mapping[str, Any]) -> Shown:
    """Read what is counted from a status, which anybody may have written: what does not fit counts as not there."""
    status = body.get("status")
    status = status if isinstance(status, dict) else {}
    found = {str(one.get("type")): one for one in _objects(status.get("conditions"))}
    ready = found.get("Ready", {})
    used, left_out = _used_limits(status)
    states = _states(status.get("serving"))
    return Shown(
        ready=_word(ready.get("status", "Unknown")),
        reason=_word(ready.get("reason", "Pending")),
        since=_word(ready.get("lastTransitionTime") or body["metadata"].get("creationTimestamp") or ""),
        suspended=found.get("Suspended", {}).get("status") == "True",
        used=used,
        drifted=found.get("Drifted", {}).get("status") == "True",
        contested=found.get("Contested", {}).get("status") == "True",
        state=states[0] if states else "",
        failing=next((state for state in states if state in NOT_SERVING), ""),
        left_out=left_out,
    )


def _states(serving: object) -> list[str]:
    """Return the states of a target and of its chainlets."""
    if not isinstance(serving, dict):
        return []
    return [_word(one.get("status")) for one in (serving, *_objects(serving.get("chainlets")))]


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _used_limits(status: Mapping[str, Any]) -> tuple[tuple[UsedLimit, ...], int]:
    """Return the first limits, one of each name and window, and how many more there are."""
    found: dict[tuple[str, str], UsedLimit] = {}
    more = status.get("omittedWindows")
    left_out = more if isinstance(more, int) and more > 0 else 0
    for one in filter(None, map(_used, _objects(status.get("usage")))):
        name = one.limit, one.reset_duration
        if name in found or len(found) == MOST_WINDOWS:
            left_out += 1
        else:
            found[name] = one
    return tuple(found.values()), left_out


def _word(value: object) -> str:
    """Return a text that is fit for a label: short, and of printable characters."""
    return sys.intern(clean_message(str(value)[:WORD_LIMIT]))


def _used(window: Mapping[str, Any]) -> UsedLimit | None:
    limit, used = window.get("maxLimit"), window.get("currentUsage")
    if not isinstance(limit, int | float) or not isinstance(used, int | float) or limit <= 0:
        return None
    try:
        ratio = used / limit
    except OverflowError:
        return None
    return UsedLimit(_word(window.get("limit")), _word(window.get("resetDuration")), ratio)
