"""ModelConfigGovernance: budget and rate limit of one model config of a Bifrost gateway.

Durations are kept word for word, because the gateway keeps them so: `24h` and `1d` are two windows to it. A spec may have
those of one pattern that means the same to every release (and quarters, which releases from v1.6.10 on know); a status
records whatever the gateway had, so that it can be put back as it was.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer

from setpoint.resources.common import (
    BIFROST,
    BifrostConnectionRef,
    Column,
    DeletionPolicy,
    Identifier,
    Managed,
    Model,
    Name,
    SpecBase,
    StatusBase,
    rule,
    rules,
)

MAX_BUDGETS = 8
"""Windows in one resource at most."""

MOST_WINDOWS = MAX_BUDGETS + 2
"""Windows of which a status tells the usage: as many as a spec may have budgets, and those of the rate limit."""

LARGEST_LIMIT = 2**63 - 1
"""The gateway keeps tokens and requests as int64."""

UNITS: Mapping[str, int] = {
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 7 * 86_400,
    "M": 30 * 86_400,
    "Q": 90 * 86_400,
    "Y": 365 * 86_400,
}
"""Seconds of each unit that a spec may use; a quarter is counted in three of the gateway's months."""

LONGEST_WINDOW = (2**63 - 1) // 10**9
"""Seconds, which is 292 years: the gateway counts windows in nanoseconds of 64 bits, and longer ones overflow."""

DURATION = re.compile(r"[1-9][0-9]*[smhdwMY]")
"""A duration that all generations of the gateway accept and mean the same by."""

QUARTERS = re.compile(r"[1-9][0-9]*Q")
"""A duration of a budget that releases from v1.6.10 on accept."""


def _window(units: str, told: str) -> dict[str, Any]:
    """Return the schema of a duration: a pattern, and for each unit the most that the gateway can count."""
    most = ", ".join(f"'{unit}': {LONGEST_WINDOW // UNITS[unit]}" for unit in units)
    return rules(
        rule(f"self.matches('^[1-9][0-9]*[{units}]$')", told),
        rule(
            f"!self.matches('^[1-9][0-9]*[{units}]$') || "
            f"int(self.substring(0, self.size() - 1)) <= {{{most}}}[self.substring(self.size() - 1)]",
            "a window must not be longer than 292 years, which is the most that the gateway can count",
        ),
        maxLength=16,
    )


Duration = Annotated[
    str,
    Field(
        json_schema_extra=_window(
            "smhdwMY",
            "a duration is a whole number and one of s, m (minutes), h, d, w, M (30 days) and Y, such as 1h or 1M",
        )
    ),
]

BudgetDuration = Annotated[
    str,
    Field(
        json_schema_extra=_window(
            "smhdwMQY",
            "a budget's duration is a whole number and one of s, m (minutes), h, d, w, M (30 days), Q (quarters) and Y, "
            "such as 1h or 1M",
        )
    ),
]

RemoteName = Annotated[
    Name,
    Field(
        json_schema_extra=rules(
            rule(
                r"self.matches('^[^\\s\\p{Z}\\p{C}](?s:.*[^\\s\\p{Z}\\p{C}])?$')",
                "a name must not begin or end with a blank or an invisible character: the gateway takes it for another name",
            )
        )
    ),
]
"""Name that the gateway compares word for word."""

Money = Annotated[float, PlainSerializer(lambda value: int(value) if value.is_integer() else value)]
"""US dollars. Whole amounts are written without a fraction, as people write them."""

Limit = Annotated[int, Field(json_schema_extra={"format": "int64", "minimum": 1})]


MONTHS = 12


class Scope(StrEnum):
    """Whose requests a model config governs."""

    GLOBAL = "global"
    VIRTUAL_KEY = "virtualKey"
    USER = "user"


class ResetConfig(Model):
    """Where the windows of a budget begin, as far as their length does not tell."""

    model_config = ConfigDict(
        json_schema_extra=rules(rule("has(self.quarterStartMonth)", "quarterStartMonth must be given in resetConfig"))
    )

    quarter_start_month: Annotated[
        int | None,
        Field(
            json_schema_extra={"minimum": 1, "maximum": MONTHS},
            description="Month in which the first quarter of a year begins, 1 to 12; the gateway's default is 1.",
        ),
    ] = None

    @property
    def month(self) -> int:
        """The month in which the first quarter begins; where nothing is said it is January."""
        return self.quarter_start_month or 1


