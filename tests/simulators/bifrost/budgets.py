"""The rules of writing budgets: what is refused in which words, and what keeps or inherits its usage.

Nothing is changed in place, so that a write that is refused half-way leaves everything as it was.
"""

from collections.abc import Sequence
from dataclasses import replace

from tests.simulators.bifrost.bodies import BudgetBody
from tests.simulators.bifrost.limits import InvalidError, length
from tests.simulators.bifrost.releases import Release
from tests.simulators.bifrost.rows import Budget, now

MONTHS = range(1, 13)


def new_budget(body: BudgetBody, release: Release, *, usage: float = 0) -> Budget:
    """Return a budget, or raise `InvalidError`."""
    budget = Budget(body.max_limit or 0, body.reset_duration or "", usage, _quarter_start(body, None))
    return _checked(budget, release)


def changed_budget(body: BudgetBody, old: Sequence[Budget], release: Release) -> list[Budget]:
    """Return what generation 1 makes of its only budget: it is changed in place, made or removed."""
    if body.max_limit is None and (body.reset_duration is None or not release.budget_in_part):
        return []
    if old and release.budget_in_part:
        return [_changed(body, old[0], release)]
    if body.max_limit is None or body.reset_duration is None:
        doing = "updating a budget" if old else "creating a new budget"
        raise InvalidError(f"both max_limit and reset_duration are required when {doing}")
    if old:
        return [_changed(body, old[0], release)]
    if body.max_limit < 0:
        raise InvalidError(f"budget max_limit cannot be negative: {body.max_limit:.2f}")
    if length(body.reset_duration, release) is None:
        raise InvalidError(f"invalid reset duration format: {body.reset_duration}")
    return [new_budget(body, release)]


def reconciled_budgets(bodies: Sequence[BudgetBody], old: Sequence[Budget], release: Release) -> list[Budget]:
    """Return what generation 2 makes of the full set: found by id, else by duration, else new; the others are gone.

    A new one starts with the usage of the longest of those that were there and are shorter, whether that stays or not.
    """
    broken = first_broken(bodies, release)
    if broken is not None:
        raise InvalidError(broken)
    claimed = {body.id for body in bodies if body.id}
    by_id = {budget.id: budget for budget in old}
    by_duration = {budget.reset_duration: budget for budget in old if budget.id not in claimed}
    budgets: list[Budget] = []
    for body in bodies:
        if body.id and body.id not in by_id:
            raise InvalidError(f"budget {body.id} does not belong to this entity")
        found = by_id.pop(body.id) if body.id else by_duration.pop(body.reset_duration or "", None)
        budgets.append(
            _changed(body, found, release) if found else new_budget(body, release, usage=_inherited(body, old, release))
        )
    # The database shows them in the order in which they were made, not in that of the body.
    places = {budget.id: place for place, budget in enumerate(old)}
    return sorted(budgets, key=lambda budget: places.get(budget.id, len(places)))


def first_broken(bodies: Sequence[BudgetBody], release: Release) -> str | None:
    """Return what is wrong with the first budget that cannot be, before anything is written; a limit of 0 can."""
    durations: list[str] = []
    for body in bodies:
        duration = body.reset_duration or ""
        long = length(duration, release, of_budget=True)
        if (body.max_limit or 0) < 0:
            return f"budget max_limit cannot be negative: {body.max_limit:.2f}"
        if release.wants_positive and (long is None or long <= 0):
            return f"invalid reset duration (must be a positive duration): {duration}"
        if long is None:
            return f"invalid reset duration format: {duration}"
        if duration in durations:
            return f"duplicate reset_duration in budgets: {duration}"
        if release.quarters and _starts_wrong(body):
            return f"invalid quarter_start_month for reset duration: {duration}"
        durations.append(duration)
    return None


def _inherited(body: BudgetBody, old: Sequence[Budget], release: Release) -> float:
    wanted = length(body.reset_duration, release, of_budget=True) or 0
    lengths = [(length(one.reset_duration, release, of_budget=True) or 0, one.usage) for one in old]
    return max(((long, usage) for long, usage in lengths if long < wanted), key=lambda pair: pair[0], default=(0, 0))[1]


def _changed(body: BudgetBody, old: Budget, release: Release) -> Budget:
    """Return a budget with what the body says; of one in part the rest stays."""
    limit, duration = body.max_limit, body.reset_duration
    if release.generation > 1:
        limit, duration = limit or 0, duration or ""
    return _checked(
        replace(
            old,
            max_limit=old.max_limit if limit is None else limit,
            reset_duration=old.reset_duration if duration is None else duration,
            quarter_start_month=_quarter_start(body, old),
            updated=now(),
        ),
        release,
    )


def _quarter_start(body: BudgetBody, old: Budget | None) -> int | None:
    if not (body.reset_duration or "").endswith("Q"):
        return None
    if body.reset_config is None:
        return None if old is None else old.quarter_start_month
    return body.reset_config.quarter_start_month


def _starts_wrong(body: BudgetBody) -> bool:
    month = None if body.reset_config is None else body.reset_config.quarter_start_month
    return month is not None and month not in MONTHS


def _checked(budget: Budget, release: Release) -> Budget:
    duration = budget.reset_duration
    long = length(duration, release, of_budget=True)
    if budget.max_limit <= 0:
        raise InvalidError(f"budget max limit cannot be negative or zero: {budget.max_limit:.2f}")
    if not duration:
        raise InvalidError("budget reset duration is required")
    if release.wants_positive and (long is None or long <= 0):
        raise InvalidError(f"invalid budget reset duration (must be a positive duration): {duration}")
    if long is None:
        raise InvalidError(f"invalid budget reset duration format: {duration}")
    if long <= 0:
        raise InvalidError(f"reset duration must be > 0: {duration}")
    return budget
