"""What is sent to a Bifrost gateway, worked out before it is sent: pure functions.

The gateway answers most of what it refuses with a 500, which may be anything. So everything that can be known to be refused,
or to be silently ignored, is found here.
"""

import math
from collections.abc import Mapping
from typing import Any

from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.errors import InvalidSettings
from setpoint.resources.model_config_governance import DURATION, LARGEST_LIMIT, Budget, GovernanceSettings, RateLimit

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "M": 30 * 86400, "Y": 365 * 86400}


def check(identity: Identity, settings: GovernanceSettings, generation: Generation | None) -> None:
    """Hold what is to be sent against what the gateway would refuse or misunderstand.

    Raises:
        InvalidSettings: it would be refused, or silently mean something else.
    """
    if generation is Generation.ONE_BUDGET:
        _check_first_generation(identity, settings)
    budgets = settings.budgets or []
    for budget in budgets:
        if not (math.isfinite(budget.max_limit) and budget.max_limit > 0):
            raise InvalidSettings("a budget's maxLimit must be greater than 0")
        _check_duration(budget.reset_duration)
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
    pairs = sorted((abs(_length(one) - _length(other)), one, other) for one in new for other in left)
    taken: set[str] = set()
    for _, one, other in pairs:
        if one not in ids and other not in taken:
            ids[one] = row.budget_ids[other]
            taken.add(other)
    return ids


def _length(duration: str) -> float:
    """Return the logarithm of a duration's seconds, so that a day is as near to two as a week to two weeks."""
    if not DURATION.fullmatch(duration):
        return math.inf
    return math.log(int(duration[:-1]) * _UNITS[duration[-1]])


def _check_duration(duration: str) -> None:
    if not DURATION.fullmatch(duration):
        raise InvalidSettings(f"{duration} is not a duration such as 1h, 1d or 1M")


def parts(settings: GovernanceSettings, generation: Generation | None, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return the parts of a body; both fields for budgets where the generation is not known: each reads its own."""
    body: dict[str, Any] = {}
    if settings.budgets is not None:
        if generation is not Generation.ONE_BUDGET:
            body["budgets"] = [_budget(budget, ids.get(budget.reset_duration)) for budget in settings.budgets]
        if generation in {Generation.ONE_BUDGET, None}:
            body["budget"] = _budget(settings.budgets[0], None) if settings.budgets else {}
    if settings.rate_limit is not None:
        body["rate_limit"] = {
            f"{metric}_{name}": value
            for metric in ("token", "request")
            for name in ("max_limit", "reset_duration")
            if (value := getattr(settings.rate_limit, f"{metric}_{name}")) is not None
        }
    return body


def _budget(budget: Budget, id_: str | None) -> dict[str, Any]:
    named = {} if id_ is None else {"id": id_}
    return {**named, "max_limit": _plain(budget.max_limit), "reset_duration": budget.reset_duration}


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


def _plain(amount: float) -> float | int:
    return int(amount) if amount.is_integer() else amount
