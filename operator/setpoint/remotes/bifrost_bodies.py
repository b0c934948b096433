"""What is sent to a Bifrost gateway, worked out before it is sent: pure functions.

The gateway answers most of what it refuses with a 500, which may be anything. So everything that can be known to be refused,
or to be silently ignored, is found here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.bifrost_windows import ALIGNED_BUDGETS, QUARTERS, SCOPES, Release, seconds, too_long
from setpoint.remotes.errors import InvalidSettings
from setpoint.resources.model_config_governance import (
    DURATION,
    LARGEST_LIMIT,
    Budget,
    GovernanceSettings,
    RateLimit,
    ResetConfig,
)
from setpoint.resources.model_config_governance import QUARTERS as OF_QUARTERS

_NOTHING = GovernanceSettings()


def check(
    identity: Identity, settings: GovernanceSettings, generation: Generation | None, release: Release | None = None
) -> None:
    """Hold what a spec wants against what the gateway would refuse or misunderstand.

    What was found at the gateway once needs no such check to be put back: the gateway had it. `release` is None where the
    gateway does not tell it; then it is left to the gateway what it knows.

    Raises:
        InvalidSettings: it would be refused, or silently mean something else.
    """
    if generation is Generation.ONE_BUDGET:
        _check_first_generation(identity, settings)
    if release is not None:
        _check_release(settings, release)
    budgets = settings.budgets or []
    for budget in budgets:
        if not (math.isfinite(budget.max_limit) and budget.max_limit > 0):
            raise InvalidSettings("a budget's maxLimit must be greater than 0")
        if not OF_QUARTERS.fullmatch(budget.reset_duration):
            _check_duration(budget.reset_duration)
            if budget.reset_config is not None:
                raise InvalidSettings(
                    f"resetConfig is for windows of quarters only, such as 1Q, not {budget.reset_duration}"
                )
        _check_length(budget.reset_duration)
    if len({budget.reset_duration for budget in budgets}) != len(budgets):
        raise InvalidSettings("two budgets have the same resetDuration")
    limits = settings.rate_limit or RateLimit()
    _check_limit(limits.token_max_limit, limits.token_reset_duration)
    _check_limit(limits.request_max_limit, limits.request_reset_duration)


def matched(row: ModelConfig, budgets: list[Budget]) -> dict[str, str]:
    """Return the ids to send with budgets, by duration, so that each keeps what was used of it.

    Budgets of a duration that is there keep their id. The others take over the id of one that would be deleted, the
    nearest in length first: sending the id with another duration renames the budget in place.
    """
    wanted = [budget.reset_duration for budget in budgets]
    ids = {duration: row.budget_ids[duration] for duration in wanted if duration in row.budget_ids}
    new = [duration for duration in wanted if duration not in ids]
    left = [duration for duration in row.budget_ids if duration not in ids]
    pairs = sorted((_apart(one, other), one, other) for one in new for other in left)
    taken: set[str] = set()
    for _, one, other in pairs:
        if one not in ids and other not in taken:
            ids[one] = row.budget_ids[other]
            taken.add(other)
    return ids


def asks_release(settings: GovernanceSettings) -> bool:
    """Tell whether it depends on the gateway's release, more closely than on its generation, what becomes of settings."""
    budgets = settings.budgets or []
    return settings.calendar_aligned is not None or any(
        budget.reset_config is not None or budget.reset_duration.endswith("Q") for budget in budgets
    )


def ignored(settings: GovernanceSettings, after: GovernanceSettings) -> str | None:
    """Return what a gateway left as it was though it answered that it took it; None where it did what was asked."""
    if settings.calendar_aligned is not None and bool(after.calendar_aligned) is not settings.calendar_aligned:
        return "calendarAligned"
    there = {budget.reset_duration: budget for budget in after.budgets or []}
    for budget in settings.budgets or []:
        kept = there.get(budget.reset_duration)
        if budget.reset_config is not None and kept is not None and _month(kept) != _month(budget):
            return f"resetConfig of the budget of {budget.reset_duration}"
    return None


def parts(
    settings: GovernanceSettings,
    generation: Generation | None,
    ids: Mapping[str, str],
    there: GovernanceSettings = _NOTHING,
) -> dict[str, Any]:
    """Return the parts of a body; both fields for budgets where the generation is not known: each reads its own.

    `ids` are those of budgets by the duration they are to have, and `there` is what the row has now.
    """
    body: dict[str, Any] = {}
    if settings.budgets is not None:
        if generation is not Generation.ONE_BUDGET:
            body["budgets"] = [
                _budget(budget, ids.get(budget.reset_duration), there.budgets or []) for budget in settings.budgets
            ]
        if generation in {Generation.ONE_BUDGET, None}:
            body["budget"] = _single(settings, settings.budgets[0]) if settings.budgets else {}
    elif settings.calendar_aligned is not None and generation is Generation.ONE_BUDGET and there.budgets:
        # A budget without its limit and duration would be removed, whatever else is in it.
        body["budget"] = _single(settings, there.budgets[0])
    if settings.calendar_aligned is not None and generation is not Generation.ONE_BUDGET:
        body["calendar_aligned"] = settings.calendar_aligned
    if settings.rate_limit is not None:
        body["rate_limit"] = {
            f"{metric}_{name}": value
            for metric in ("token", "request")
            for name in ("max_limit", "reset_duration")
            if (value := getattr(settings.rate_limit, f"{metric}_{name}")) is not None
        }
    return body


