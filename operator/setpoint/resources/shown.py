"""What is counted of a resource's status, taken out of it when the watch shows it: ten thousand are counted at every scrape."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple


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


def shown(body: Mapping[str, Any]) -> Shown:
    """Read what is counted from a status, which anybody may have written: what does not fit counts as not there."""
    status = body.get("status")
    status = status if isinstance(status, dict) else {}
    found = {one.get("type"): one for one in status.get("conditions") or () if isinstance(one, dict)}
    ready = found.get("Ready", {})
    return Shown(
        ready=sys.intern(str(ready.get("status", "Unknown"))),
        reason=sys.intern(str(ready.get("reason", "Pending"))),
        since=str(ready.get("lastTransitionTime") or body["metadata"].get("creationTimestamp") or ""),
        suspended=found.get("Suspended", {}).get("status") == "True",
        used=tuple(_used(one) for one in status.get("usage") or () if isinstance(one, dict) and one.get("maxLimit")),
    )


def _used(window: Mapping[str, Any]) -> UsedLimit:
    ratio = float(window.get("currentUsage") or 0.0) / float(window["maxLimit"])
    return UsedLimit(sys.intern(str(window.get("limit"))), sys.intern(str(window.get("resetDuration"))), ratio)
