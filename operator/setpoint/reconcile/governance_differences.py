"""What a row has, and in what that differs from what a spec wants: pure functions."""

from typing import Annotated

from pydantic import Field

from setpoint.reconcile.usage import dollars
from setpoint.remotes.bifrost_shapes import Identity, ModelConfig
from setpoint.resources.common import Drift
from setpoint.resources.model_config_governance import Budget, GovernanceSettings, RateLimit, ResetConfig

BUDGETS, RATE_LIMIT, ALIGNED = "budgets", "rateLimit", "calendarAligned"

_NAMES = {"modelName": "model_name", "provider": "provider", "scope": "scope", "scopeId": "scope_id"}
"""Fields of a spec that make up an identity, and what they are called there."""


class RowSettings(GovernanceSettings):
    """Settings of a row, with what the row is of: no setting, but somebody may have changed it all the same."""

    identity: Annotated[Identity | None, Field(exclude=True)] = None
    """None where that is not known, or no difference."""


def seen(row: ModelConfig) -> RowSettings:
    """Return what a row has, with what it is of."""
    return RowSettings(**dict(row.settings), identity=row.identity)


def none(desired: GovernanceSettings) -> RowSettings:
    """Return what holds where there is no row: no limits, and no alignment that would matter without them."""
    aligned = desired.calendar_aligned if desired.demands_nothing else False
    return RowSettings(budgets=[], rate_limit=RateLimit(), calendar_aligned=aligned)


def managed(settings: GovernanceSettings, desired: GovernanceSettings) -> GovernanceSettings:
    """Return the part of settings that is managed, and an alignment that is on, since it tells what windows mean."""
    return RowSettings(
        budgets=settings.budgets if desired.budgets is not None else None,
        rate_limit=settings.rate_limit if desired.rate_limit is not None else None,
        calendar_aligned=settings.calendar_aligned
        if desired.calendar_aligned is not None
        else settings.calendar_aligned or None,
        identity=settings.identity if isinstance(settings, RowSettings) else None,
    )


def plain(settings: GovernanceSettings) -> GovernanceSettings:
    """Return settings as a status keeps them."""
    return GovernanceSettings(
        budgets=settings.budgets, rate_limit=settings.rate_limit, calendar_aligned=settings.calendar_aligned
    )


def differences(desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
    """Return in what a row differs from what is wanted: first in what it is of, then in its limits."""
    return [
        *_name_differences(desired, observed),
        *_budget_differences(desired, observed),
        *_rate_limit_differences(desired, observed),
        *_alignment_differences(desired, observed),
    ]


def _name_differences(desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
    wanted = desired.identity if isinstance(desired, RowSettings) else None
    there = observed.identity if isinstance(observed, RowSettings) else None
    if wanted is None or there is None:
        return []
    return [
        Drift(field=field, desired=getattr(wanted, name), observed=getattr(there, name))
        for field, name in _NAMES.items()
        if getattr(wanted, name) != getattr(there, name)
    ]


def _budget_differences(desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
    if desired.budgets is None:
        return []
    wanted = {budget.reset_duration: budget for budget in desired.budgets}
    there = {budget.reset_duration: budget for budget in observed.budgets or []}
    drift = []
    for duration in dict.fromkeys((*wanted, *there)):
        place, ours, theirs = f"{BUDGETS}[{duration}]", wanted.get(duration), there.get(duration)
        limits = _amount(ours), _amount(theirs)
        if limits[0] != limits[1]:
            drift.append(Drift(field=f"{place}.maxLimit", desired=limits[0], observed=limits[1]))
        if ours is None or theirs is None:
            continue
        if ours.reset_config is not None:
            months = ours.reset_config.month, (theirs.reset_config or ResetConfig()).month
            if months[0] != months[1]:
                field = f"{place}.resetConfig.quarterStartMonth"
                drift.append(Drift(field=field, desired=months[0], observed=months[1]))
        if ours.calendar_aligned is not None and theirs.calendar_aligned is not None:
            drift += _alignment(f"{place}.{ALIGNED}", wanted=ours.calendar_aligned, there=theirs.calendar_aligned)
    return drift


def _alignment_differences(desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
    if desired.calendar_aligned is None:
        return []
    return _alignment(ALIGNED, wanted=desired.calendar_aligned, there=observed.calendar_aligned)


def _alignment(field: str, *, wanted: bool, there: bool | None) -> list[Drift]:
    """Return the difference; a gateway that says nothing of it has nothing aligned."""
    if wanted is bool(there):
        return []
    return [Drift(field=field, desired=str(wanted).lower(), observed=None if there is None else str(there).lower())]


def _rate_limit_differences(desired: GovernanceSettings, observed: GovernanceSettings) -> list[Drift]:
    if desired.rate_limit is None:
        return []
    wanted, there = desired.rate_limit, observed.rate_limit or RateLimit()
    drift = []
    for metric in ("token", "request"):
        limits = (getattr(wanted, f"{metric}_max_limit"), getattr(there, f"{metric}_max_limit"))
        durations = (getattr(wanted, f"{metric}_reset_duration"), getattr(there, f"{metric}_reset_duration"))
        if limits[0] != limits[1]:
            drift.append(Drift(field=f"{RATE_LIMIT}.{metric}MaxLimit", desired=limits[0], observed=limits[1]))
        if None not in limits and durations[0] != durations[1]:
            drift.append(
                Drift(field=f"{RATE_LIMIT}.{metric}ResetDuration", desired=durations[0], observed=durations[1])
            )
    return drift


def _amount(budget: Budget | None) -> int | str | None:
    return None if budget is None else dollars(budget.max_limit)
