"""ModelConfigGovernance: budget and rate limit of one model config of a Bifrost gateway.

Durations are kept word for word, because the gateway keeps them so: `24h` and `1d` are two windows to it. Only the
pattern that every generation of the gateway accepts is allowed.
"""

import re
from enum import StrEnum
from typing import Annotated, ClassVar

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

LARGEST_LIMIT = 2**63 - 1
"""The gateway keeps tokens and requests as int64."""

DURATION = re.compile(r"[1-9][0-9]*[smhdwMY]")
"""A duration that all generations of the gateway accept and mean the same by."""

Duration = Annotated[
    str,
    Field(
        json_schema_extra=rules(
            rule(
                "self.matches('^[1-9][0-9]*(s|m|h|d|w|M|Y)$')",
                "a duration is a whole number and one of s, m (minutes), h, d, w, M (30 days) and Y, such as 1h or 1M",
            ),
            maxLength=16,
        )
    ),
]

Money = Annotated[float, PlainSerializer(lambda value: int(value) if value.is_integer() else value)]
"""US dollars. Whole amounts are written without a fraction, as people write them."""

Limit = Annotated[int, Field(json_schema_extra={"format": "int64", "minimum": 1})]


class Scope(StrEnum):
    """Whose requests a model config governs."""

    GLOBAL = "global"
    VIRTUAL_KEY = "virtualKey"
    USER = "user"


class Budget(Model):
    """Dollars that may be spent in a window."""

    max_limit: Annotated[
        Money,
        Field(
            json_schema_extra=rules(rule("self > 0.0", "maxLimit must be greater than 0 US dollars")),
            description="US dollars that may be spent in a window, greater than 0.",
        ),
    ]
    reset_duration: Annotated[
        Duration,
        Field(description="Length of the window: a whole number and s, m, h, d, w, M (30 days) or Y, such as 1d."),
    ]


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
    model_name: Annotated[Name, Field(description="Name of the model; * means all models. Immutable.")]
    provider: Annotated[
        Name | None, Field(description="Name of the provider, such as openai. Left out: all providers. Immutable.")
    ] = None
    scope: Annotated[
        Scope, Field(description="Whose requests are governed: global, virtualKey or user. Immutable. Default: global.")
    ] = Scope.GLOBAL
    scope_id: Annotated[
        Name | None, Field(description="Id of the virtual key or user; with those scopes only. Immutable.")
    ] = None
    budget: Annotated[Budget | None, Field(description="The only budget; see budgets for several windows.")] = None
    budgets: Annotated[
        list[Budget] | None,
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
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="What happens at the gateway when this resource is deleted. Orphan leaves the limits as they are; "
            "Restore puts back what was found before the first write; Delete deletes the model config, with the memory "
            "of what was spent, if this resource created it. Default: Orphan.",
        ),
    ] = DeletionPolicy.ORPHAN


class GovernanceSettings(Model):
    """Budgets and rate limit of a model config; what is left out is not managed."""

    budgets: Annotated[
        list[Budget] | None,
        Field(json_schema_extra={"x-kubernetes-list-type": "atomic"}, description="Budgets; [] means none."),
    ] = None
    rate_limit: Annotated[RateLimit | None, Field(description="Rate limit; {} means none.")] = None

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
    max_limit: Annotated[Money, Field(description="What may be used in a window.")]
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
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="What was used, window by window; written when it moved by a percent of a limit, "
            "at most once per interval.",
        ),
    ]
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
