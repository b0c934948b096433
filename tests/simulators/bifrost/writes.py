"""The rules of making, changing and removing model configs.

A POST checks its fields before it opens a transaction and answers 400; what only the transaction finds is a 500, and so
is everything that is wrong with a PUT. Of generation 3, which is not released, this simulator takes it that it answers
400 wherever the request is to blame.
"""

from typing import Any

from tests.simulators.api import RefusedError
from tests.simulators.bifrost import limits
from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.bodies import Body, BudgetBody, parse
from tests.simulators.bifrost.limits import InvalidError, positive
from tests.simulators.bifrost.rows import Budget, RateLimit, Row, now
from tests.simulators.bifrost.specs import GLOBAL, SCOPES
from tests.simulators.bifrost.world import World, identity


def create(world: World, raw: bytes) -> Row:
    """Make a row as a POST says, or raise `RefusedError`."""
    body = parse(raw, world.options.generation, "POST")
    if not body.model_name:
        raise refusal(400, "Model name is required")
    _check_exclusive(body)
    row = Row(body.model_name, body.provider, *_scope(world, body))
    row.scope_name = world.virtual_keys.get(row.scope_id or "") if row.scope == "virtual_key" else None
    if world.taken(row) and not world.options.duplicates:
        raise refusal(409, f"Model config for model '{row.model_name}' ({row.scope}) already exists")
    _check_budgets(world, body)
    try:
        _check_names(row)
        row.budgets = [limits.new_budget(budget) for budget in _budgets(world, body)]
        if body.rate_limit is not None:
            row.rate_limit = limits.written_rate_limit(body.rate_limit, None)
        if body.rate_limits is not None:
            row.rate_limit = limits.reconciled_rules(body.rate_limits, None)
    except InvalidError as error:
        raise _failed(world, f"Failed to create model config: {error}") from None
    world.insert(row)
    return row


def update(world: World, mc_id: str, raw: bytes) -> Row:
    """Change a row as a PUT says, or raise `RefusedError` and leave it as it is."""
    body = parse(raw, world.options.generation, "PUT")
    row = world.shown(mc_id)
    _check_exclusive(body)
    try:
        changes: dict[str, Any] = {
            "model_name": row.model_name if body.model_name is None else body.model_name,
            "provider": row.provider if body.provider is None else body.provider,
            "budgets": _new_budgets(body, row),
            "rate_limit": _new_rate_limit(body, row),
        }
        changed = Row(changes["model_name"], changes["provider"], row.scope, row.scope_id)
        _check_names(changed)
        _check_index(world, changed, row)
    except InvalidError as error:
        raise _failed(world, f"Failed to update model config: {error}") from None
    for name, value in changes.items():
        setattr(row, name, value)
    row.updated = now()
    return row


def _new_budgets(body: Body, row: Row) -> list[Budget]:
    if body.budget is not None:
        return limits.changed_budget(body.budget, row.budgets)
    if body.budgets is not None:
        return limits.reconciled_budgets(body.budgets, row.budgets)
    return row.budgets


def _new_rate_limit(body: Body, row: Row) -> RateLimit | None:
    if body.rate_limits is not None:
        return limits.reconciled_rules(body.rate_limits, row.rate_limit)
    if body.rate_limit is None:
        return row.rate_limit
    return None if limits.is_removal(body.rate_limit) else limits.written_rate_limit(body.rate_limit, row.rate_limit)


def _scope(world: World, body: Body) -> tuple[str, str | None]:
    scope = body.scope or GLOBAL
    if scope not in SCOPES:
        raise refusal(400, f'Invalid scope "{scope}"')
    if scope == GLOBAL:
        return scope, None
    if not body.scope_id:
        raise refusal(400, "scope_id is required when scope is not global")
    if scope == "virtual_key" and body.scope_id not in world.virtual_keys:
        raise refusal(400, f"Virtual key '{body.scope_id}' not found")
    return scope, body.scope_id


def _budgets(world: World, body: Body) -> list[BudgetBody]:
    if world.options.generation == 1:
        return [] if body.budget is None else [body.budget]
    return body.budgets or []


def _check_budgets(world: World, body: Body) -> None:
    """Check what a POST checks before its transaction: all but a limit of 0."""
    seen: set[str] = set()
    for budget in _budgets(world, body):
        duration = budget.reset_duration or ""
        if (budget.max_limit or 0) < 0:
            raise refusal(400, f"Budget max_limit cannot be negative: {budget.max_limit:.2f}")
        if not positive(duration):
            raise refusal(400, f"Invalid reset duration format: {duration}")
        if duration in seen:
            raise refusal(400, f"Duplicate reset_duration in budgets: {duration}")
        seen.add(duration)


def _check_exclusive(body: Body) -> None:
    if body.rate_limit is not None and body.rate_limits is not None:
        raise refusal(400, "only one of 'rate_limit' or 'rate_limits' may be set")


def _check_names(row: Row) -> None:
    if not row.model_name.strip():
        raise InvalidError("model_name cannot be empty")
    if row.provider is not None and not row.provider.strip():
        raise InvalidError("provider cannot be an empty string")


def _check_index(world: World, changed: Row, row: Row) -> None:
    """Check what the database does: that no other row has the identity, unless a part of it is null."""
    parts = [changed.provider] if world.options.generation == 1 else [changed.provider, changed.scope_id]
    others = [other for other in world.visible() if other is not row]
    if None not in parts and identity(changed) in map(identity, others):
        raise InvalidError("UNIQUE constraint failed")


def _failed(world: World, message: str) -> RefusedError:
    return refusal(500 if world.options.generation < 3 else 400, message)
