"""The objects the gateway answers with, release by release. What is not there has no key; nothing is null but a list.

Generation 3 is not released. That it shows `rate_limits` beside the `rate_limit` of the generations before, each where
there is one, is how the proposed change reads.
"""

import hashlib
from datetime import datetime
from typing import Any

from tests.simulators.bifrost.releases import Release
from tests.simulators.bifrost.rows import Budget, Limit, RateLimit, Row

Json = dict[str, Any]


def row_shape(row: Row, release: Release) -> Json:
    """Return a model config."""
    budgets = [_budget_shape(one, row, release) for one in row.budgets]
    shape: Json = {"id": row.id, "model_name": row.model_name, "provider": row.provider}
    if release.generation == 1:
        shape |= {"budget_id": budgets[0]["id"], "budget": budgets[0]} if budgets else {}
    else:
        shape |= {
            "scope": row.scope,
            "scope_id": row.scope_id,
            "scope_name": row.scope_name,
            "calendar_aligned": row.calendar_aligned,
            "budgets": budgets or None,
        }
    if row.rate_limit is not None:
        shape |= {"rate_limit_id": row.rate_limit.id, "rate_limit": _rate_limit_shape(row.rate_limit, row)}
    if release.generation == 3 and row.rules:
        shape["rate_limits"] = [_rule_shape(rule) for rule in row.rules]
    return _without_nulls(
        shape
        | {
            "config_hash": _hash(row, row.model_name, row.provider, row.scope, row.scope_id),
            "created_at": _time(row.created),
            "updated_at": _time(row.updated),
        }
    )


def _budget_shape(budget: Budget, row: Row, release: Release) -> Json:
    shape: Json = {
        "id": budget.id,
        "max_limit": budget.max_limit,
        "reset_duration": budget.reset_duration,
        "last_reset": _time(budget.last_reset),
        "current_usage": budget.usage,
    }
    if release.overrides and budget.override is not None:
        shape |= {
            "override_amount": budget.override.amount,
            "override_mode": budget.override.mode,
            "override_cycles_remaining": budget.override.cycles_remaining or None,
        }
    if release.quarters and budget.quarter_start_month is not None:
        shape["reset_config"] = {"quarter_start_month": budget.quarter_start_month}
    if release.aligns_budgets:
        shape["calendar_aligned"] = row.calendar_aligned
    if release.generation > 1:
        shape["model_config_id"] = row.id
    return _without_nulls(
        shape
        | {
            "config_hash": _hash(row, budget.max_limit, budget.reset_duration),
            "created_at": _time(budget.created),
            "updated_at": _time(budget.updated),
        }
    )


def _rate_limit_shape(rate_limit: RateLimit, row: Row) -> Json:
    """Return a rate limit with its two parts, of which only the limits can be missing."""
    tokens, requests = rate_limit.limits
    shape = {
        "id": rate_limit.id,
        "token_max_limit": tokens.max_limit,
        "token_reset_duration": tokens.reset_duration,
        "token_current_usage": int(tokens.usage),
        "token_last_reset": _time(tokens.last_reset),
        "request_max_limit": requests.max_limit,
        "request_reset_duration": requests.reset_duration,
        "request_current_usage": int(requests.usage),
        "request_last_reset": _time(requests.last_reset),
        "config_hash": _hash(row, *(limit.max_limit for limit in (tokens, requests))),
        "created_at": _time(rate_limit.created),
        "updated_at": _time(rate_limit.updated),
    }
    return _without_nulls(shape)


def _rule_shape(rule: Limit) -> Json:
    """Return a limit in the words of its metric, although it says which that is."""
    word = rule.metric.removesuffix("s")
    return {
        "id": rule.id,
        "metric": rule.metric,
        f"{word}_max_limit": rule.max_limit,
        f"{word}_reset_duration": rule.reset_duration,
        f"{word}_current_usage": int(rule.usage),
    }


def _without_nulls(shape: Json) -> Json:
    return {name: value for name, value in shape.items() if value is not None}


def _time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _hash(row: Row, *values: object) -> str:
    """Return the hash of what config.json says; of what came through the API there is none."""
    return hashlib.sha256(repr(values).encode()).hexdigest() if row.config else ""
