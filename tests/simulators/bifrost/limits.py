"""The rules of writing budgets and rate limits: what is refused, and what keeps its usage.

Nothing is changed in place, so that a write that is refused half-way leaves everything as it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast, get_args

from tests.simulators.bifrost.bodies import BudgetBody, RateLimitBody, RuleBody
from tests.simulators.bifrost.durations import seconds
from tests.simulators.bifrost.rows import Budget, Limit, RateLimit, now
from tests.simulators.bifrost.specs import Metric


class InvalidError(Exception):
    """A write breaks a rule."""


def positive(text: str) -> bool:
    """Tell whether a text is a duration longer than nothing."""
    try:
        return seconds(text) > 0
    except ValueError:
        return False


def new_budget(body: BudgetBody) -> Budget:
    """Return a budget of which nothing is used, or raise `InvalidError`."""
    return _checked(Budget(body.max_limit or 0, body.reset_duration or ""))


def changed_budget(body: BudgetBody, old: Sequence[Budget]) -> list[Budget]:
    """Return what generation 1 makes of its only budget: it is changed in place, made, or removed when it has no limit.

    A limit alone or a duration alone is no change; the gateway wants both.
    """
    if body.max_limit is None:
        return []
    if body.reset_duration is None:
        raise InvalidError("both max_limit and reset_duration are required when updating a budget")
    return [_changed(body, old[0]) if old else new_budget(body)]


def reconciled_budgets(bodies: Sequence[BudgetBody], old: Sequence[Budget]) -> list[Budget]:
    """Return what generation 2 makes of the full set: found by id, else by duration, else new; the others are gone."""
    durations = [body.reset_duration or "" for body in bodies]
    for place, duration in enumerate(durations):
        if not positive(duration):
            raise InvalidError(f"invalid reset duration (must be a positive duration): {duration}")
        if duration in durations[:place]:
            raise InvalidError(f"duplicate reset_duration in budgets: {duration}")
    claimed = {body.id for body in bodies if body.id}
    by_id = {budget.id: budget for budget in old}
    by_duration = {budget.reset_duration: budget for budget in old if budget.id not in claimed}
    return [_reconciled(body, by_id, by_duration) for body in bodies]


def _reconciled(body: BudgetBody, by_id: dict[str, Budget], by_duration: dict[str, Budget]) -> Budget:
    if body.id:
        if body.id not in by_id:
            raise InvalidError(f"budget {body.id} does not belong to this entity")
        return _changed(body, by_id.pop(body.id))
    found = by_duration.pop(body.reset_duration or "", None)
    return _changed(body, found) if found else new_budget(body)


def _changed(body: BudgetBody, old: Budget) -> Budget:
    return _checked(
        replace(old, max_limit=body.max_limit or 0, reset_duration=body.reset_duration or "", updated=now())
    )


def _checked(budget: Budget) -> Budget:
    if budget.max_limit <= 0:
        raise InvalidError(f"budget max limit cannot be negative or zero: {budget.max_limit:.2f}")
    if not positive(budget.reset_duration):
        raise InvalidError(f"invalid budget reset duration format: {budget.reset_duration}")
    return budget


def is_removal(body: RateLimitBody) -> bool:
    """Tell whether a change removes the rate limit: when it has no limits, whatever durations it has."""
    return body.token_max_limit is None and body.request_max_limit is None


def written_rate_limit(body: RateLimitBody, old: RateLimit | None) -> RateLimit:
    """Return a rate limit with all four fields as they are written, absent ones too; what was used stays."""
    tokens, requests = (old.first("tokens"), old.first("requests")) if old else (Limit("tokens"), Limit("requests"))
    written = [
        replace(tokens, max_limit=body.token_max_limit, reset_duration=body.token_reset_duration),
        replace(requests, max_limit=body.request_max_limit, reset_duration=body.request_reset_duration),
    ]
    for limit in written:
        _check_limit(limit)
    return RateLimit.of(written, old)


def _check_limit(limit: Limit) -> None:
    if limit.max_limit is not None and limit.max_limit <= 0:
        raise InvalidError(f"rate limit {limit.metric} max limit cannot be negative or zero: {limit.max_limit}")
    if limit.max_limit is not None and limit.reset_duration is None:
        raise InvalidError(f"rate limit {limit.metric} reset duration is required")
    if limit.reset_duration is not None and not positive(limit.reset_duration):
        raise InvalidError(f"invalid rate limit {limit.metric} reset duration format: {limit.reset_duration}")


def reconciled_rules(bodies: Sequence[RuleBody], old: RateLimit | None) -> RateLimit | None:
    """Return what generation 3 makes of the full set of rules: as with budgets, where equally long is the same."""
    there = old.limits if old else []
    claimed = {body.id for body in bodies if body.id}
    by_id = {limit.id: limit for limit in there}
    by_window = {_window(limit): limit for limit in there if limit.id not in claimed and limit.max_limit is not None}
    rules: list[Limit] = []
    for body in bodies:
        rule = _rule(body)
        if _window(rule) in map(_window, rules):
            raise InvalidError(f"duplicate rate limit: {rule.metric} per {rule.reset_duration}")
        if body.id and body.id not in by_id:
            raise InvalidError(f"rate limit {body.id} does not belong to this entity")
        found = by_id.pop(body.id) if body.id else by_window.get(_window(rule))
        if found and found.metric != rule.metric:
            raise InvalidError(f"rate limit {found.id} is one of {found.metric}")
        rules.append(replace(found, max_limit=rule.max_limit, reset_duration=rule.reset_duration) if found else rule)
    return RateLimit.of(rules, old) if rules else None


def _rule(body: RuleBody) -> Limit:
    if body.metric not in get_args(Metric):
        raise InvalidError(f"invalid model rate limit metric: {body.metric}")
    rule = Limit(cast("Metric", body.metric), body.max_limit or 0, body.reset_duration)
    _check_limit(rule)
    return rule


def _window(limit: Limit) -> tuple[str, float]:
    return limit.metric, seconds(limit.reset_duration or "0")