def rules(rate_limit: RateLimit, ids: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a rate limit as generation 3 keeps it, one item of each metric; `ids` of those that are there, by metric."""
    return [
        {
            **({"id": ids[metric]} if metric in ids else {}),
            "metric": f"{metric}s",
            "max_limit": limit,
            "reset_duration": getattr(rate_limit, f"{metric}_reset_duration"),
        }
        for metric in ("token", "request")
        if (limit := getattr(rate_limit, f"{metric}_max_limit")) is not None
    ]


def _apart(one: str, other: str) -> float:
    """Return how far apart two windows are: in logarithms, so that a day is as near to two as a week to two weeks."""
    lengths = seconds(one), seconds(other)
    if lengths[0] is None or lengths[1] is None:
        return math.inf
    return abs(math.log(lengths[0]) - math.log(lengths[1]))


def _check_duration(duration: str) -> None:
    if not DURATION.fullmatch(duration):
        raise InvalidSettings(f"{duration} is not a duration such as 1h, 1d or 1M")


def _check_length(duration: str) -> None:
    if too_long(duration):
        raise InvalidSettings(f"{duration} is longer than 292 years, which is the most that the gateway can count")


def _budget(budget: Budget, id_: str | None, there: Sequence[Budget]) -> dict[str, Any]:
    named = {} if id_ is None else {"id": id_}
    config = budget.reset_config
    if config is None:
        # Nobody manages it: what the gateway has is sent along, so that it stays whatever a missing key means.
        config = next((one.reset_config for one in there if one.reset_duration == budget.reset_duration), None)
    return {**named, **_limit(budget), **({} if config is None else {"reset_config": _wire(config)})}


def _single(settings: GovernanceSettings, budget: Budget) -> dict[str, Any]:
    """Return the only budget of generation 1, with its alignment where that is managed or is put back."""
    aligned = budget.calendar_aligned if settings.calendar_aligned is None else settings.calendar_aligned
    return {**_limit(budget), **({} if aligned is None else {"calendar_aligned": aligned})}


def _limit(budget: Budget) -> dict[str, Any]:
    return {"max_limit": _plain(budget.max_limit), "reset_duration": budget.reset_duration}


def _wire(config: ResetConfig) -> dict[str, Any]:
    return {} if config.quarter_start_month is None else {"quarter_start_month": config.quarter_start_month}


def _month(budget: Budget) -> int:
    return (budget.reset_config or ResetConfig()).month


def _check_release(settings: GovernanceSettings, release: Release) -> None:
    for budget in settings.budgets or []:
        if release < QUARTERS and (budget.reset_config is not None or budget.reset_duration.endswith("Q")):
            raise InvalidSettings(
                f"this gateway ({release}) knows no quarters, which budgets have from {QUARTERS} on: "
                f"give another resetDuration than {budget.reset_duration}, without resetConfig"
            )
    first, last = ALIGNED_BUDGETS
    if settings.calendar_aligned and not (first <= release <= last or release >= SCOPES):
        raise InvalidSettings(
            f"this gateway ({release}) has no windows that begin with the calendar's: model configs have them from {first} "
            f"to {last}, and from {SCOPES} on; leave spec.calendarAligned out"
        )


def _check_first_generation(identity: Identity, settings: GovernanceSettings) -> None:
    if len(settings.budgets or []) > 1:
        raise InvalidSettings("this gateway (before v1.5.9) keeps one budget per model config; give a single one")
    if identity.scope_id is not None:
        raise InvalidSettings("this gateway (before v1.5.9) has no scopes; leave spec.scope out")
    if identity.model_name == "*":
        raise InvalidSettings("this gateway (before v1.5.9) takes * for a model's name, not for all models")


def _check_limit(limit: int | None, duration: str | None) -> None:
    if (limit is None) != (duration is None):
        raise InvalidSettings("a limit and its duration must be given together")
    if limit is not None and not 0 < limit <= LARGEST_LIMIT:
        raise InvalidSettings(f"a limit must be from 1 to {LARGEST_LIMIT}")
    if duration is not None:
        _check_duration(duration)
        _check_length(duration)


def _plain(amount: float) -> float | int:
    return int(amount) if amount.is_integer() else amount