class SpecBudget(Model):
    """Dollars that may be spent in a window."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.resetConfig) || self.resetDuration.endsWith('Q')",
                "resetConfig is for windows of quarters only, such as 1Q",
            )
        )
    )

    max_limit: Annotated[
        Money,
        Field(
            json_schema_extra=rules(rule("self > 0.0", "maxLimit must be greater than 0 US dollars")),
            description="US dollars that may be spent in a window, greater than 0.",
        ),
    ]
    reset_duration: Annotated[
        BudgetDuration,
        Field(
            description="Length of the window: a whole number and s, m, h, d, w, M (30 days), Q (quarters, from v1.6.10 "
            "of the gateway on) or Y, such as 1d."
        ),
    ]
    reset_config: Annotated[
        ResetConfig | None,
        Field(description="Where windows of quarters begin, with gateways from v1.6.10 on. Left out: not managed."),
    ] = None


class Budget(SpecBudget):
    """A budget as a gateway has it."""

    calendar_aligned: Annotated[
        bool | None,
        Field(
            description="Whether its windows begin with the calendar's; with gateways from v1.4.18 to v1.5.2, which keep "
            "that in the budget."
        ),
    ] = None

    @classmethod
    def of(cls, budget: SpecBudget) -> "Budget":
        """Return the budget that a spec wants."""
        return budget if isinstance(budget, cls) else cls(**dict(budget))


_EACH_WITH_DURATION = tuple(
    rule(
        f"has(self.{name}MaxLimit) == has(self.{name}ResetDuration)",
        f"{name}MaxLimit and {name}ResetDuration must be given together",
    )
    for name in ("token", "request")
)


class RateLimit(Model):
    """Tokens and requests allowed in a window each; nothing in it removes the rate limit."""

    model_config = ConfigDict(json_schema_extra=rules(*_EACH_WITH_DURATION))

    token_max_limit: Annotated[
        Limit | None, Field(description="Tokens allowed in a window, 1 or more. Left out: not limited.")
    ] = None
    token_reset_duration: Annotated[
        Duration | None, Field(description="Length of the window of tokens, such as 1h.")
    ] = None
    request_max_limit: Annotated[
        Limit | None, Field(description="Requests allowed in a window, 1 or more. Left out: not limited.")
    ] = None
    request_reset_duration: Annotated[
        Duration | None, Field(description="Length of the window of requests, such as 1m.")
    ] = None

    @property
    def empty(self) -> bool:
        """Whether it limits nothing."""
        return self.token_max_limit is None and self.request_max_limit is None


def _same(field: str) -> str:
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


class ModelConfigGovernanceSpec(SpecBase):
    """What budget and rate limit of one model config should be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                " && ".join(_same(field) for field in ("modelName", "provider", "scope", "scopeId")),
                "modelName, provider, scope and scopeId are immutable: "
                "delete this resource and create another one to manage something else",
            ),
            rule(
                "(self.scope == 'global') != has(self.scopeId)",
                "scopeId must be given with scope virtualKey or user, and only then",
            ),
            rule("!has(self.budget) || !has(self.budgets)", "only one of budget and budgets may be set in spec"),
            rule(
                "has(self.budget) || has(self.budgets) || has(self.rateLimit)",
                "at least one of budget, budgets and rateLimit must be given",
            ),
        )
    )

    connection_ref: Annotated[
        BifrostConnectionRef,
        Field(
            description="Which connection opens the gateway. "
            "Default: the Connection bifrost of this namespace, else the ClusterConnection bifrost."
        ),
    ] = BifrostConnectionRef()
    model_config_id: Annotated[
        Identifier | None,
        Field(
            description="Id of an existing model config to manage, and no other. "
            "Left out: found by modelName, provider, scope and scopeId, else created."
        ),
    ] = None
    model_name: Annotated[RemoteName, Field(description="Name of the model; * means all models. Immutable.")]
    provider: Annotated[
        RemoteName | None,
        Field(description="Name of the provider, such as openai. Left out: all providers. Immutable."),
    ] = None
    scope: Annotated[
        Scope, Field(description="Whose requests are governed: global, virtualKey or user. Immutable. Default: global.")
    ] = Scope.GLOBAL
    scope_id: Annotated[
        RemoteName | None, Field(description="Id of the virtual key or user; with those scopes only. Immutable.")
    ] = None
    budget: Annotated[SpecBudget | None, Field(description="The only budget; see budgets for several windows.")] = None
    budgets: Annotated[
        list[SpecBudget] | None,
        Field(
            max_length=MAX_BUDGETS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["resetDuration"]},
            description="All budgets, at most 8, each with another resetDuration; [] removes them. "
            "Left out, and no budget: not managed.",
        ),
    ] = None
    rate_limit: Annotated[
        RateLimit | None,
        Field(description="The rate limit as a whole; {} removes it. Left out: not managed."),
    ] = None
    calendar_aligned: Annotated[
        bool | None,
        Field(
            description="true lets windows begin with the day, week, month or year of the calendar (UTC), false when the "
            "limit was made. Some releases of the gateway forget what was used when it becomes true, and some cannot "
            "change it for model configs. Left out: not managed."
        ),
    ] = None
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="What happens at the gateway when this resource is deleted. Orphan leaves the limits as they are; "
            "Restore puts back what was found before the first write; Delete deletes the model config, with the memory "
            "of what was spent, if this resource created it. Default: Orphan.",
        ),
    ] = DeletionPolicy.ORPHAN


