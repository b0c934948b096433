"""The objects the gateway answers with, generation by generation. What is not there has no key; nothing is null.

Of generation 3, which is not released, only the fields that are written are known. That an item shows `rate_limits` with
those fields, usage and reset, and the older `rate_limit` beside it where that can say the same, is a guess.
"""

import hashlib
from datetime import datetime
from typing import Any

from tests.simulators.bifrost.rows import Budget, Limit, RateLimit, Row
from tests.simulators.bifrost.specs import Generation

Json = dict[str, Any]


def row_shape(row: Row, generation: Generation) -> Json:
    """Return a model config."""
    limits = _limits_shape(row.rate_limit, generation)
    scope: Json = {}
    budgets: Json
    if generation == 1:
        budgets = {"budget": budget_shape(row.budgets[0])} if row.budgets else {}
    else:
        scope = {
            "scope": row.scope,
            "scope_id": row.scope_id,
            "scope_name": row.scope_name,
            "calendar_aligned": row.calendar_aligned,
        }
        budgets = {"budgets": [budget_shape(one) for one in row.budgets]} if row.budgets else {}
    shape = {
        "id": row.id,
        "model_name": row.model_name,
        "provider": row.provider,
        **scope,
        **budgets,
        **limits,
        "config_hash": _hash(row.model_name, row.provider, row.scope, row.scope_id),
        "created_at": _time(row.created),
        "updated_at": _time(row.updated),
    }
    return _without_nulls(shape)


def budget_shape(budget: Budget) -> Json:
    """Return a budget."""
    return {
        "id": budget.id,
        "max_limit": budget.max_limit,
        "reset_duration": budget.reset_duration,
        "last_reset": _time(budget.last_reset),
        "current_usage": budget.usage,
        "config_hash": _hash(budget.max_limit, budget.reset_duration),
        "created_at": _time(budget.created),
        "updated_at": _time(budget.updated),
    }


def _limits_shape(rate_limit: RateLimit | None, generation: Generation) -> Json:
    if rate_limit is None:
        return {}
    rules = rate_limit.rules()
    plain = len({rule.metric for rule in rules}) == len(rules)
    shape: Json = {}
    if generation < 3 or plain:
        shape["rate_limit"] = rate_limit_shape(rate_limit)
    if generation == 3:
        shape["rate_limits"] = [_rule_shape(rule) for rule in rules]
    return shape


def rate_limit_shape(rate_limit: RateLimit) -> Json:
    """Return a rate limit with its two parts, of which only the limits can be missing."""
    tokens, requests = rate_limit.first("tokens"), rate_limit.first("requests")
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
        "config_hash": _hash(*(value for limit in (tokens, requests) for value in (limit.max_limit, limit.metric))),
        "created_at": _time(rate_limit.created),
        "updated_at": _time(rate_limit.updated),
    }
    return _without_nulls(shape)


def _rule_shape(rule: Limit) -> Json:
    return {
        "id": rule.id,
        "metric": rule.metric,
        "max_limit": rule.max_limit,
        "reset_duration": rule.reset_duration,
        "current_usage": int(rule.usage),
        "last_reset": _time(rule.last_reset),
    }


def _without_nulls(shape: Json) -> Json:
    return {name: value for name, value in shape.items() if value is not None}


def _time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _hash(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()
