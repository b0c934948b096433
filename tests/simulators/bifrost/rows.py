"""What the gateway keeps: model configs with their budgets, rate limits and what was used of them.

A row is kept in a form that has room for every generation's, so that a gateway can change its generation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

from tests.simulators.bifrost.specs import (
    GLOBAL,
    BudgetSpec,
    Generation,
    Metric,
    OverrideSpec,
    RateLimitSpec,
    RowSpec,
    RuleSpec,
    Traffic,
)


def new_id() -> str:
    """Return an id as the gateway makes them."""
    return str(uuid4())


def now() -> datetime:
    """Return the time of the gateway's clock."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Budget:
    """A budget in dollars."""

    max_limit: float
    reset_duration: str
    usage: float = 0
    quarter_start_month: int | None = None
    override: OverrideSpec | None = None
    id: str = field(default_factory=new_id)
    last_reset: datetime = field(default_factory=now)
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)


@dataclass(slots=True)
class Limit:
    """A limit of one metric; without a maximum it only counts."""

    metric: Metric
    max_limit: int | None = None
    reset_duration: str | None = None
    usage: float = 0
    id: str = field(default_factory=new_id)
    last_reset: datetime = field(default_factory=now)


@dataclass(slots=True)
class RateLimit:
    """The two limits of a rate limit."""

    tokens: Limit = field(default_factory=lambda: Limit("tokens"))
    requests: Limit = field(default_factory=lambda: Limit("requests"))
    id: str = field(default_factory=new_id)
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)

    @property
    def limits(self) -> list[Limit]:
        """Both of them."""
        return [self.tokens, self.requests]


@dataclass(slots=True)
class Row:
    """A model config."""

    model_name: str
    provider: str | None
    scope: str
    scope_id: str | None
    scope_name: str | None = None
    calendar_aligned: bool = False
    budgets: list[Budget] = field(default_factory=list)
    rate_limit: RateLimit | None = None
    rules: list[Limit] = field(default_factory=list)
    """Limits beside the rate limit, of which only generation 3 knows."""
    since: Generation = 1
    config: bool = False
    """Whether it is from config.json; rows made through the API have no hash of it."""
    id: str = field(default_factory=new_id)
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)

    def shown_by(self, generation: Generation) -> bool:
        """Tell whether a gateway of a generation has the row in this table."""
        return generation >= (self.since if self.scope == GLOBAL else 2)

    def limits(self) -> list[Limit]:
        """Return all limits there are."""
        return [*(self.rate_limit.limits if self.rate_limit else []), *self.rules]

    def use(self, traffic: Traffic, seconds: float) -> None:
        """Count what was used within so many seconds."""
        for budget in self.budgets:
            budget.usage += traffic.dollars_per_second * seconds
        for limit in self.limits():
            rate = traffic.tokens_per_second if limit.metric == "tokens" else traffic.requests_per_second
            limit.usage += rate * seconds

    def set_usage(self, budget: Mapping[str, float], usage: Mapping[Metric, int | None]) -> None:
        """Change what was used: of budgets by their duration, of limits by their metric."""
        for one in self.budgets:
            one.usage = budget.get(one.reset_duration, one.usage)
        for limit in self.limits():
            used = usage[limit.metric]
            limit.usage = limit.usage if used is None else used

    def reset_windows(self) -> None:
        """Start all windows anew."""
        windows: list[Budget | Limit] = [*self.budgets, *self.limits()]
        for window in windows:
            window.usage, window.last_reset = 0, now()

    def become(self, spec: RowSpec) -> None:
        """Turn into what a description says; what was used stays where that says nothing."""
        self.model_name, self.provider = spec.model_name, spec.provider
        self.scope, self.scope_id, self.scope_name = spec.scope, spec.scope_id, spec.scope_name
        self.calendar_aligned, self.since, self.config = spec.calendar_aligned, spec.since, spec.config
        old = {budget.id: budget for budget in self.budgets} | {one.reset_duration: one for one in self.budgets}
        self.budgets = [_budget(one, old.get(one.id or one.reset_duration)) for one in spec.budgets]
        self.rate_limit = None if spec.rate_limit is None else _rate_limit(spec.rate_limit, self.rate_limit)
        self.rules = [Limit(one.metric, one.max_limit, one.reset_duration, one.current_usage) for one in spec.rules]
        self.updated = now()

    def spec(self) -> RowSpec:
        """Return the description of the row as it is."""
        return RowSpec(
            model_name=self.model_name,
            provider=self.provider,
            scope=self.scope,
            scope_id=self.scope_id,
            scope_name=self.scope_name,
            budgets=[
                BudgetSpec(
                    max_limit=one.max_limit,
                    reset_duration=one.reset_duration,
                    current_usage=one.usage,
                    id=one.id,
                    quarter_start_month=one.quarter_start_month,
                    override=one.override,
                )
                for one in self.budgets
            ],
            rate_limit=None if self.rate_limit is None else _rate_limit_spec(self.rate_limit),
            rules=_rule_specs(self.rules),
            calendar_aligned=self.calendar_aligned,
            id=self.id,
            config=self.config,
            since=self.since,
        )


def _rate_limit_spec(rate_limit: RateLimit) -> RateLimitSpec:
    tokens, requests = rate_limit.limits
    return RateLimitSpec(
        token_max_limit=tokens.max_limit,
        token_reset_duration=tokens.reset_duration,
        request_max_limit=requests.max_limit,
        request_reset_duration=requests.reset_duration,
        token_current_usage=int(tokens.usage),
        request_current_usage=int(requests.usage),
    )


def _rule_specs(rules: Sequence[Limit]) -> list[RuleSpec]:
    return [
        RuleSpec(
            metric=one.metric,
            max_limit=one.max_limit or 0,
            reset_duration=one.reset_duration or "",
            current_usage=int(one.usage),
        )
        for one in rules
    ]


def _budget(spec: BudgetSpec, old: Budget | None) -> Budget:
    budget = replace(old, updated=now()) if old else Budget(spec.max_limit, spec.reset_duration)
    budget.max_limit, budget.reset_duration = spec.max_limit, spec.reset_duration
    budget.quarter_start_month, budget.override = spec.quarter_start_month, spec.override
    budget.id = spec.id or budget.id
    budget.usage = budget.usage if spec.current_usage is None else spec.current_usage
    return budget


def _rate_limit(spec: RateLimitSpec, old: RateLimit | None) -> RateLimit:
    old = old or RateLimit()
    tokens, requests = (
        replace(limit, max_limit=maximum, reset_duration=duration, usage=limit.usage if used is None else used)
        for limit, maximum, duration, used in (
            (old.tokens, spec.token_max_limit, spec.token_reset_duration, spec.token_current_usage),
            (old.requests, spec.request_max_limit, spec.request_reset_duration, spec.request_current_usage),
        )
    )
    return replace(old, tokens=tokens, requests=requests, updated=now())
