"""Drift that comes back again and again: somebody else keeps writing other values, and each believes to be right.

Two clusters, or an operator and a script, that enforce different values on one thing both see it equal to their spec for most
of the time. So corrections are counted, field by field: several within an hour are told as the condition Contested.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from setpoint.resources.common import Drift, shown

WITHIN = 3600.0
"""Seconds over which corrections of a field are counted."""

SEVERAL = 3
"""Corrections of one field from which on it counts as contested."""

MOST_KEPT = 256
_NAMED = 4


@dataclass(frozen=True, slots=True)
class Correction:
    """One field that was written back, and when (monotonic seconds)."""

    at: float
    drift: Drift


def recent(corrections: Sequence[Correction], now: float) -> tuple[Correction, ...]:
    """Return those corrections that still count, the newest ones where there are too many."""
    return tuple(one for one in corrections if now - one.at < WITHIN)[-MOST_KEPT:]


def contested(corrections: Sequence[Correction], now: float) -> str | None:
    """Return which fields are corrected again and again, how often and between which values; None where none is."""
    counting = recent(corrections, now)
    times = Counter(one.drift.place for one in counting)
    last = {one.drift.place: one.drift for one in counting}
    said = [
        f"{field} was corrected {number} times within an hour, last from {shown(last[field].observed)} back to "
        f"{shown(last[field].desired)}"
        for field, number in times.items()
        if number >= SEVERAL
    ]
    if not said:
        return None
    more = f" and {len(said) - _NAMED} more fields" if len(said) > _NAMED else ""
    return f"{', '.join(said[:_NAMED])}{more}: somebody else sets it, too"
