"""The rules of making, changing and removing model configs.

A POST checks its fields before it opens a transaction and answers 400; what only the transaction finds is a 500, and so
is everything that is wrong with a PUT. Of generation 3, which is not released, this simulator takes it that it answers
400 wherever the request is to blame.
"""

from dataclasses import replace
from typing import Literal

from tests.simulators.api import RefusedError
from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.bodies import Body, BudgetBody, parse
from tests.simulators.bifrost.budgets import changed_budget, first_broken, new_budget, reconciled_budgets
from tests.simulators.bifrost.limits import InvalidError, is_removal, reconciled_rules, rules_of, written_rate_limit
from tests.simulators.bifrost.rows import Budget, Limit, RateLimit, Row, now
from tests.simulators.bifrost.specs import GLOBAL, SCOPES
from tests.simulators.bifrost.world import World, identity

Doing = Literal["create", "update"]


def create(world: World, raw: bytes) -> Row:
    """Make a row as a POST says, or raise `RefusedError`."""
    body = parse(raw, world.options.generation, "POST")
    if not body.model_name:
        raise refusal(400, "Model name is required")
    _check_exclusive(body)
    row = Row(body.model_name, body.provider, *_scope(world, body))
    row.scope_name = world.virtual_keys.get(row.scope_id or "") if row.scope == "virtual_key" else None
    if world.taken(row) and not world.options.duplicates:
        raise refusal(409, f"Model config for model '{row.model_name}' {_told(row, world)} already exists")
    broken = first_broken(_budgets(world, body), world.release)
    if broken is not None:
        raise refusal(400, broken[0].upper() + broken[1:])
    _check_lock(world, "create")
    try:
        _fill(world, row, body)
    except InvalidError as error:
        raise _failed(world, "create", error) from None
    world.insert(row)
    return row


def update(world: World, mc_id: str, raw: bytes) -> Row:
    """Change a row as a PUT says, or raise `RefusedError` and leave it as it is."""
    body = parse(raw, world.options.generation, "PUT")
    row = world.shown(mc_id)
    _check_exclusive(body)
    _check_lock(world, "update")
    try:
        changed = replace(
            row,
            model_name=row.model_name if body.model_name is None else body.model_name,
            provider=row.provider if body.provider is None else body.provider,
            budgets=_new_budgets(world, body, row),
            rate_limit=_new_rate_limit(world, body, row),
            rules=_new_rules(world, body, row),
            calendar_aligned=_aligned(world, body, row),
            updated=now(),
        )
        _check_names(changed)
        _check_index(world, changed, row)
    except InvalidError as error:
        raise _failed(world, "update", error) from None
    world.replace(changed)
    return changed


def delete(world: World, mc_id: str) -> None:
    """Remove a row, or raise `RefusedError`."""
    row = world.shown(mc_id)
    if world.lock_strikes():
        raise refusal(500, "Failed to delete model config")
    world.remove(row.id)


def _fill(world: World, row: Row, body: Body) -> None:
    """Give a new row its limits, in the order in which the generation does so: the first that is wrong is told."""
    budgets = _budgets(world, body)
    if world.options.generation == 1:
        row.budgets = [new_budget(budget, world.release) for budget in budgets]
    if body.rate_limit is not None:
        row.rate_limit = written_rate_limit(body.rate_limit, None, world.release)
    if body.rate_limits is not None:
        row.rules = reconciled_rules(body.rate_limits, [], world.release)
    _check_names(row)
    row.calendar_aligned = _aligned(world, body, row)
    if world.options.generation > 1:
        row.budgets = [new_budget(budget, world.release) for budget in budgets]


def _new_budgets(world: World, body: Body, row: Row) -> list[Budget]:
    if body.budget is not None:
        return changed_budget(body.budget, row.budgets, world.release)
    if body.budgets is not None:
        return reconciled_budgets(body.budgets, row.budgets, world.release)
    return row.budgets


def _new_rate_limit(world: World, body: Body, row: Row) -> RateLimit | None:
    if body.rate_limits is not None:
        # The first write of rules splits what was there, so that nothing counts twice.
        return None
    if body.rate_limit is None:
        return row.rate_limit
    return None if is_removal(body.rate_limit) else written_rate_limit(body.rate_limit, row.rate_limit, world.release)


def _new_rules(world: World, body: Body, row: Row) -> list[Limit]:
    if body.rate_limits is None:
        return row.rules
    return reconciled_rules(body.rate_limits, [*row.rules, *rules_of(row.rate_limit)], world.release)


def _aligned(world: World, body: Body, row: Row) -> bool:
    if body.calendar_aligned is None or not world.options.aligns:
        return row.calendar_aligned
    return body.calendar_aligned


def _scope(world: World, body: Body) -> tuple[str, str | None]:
    scope = body.scope or GLOBAL
    if scope not in SCOPES and not (scope == "user" and world.options.enterprise):
        raise refusal(400, f'Invalid scope "{scope}"')
    if scope == GLOBAL:
        return scope, None
    if not body.scope_id:
        raise refusal(400, "scope_id is required when scope is not global")
    if scope == "virtual_key" and body.scope_id not in world.virtual_keys:
        raise refusal(400, f"Virtual key '{body.scope_id}' not found")
    return scope, body.scope_id


def _told(row: Row, world: World) -> str:
    """Return the rest of an identity in the words of a conflict."""
    provider = None if row.provider is None else f"with provider '{row.provider}'"
    if world.options.generation == 1:
        return provider or "(global)"
    scope = "(global)" if row.scope == GLOBAL else f"({row.scope} '{row.scope_id}')"
    return scope if provider is None else f"{provider} {scope}"


def _budgets(world: World, body: Body) -> list[BudgetBody]:
    if world.options.generation == 1:
        return [] if body.budget is None else [body.budget]
    return body.budgets or []


def _check_exclusive(body: Body) -> None:
    if body.rate_limit is not None and body.rate_limits is not None:
        raise refusal(400, "only one of 'rate_limit' or 'rate_limits' may be set")


def _check_lock(world: World, doing: Doing) -> None:
    if world.lock_strikes():
        raise refusal(500, f"Failed to {doing} model config: database is locked")


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
        raise InvalidError("a record with this provider already exists. Please use a different value")


def _failed(world: World, doing: Doing, error: InvalidError) -> RefusedError:
    return refusal(500 if world.options.generation < 3 else 400, f"Failed to {doing} model config: {error}")
