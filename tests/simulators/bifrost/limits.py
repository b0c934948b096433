"""The rules of writing rate limits: what is refused in which words, and what keeps its usage.

Nothing is changed in place, so that a write that is refused half-way leaves everything as it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast, get_args

from tests.simulators.bifrost.bodies import RateLimitBody, RuleBody
from tests.simulators.bifrost.durations import nanoseconds
from tests.simulators.bifrost.releases import Release
from tests.simulators.bifrost.rows import Limit, RateLimit, now
from tests.simulators.bifrost.specs import Metric


class InvalidError(Exception):
    """A write breaks a rule."""


def length(text: str | None, release: Release, *, of_budget: bool = False) -> int | None:
    """Return how many nanoseconds a duration is, None for what is none."""
    try:
        return nanoseconds(text or "", quarters=of_budget and release.quarters)
    except ValueError:
        return None


def is_removal(body: RateLimitBody) -> bool:
    """Tell whether a change removes the rate limit: when it has no limits, whatever durations it has."""
    return body.token_max_limit is None and body.request_max_limit is None


def written_rate_limit(body: RateLimitBody, old: RateLimit | None, release: Release) -> RateLimit:
    """Return a rate limit with all four fields as they are written, absent ones too; what was used stays."""
    old = old or RateLimit()
    tokens = replace(old.tokens, max_limit=body.token_max_limit, reset_duration=body.token_reset_duration)
    requests = replace(old.requests, max_limit=body.request_max_limit, reset_duration=body.request_reset_duration)
    _check((tokens, requests), release)
    return replace(old, tokens=tokens, requests=requests, updated=now())


def reconciled_rules(bodies: Sequence[RuleBody], old: Sequence[Limit], release: Release) -> list[Limit]:
    """Return what generation 3 makes of the full set of rules: as with budgets, where equally long is the same."""
    claimed = {body.id for body in bodies if body.id}
    by_id = {limit.id: limit for limit in old}
    by_window = {_window(limit, release): limit for limit in old if limit.id not in claimed}
    rules: list[Limit] = []
    for body in bodies:
        rule = _rule(body, release)
        if _window(rule, release) in (_window(one, release) for one in rules):
            raise InvalidError(f"duplicate rate limit: {rule.metric} per {rule.reset_duration}")
        if body.id and body.id not in by_id:
            raise InvalidError(f"rate limit {body.id} does not belong to this entity")
        found = by_id.pop(body.id) if body.id else by_window.get(_window(rule, release))
        if found and found.metric != rule.metric:
            raise InvalidError(f"rate limit {found.id} is one of {found.metric}")
        rules.append(replace(found, max_limit=rule.max_limit, reset_duration=rule.reset_duration) if found else rule)
    return rules


def rules_of(rate_limit: RateLimit | None) -> list[Limit]:
    """Return the rules that a rate limit is split into when the first ones are written."""
    return [limit for limit in rate_limit.limits if limit.max_limit is not None] if rate_limit else []


def _rule(body: RuleBody, release: Release) -> Limit:
    if body.metric not in get_args(Metric):
        raise InvalidError(f"invalid model rate limit metric: {body.metric}")
    rule = Limit(cast("Metric", body.metric), body.max_limit or 0, body.reset_duration)
    _check([rule], release)
    return rule


def _window(limit: Limit, release: Release) -> tuple[str, int | None]:
    return limit.metric, length(limit.reset_duration, release)


def _check(limits: Iterable[Limit], release: Release) -> None:
    """Check what the gateway checks of both limits, then what its database does of both."""
    limits = list(limits)
    for limit in limits:
        _check_limit(limit, release)
    for limit in limits:
        _check_duration(limit, release)


def _check_limit(limit: Limit, release: Release) -> None:
    if limit.max_limit is None:
        return
    name = f"rate limit {_word(limit)}"
    if limit.max_limit <= 0:
        raise InvalidError(f"{name} max limit cannot be negative or zero: {limit.max_limit}")
    if limit.reset_duration is None:
        raise InvalidError(f"{name} reset duration is required")
    long = length(limit.reset_duration, release)
    if release.wants_positive and (long is None or long <= 0):
        raise InvalidError(f"invalid {name} reset duration (must be a positive duration): {limit.reset_duration}")
    if long is None:
        raise InvalidError(f"invalid {name} reset duration format: {limit.reset_duration}")


def _check_duration(limit: Limit, release: Release) -> None:
    if limit.reset_duration is None:
        return
    long = length(limit.reset_duration, release)
    if long is None:
        raise InvalidError(f"invalid {_word(limit)} reset duration format: {limit.reset_duration}")
    if long <= 0:
        raise InvalidError(f"{_word(limit)} reset duration cannot be zero or negative: {limit.reset_duration}")


def _word(limit: Limit) -> str:
    return limit.metric.removesuffix("s")
