"""What was used of the limits of a model config, and when it is worth a write to say so.

Usage moves all the time, and a status that followed it would be written all the time. So it is written when it moved by a
percent of a limit, at most once per interval; and whenever the limits themselves are others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from setpoint.remotes.bifrost_shapes import Window
from setpoint.resources.common import utc
from setpoint.resources.model_config_governance import (
    MOST_WINDOWS,
    GovernanceSettings,
    GovernanceSummary,
    ModelConfigGovernanceStatus,
    Usage,
)

WORTH_TELLING = 0.01
"""Part of a limit by which its usage has to move."""

_SLACK = 0.9
"""Part of the interval after which the next sweep may be: they are jittered."""

_EXACT = 2**53
_UNITS = {"tokens": "tok", "requests": "req"}


def recorded(
    before: ModelConfigGovernanceStatus,
    windows: Sequence[Window],
    desired: GovernanceSettings,
    now: datetime,
    every: timedelta,
) -> dict[str, Any]:
    """Return the status fields that tell usage, or none where it is not worth a write.

    Of too many windows those that the spec wants are told, then the first ones.
    """
    listed = _foremost(windows, desired)
    omitted = len(windows) - len(listed) or None
    usage = [
        Usage(
            limit=window.limit,
            reset_duration=window.reset_duration,
            max_limit=window.max_limit,
            override_amount=window.override or None,
            current_usage=window.current_usage,
            last_reset=window.last_reset,
        )
        for window in listed
    ]
    if omitted == before.omitted_windows and not _worth_telling(before, usage, now, every):
        return {}
    return {"usage": usage, "omitted_windows": omitted, "usage_time": utc(now) if usage else None}


def summary(desired: GovernanceSettings, usage: Sequence[Usage]) -> GovernanceSummary:
    """Return the limits of a spec and what was used of them, in a few words."""
    limits = [f"${dollars(budget.max_limit)}/{budget.reset_duration}" for budget in desired.budgets or []]
    rate = desired.rate_limit
    if rate is not None and rate.token_max_limit is not None:
        limits.append(f"{rate.token_max_limit}tok/{rate.token_reset_duration}")
    if rate is not None and rate.request_max_limit is not None:
        limits.append(f"{rate.request_max_limit}req/{rate.request_reset_duration}")
    return GovernanceSummary(limit=",".join(limits) or "none", used=",".join(map(_shown, usage)) or "-")


def dollars(amount: float) -> int | str:
    """Return an amount for people: whole ones without a fraction, others with all the digits they have."""
    return int(amount) if amount.is_integer() and abs(amount) <= _EXACT else str(amount)


def _worth_telling(
    before: ModelConfigGovernanceStatus, usage: Sequence[Usage], now: datetime, every: timedelta
) -> bool:
    if [_limit(one) for one in before.usage] != [_limit(one) for one in usage]:
        return True
    # A clock that was set back must not keep it from being told until it has caught up.
    if before.usage_time is not None and timedelta() <= now - before.usage_time < every * _SLACK:
        return False
    return any(
        abs(one.current_usage - known.current_usage) >= one.max_limit * WORTH_TELLING
        for one, known in zip(usage, before.usage, strict=True)
    )


def _foremost(windows: Sequence[Window], desired: GovernanceSettings) -> Sequence[Window]:
    if len(windows) <= MOST_WINDOWS:
        return windows
    wanted = {budget.reset_duration for budget in desired.budgets or []}
    return sorted(windows, key=lambda one: one.limit == "budget" and one.reset_duration not in wanted)[:MOST_WINDOWS]


def _limit(usage: Usage) -> tuple[str, str, float, float | None]:
    return usage.limit, usage.reset_duration, usage.max_limit, usage.override_amount


def _shown(usage: Usage) -> str:
    if usage.limit == "budget":
        return f"${usage.current_usage:.2f}"
    return f"{usage.current_usage:.0f}{_UNITS[usage.limit]}"