class GovernanceSettings(Model):
    """Budgets, rate limit and alignment of a model config; what is left out is not managed."""

    budgets: Annotated[
        list[Budget] | None,
        Field(json_schema_extra={"x-kubernetes-list-type": "atomic"}, description="Budgets; [] means none."),
    ] = None
    rate_limit: Annotated[RateLimit | None, Field(description="Rate limit; {} means none.")] = None
    calendar_aligned: Annotated[
        bool | None,
        Field(description="Whether windows begin with those of the calendar; absent where it does not matter."),
    ] = None

    def beyond(self) -> list[str]:
        """Return which of its values no spec could have, a sentence each; how long windows are does not count."""
        said = []
        for budget in self.budgets or []:
            name, reset = f"budgets[{budget.reset_duration}]", budget.reset_config
            if not budget.max_limit > 0:
                said.append(
                    f"{name}.maxLimit was {budget.max_limit:g} before the first write, which is not greater than 0"
                )
            if reset is not None and not 1 <= reset.month <= MONTHS:
                said.append(
                    f"{name}.resetConfig.quarterStartMonth was {reset.month} before the first write, which is no month"
                )
        limits = self.rate_limit or RateLimit()
        for name, limit in (("tokenMaxLimit", limits.token_max_limit), ("requestMaxLimit", limits.request_max_limit)):
            if limit is not None and limit < 1:
                said.append(f"rateLimit.{name} was {limit} before the first write, which is less than 1")
        return said

    @property
    def demands_nothing(self) -> bool:
        """Whether it is met where there is no model config at all."""
        return not self.budgets and (self.rate_limit is None or self.rate_limit.empty)


class ResolvedModelConfig(Model):
    """The model config by the gateway's id."""

    name: Annotated[str, Field(description="Provider and model, for people.")]
    model_config_id: Annotated[str | None, Field(description="Id of the model config at the gateway.")] = None


class Usage(Model):
    """What was used in one window."""

    limit: Annotated[str, Field(description="Which limit: budget (US dollars), tokens or requests.")]
    reset_duration: Annotated[str, Field(description="Length of the window.")]
    max_limit: Annotated[Money, Field(description="What may be used in a window, with what an override adds.")]
    override_amount: Annotated[
        Money | None,
        Field(description="What an override of the gateway adds to the limit; absent where there is none."),
    ] = None
    current_usage: Annotated[Money, Field(description="What was used since lastReset.")]
    last_reset: Annotated[str | None, Field(description="When the window began, as the gateway tells it.")] = None


class GovernanceSummary(Model):
    """Limits and usage at a glance, for the columns of kubectl get."""

    limit: Annotated[str, Field(description="The limits of the spec.")]
    used: Annotated[str, Field(description="What was used of them at usageTime.")]


class ModelConfigGovernanceStatus(StatusBase):
    """What the gateway has and how far it is from the spec."""

    target: Annotated[ResolvedModelConfig | None, Field(description="Resolved id of the target.")] = None
    created: Annotated[
        bool | None, Field(description="true where this resource created the model config, else absent.")
    ] = None
    applied: Annotated[
        GovernanceSettings | None, Field(description="Settings this operator last wrote or found in place.")
    ] = None
    observed: Annotated[
        GovernanceSettings | None, Field(description="What the gateway reports for the managed limits.")
    ] = None
    baseline: Annotated[
        GovernanceSettings | None,
        Field(description="What was found before the first write, to be put back; with deletionPolicy Restore only."),
    ] = None
    usage: Annotated[
        list[Usage],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "atomic", "maxItems": MOST_WINDOWS},
            description=f"What was used, window by window, of at most {MOST_WINDOWS}, those of the spec first; written when "
            "it moved by a percent of a limit, at most once per interval.",
        ),
    ]
    omitted_windows: Annotated[
        int | None, Field(description="How many more windows the gateway has; absent where usage lists them all.")
    ] = None
    usage_time: Annotated[AwareDatetime | None, Field(description="When usage was read.")] = None
    summary: Annotated[GovernanceSummary | None, Field(description="Limits and usage at a glance.")] = None


class ModelConfigGovernance(Managed):
    """Keeps budget and rate limit of one model config of a Bifrost gateway at what the spec says."""

    PLURAL: ClassVar[str] = "modelconfiggovernances"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("mcg",)
    CONNECTION: ClassVar[str] = BIFROST
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        *Managed.COMMON_COLUMNS,
        Column(name="Limit", json_path=".status.summary.limit"),
        Column(name="Used", json_path=".status.summary.used"),
        *Managed.DRIFT_COLUMNS,
        *Managed.WIDE_COLUMNS,
    )

    spec: Annotated[ModelConfigGovernanceSpec, Field(description="What should be.")]
    status: Annotated[ModelConfigGovernanceStatus, Field(description="What is; written by the operator.")] = (
        ModelConfigGovernanceStatus()
    )
