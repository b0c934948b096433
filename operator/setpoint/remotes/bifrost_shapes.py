"""What a Bifrost gateway says of its model configs, in each generation of its API, and how it is read.

Three generations of one endpoint are told apart by the items themselves (the gateway's source, releases 1.4 to 2.2):

    generation   releases          budget      scope   rate limit
    1            up to 1.5.8       `budget`    none    `rate_limit`
    2            1.5.9 to 2.2.x    `budgets`   yes     `rate_limit`
    3            not released      `budgets`   yes     `rate_limits`, with or without `rate_limit`

Absent, null and empty mean the same in what is read; only the list of all rows has to be there, and is null where there are
none. Whether windows begin with the calendar's stands in the budget from v1.4.18 to v1.5.2, and in the row from generation 2
on. Lists come in any order. Whatever cannot be understood is an `UnreadableAnswer` that says what was expected, never a guess.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from setpoint.remotes.bifrost_windows import SCOPES, release, seconds
from setpoint.remotes.credential import REDACTED
from setpoint.remotes.errors import RemoteFailure, UnreadableAnswer
from setpoint.resources.common import clean_message
from setpoint.resources.model_config_governance import (
    LARGEST_LIMIT,
    Budget,
    GovernanceSettings,
    RateLimit,
    ResetConfig,
    Scope,
)

_SCOPES = {Scope.GLOBAL: "global", Scope.VIRTUAL_KEY: "virtual_key", Scope.USER: "user"}
_RULE = ("max_limit", "reset_duration", "current_usage", "last_reset")
_METRICS = {"tokens": "token", "token": "token", "requests": "request", "request": "request"}

LONGEST_ID = 253
LONGEST_NAME = 1024
"""Characters of a model's name, a provider or a scope's id; a spec's are shorter."""
MOST_BUDGETS = 64
"""Budgets of one row that are read; a spec has eight at most."""
LONGEST_WORD = 64
"""Characters of a duration or a time that are read; a spec's durations are shorter."""


class Generation(IntEnum):
    """Of the gateway's API."""

    ONE_BUDGET = 1
    BUDGETS = 2
    RATE_LIMITS = 3


class Identity(NamedTuple):
    """What makes a model config the one that is meant; None as a provider stands for all of them."""

    model_name: str
    provider: str | None
    scope: Scope
    scope_id: str | None

    def __str__(self) -> str:
        model = f"{self.provider}/{self.model_name}" if self.provider else self.model_name
        return model if self.scope is Scope.GLOBAL else f"{model} of {self.scope} {self.scope_id}"

    @property
    def wire_scope(self) -> str:
        """The scope in the gateway's own word."""
        return _SCOPES[self.scope]


@dataclass(frozen=True, slots=True)
class Window:
    """What was used in one window of one limit."""

    limit: str
    """budget, tokens or requests."""
    reset_duration: str
    max_limit: float
    """What may be used, with what an override adds."""
    current_usage: float
    last_reset: str | None
    override: float = 0.0
    """What an override adds."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One row of the gateway."""

    id: str
    identity: Identity | None
    """None where its scope is a word not known here, so that it is nobody's."""
    generation: Generation
    settings: GovernanceSettings
    budget_ids: Mapping[str, str]
    """Ids of the budgets by their duration."""
    usage: tuple[Window, ...]
    rule_ids: Mapping[str, str] = field(default_factory=dict)
    """Ids of the items of `rate_limits` by their metric, token or request; of generation 3 only."""
    problem: str | None = None
    """Why budgets and rate limit could not be read; None where they were."""

    @classmethod
    def from_wire(cls, raw: Any) -> "ModelConfig":
        """Return the model config in an item; it has a `problem` where only its identity makes sense.

        Raises:
            RemoteFailure: it cannot be told what it is of; were it left out, it would look as if there were none.
        """
        match raw:
            case {"model_name": str(model_name)} if len(model_name) <= LONGEST_NAME:
                generation = _generation(raw)
                identity = _identity(raw, model_name, generation)
            case {"model_name": str()}:
                raise UnreadableAnswer(
                    f"the gateway reports a model config whose model_name has more than {LONGEST_NAME} characters",
                    status=200,
                )
            case _:
                raise UnreadableAnswer("the gateway reports a model config without model_name", status=200)
        id_ = raw.get("id")
        if not isinstance(id_, str) or not _is_id(id_):
            # Left out, it would look as if there were none of its identity.
            problem = f"of a model config of {model_name}: id should be a text of at most {LONGEST_ID} characters"
            return cls("", identity, generation, GovernanceSettings(), {}, (), problem=problem)
        try:
            budgets = _budgets(raw, generation)
            rules = _rules(raw)
            rate_limit = _rate_limit(raw, rules)
            settings = GovernanceSettings(
                budgets=[_budget(one, generation) for one in budgets],
                rate_limit=_settings(rate_limit),
                calendar_aligned=_aligned(budgets[0] if budgets else {})
                if generation is Generation.ONE_BUDGET
                else _aligned(raw),
            )
        except _UnreadableError as error:
            problem = f"of model config {id_}: {error}"
            return cls(id_, identity, generation, GovernanceSettings(), {}, (), problem=problem)
        return cls(
            id=id_,
            identity=identity,
            generation=generation,
            settings=settings,
            budget_ids={_text(one): str(one["id"]) for one in budgets if isinstance(one.get("id"), str)},
            usage=(*(_budget_window(one) for one in budgets), *_windows(rate_limit)),
            rule_ids={metric: str(rule["id"]) for metric, rule in rules.items() if isinstance(rule.get("id"), str)},
        )


class _UnreadableError(Exception):
    """A part of a model config is not what it should be."""


def rows(raw: Any) -> Iterator[ModelConfig]:
    """Yield the model configs of a list.

    A gateway of generation 2 without rows answers null for the list, which stands in the answer all the same.

    Raises:
        RemoteFailure: it is no list, it holds what is no model config, or pages were made of it, so that what is missing may
            be there all the same.
    """
    if not isinstance(raw, Mapping) or "model_configs" not in raw:
        raise UnreadableAnswer("the gateway answered a list without model_configs", status=200)
    found = [] if raw["model_configs"] is None else raw["model_configs"]
    if not isinstance(found, list):
        raise UnreadableAnswer("the gateway answered a list whose model_configs are none", status=200)
    total = raw.get("total_count")
    if isinstance(total, int) and total > len(found):
        raise RemoteFailure(f"the gateway answered {len(found)} of {total} model configs, though all were asked for")
    yield from map(ModelConfig.from_wire, found)


def row(raw: Any) -> ModelConfig:
    """Return the model config in the body of a read or a write.

    Raises:
        RemoteFailure: there is none.
    """
    if not isinstance(raw, Mapping) or "model_config" not in raw:
        raise UnreadableAnswer("the gateway answered without a model_config", status=200)
    return ModelConfig.from_wire(raw["model_config"])


def generation_of(version: str | None) -> Generation | None:
    """Return the generation of a release, None for one that cannot be told by its name."""
    known = release(version)
    if known is None:
        return None
    return Generation.ONE_BUDGET if known < SCOPES else Generation.BUDGETS


def _generation(raw: Mapping[str, Any]) -> Generation:
    if "rate_limits" in raw:
        return Generation.RATE_LIMITS
    return Generation.BUDGETS if "scope" in raw or "budgets" in raw else Generation.ONE_BUDGET


def _identity(raw: Mapping[str, Any], model_name: str, generation: Generation) -> Identity | None:
    provider, scope_id = raw.get("provider") or None, raw.get("scope_id") or None
    if not isinstance(provider, str | None) or not isinstance(scope_id, str | None):
        raise UnreadableAnswer(f"the gateway reports a model config of {model_name} whose owner is no text", status=200)
    if generation is Generation.ONE_BUDGET:
        return Identity(model_name, provider, Scope.GLOBAL, None)
    if max(len(provider or ""), len(scope_id or "")) > LONGEST_NAME:
        raise UnreadableAnswer(
            f"the gateway reports a model config of {model_name} whose owner has more than {LONGEST_NAME} characters",
            status=200,
        )
    word = raw.get("scope") or "global"
    scope = next((scope for scope, wire in _SCOPES.items() if wire == word), None)
    if scope is None:
        return None
    return Identity(model_name, provider, scope, scope_id if scope is not Scope.GLOBAL else None)


def _budgets(raw: Mapping[str, Any], generation: Generation) -> list[Mapping[str, Any]]:
    if generation is Generation.ONE_BUDGET:
        single = raw.get("budget")
        budgets = [single] if single else []
    else:
        budgets = raw.get("budgets") or []
    if not isinstance(budgets, list) or not all(isinstance(one, Mapping) for one in budgets):
        raise _UnreadableError("budgets should be a list of objects")
    if len(budgets) > MOST_BUDGETS:
        raise _UnreadableError(f"there should be at most {MOST_BUDGETS} budgets")
    for one in budgets:
        if not isinstance(one.get("reset_duration"), str) or not _is_number(one.get("max_limit")):
            raise _UnreadableError("a budget should have a number as max_limit and a text as reset_duration")
    # In one order, since the gateway's own may be another at every read.
    return sorted(budgets, key=lambda one: (seconds(_text(one)) or math.inf, _text(one)))


def _budget(raw: Mapping[str, Any], generation: Generation) -> Budget:
    duration = _text(raw)
    return Budget(
        max_limit=_number(raw, "max_limit"),
        reset_duration=duration,
        reset_config=_reset_config(raw.get("reset_config"), duration),
        calendar_aligned=_aligned(raw) if generation is Generation.ONE_BUDGET else None,
    )


def _reset_config(raw: Any, duration: str) -> ResetConfig | None:
    """Return what is said of a budget's windows; of quarters it is kept, too, that nothing is said."""
    if raw is not None and not isinstance(raw, Mapping):
        raise _UnreadableError("reset_config should be an object")
    month = (raw or {}).get("quarter_start_month")
    if month is not None and (not isinstance(month, int) or isinstance(month, bool)):
        raise _UnreadableError("quarter_start_month should be a whole number")
    if month is not None and abs(month) > LARGEST_LIMIT:
        raise _UnreadableError("quarter_start_month should be a month")
    return ResetConfig(quarter_start_month=month or None) if raw or duration.endswith("Q") else None


def _aligned(raw: Mapping[str, Any]) -> bool | None:
    """Return whether windows begin with the calendar's, as a row or a budget tells; None where it does not."""
    aligned = raw.get("calendar_aligned")
    if aligned is not None and not isinstance(aligned, bool):
        raise _UnreadableError("calendar_aligned should be true or false")
    return aligned


def _rules(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the items of `rate_limits` by their metric, token or request; two of one metric are more than a spec can say."""
    entries = raw.get("rate_limits") or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise _UnreadableError("rate_limits should be a list of objects")
    rules: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        metric = _METRICS.get(str(entry.get("metric")))
        if metric is None or metric in rules:
            raise _UnreadableError("rate_limits should be one of tokens and one of requests at most")
        rules[metric] = entry
    return rules


def _rate_limit(raw: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the rate limit in the form of generations 1 and 2, with the rules of generation 3, which hold beside it."""
    rate_limit = raw.get("rate_limit") or {}
    if not isinstance(rate_limit, Mapping):
        raise _UnreadableError("rate_limit should be an object")
    flat = dict(rate_limit)
    for metric, rule in rules.items():
        # With the metric in front in what the gateway shows, without it in what it is told.
        shown = {name: rule.get(f"{metric}_{name}", rule.get(name)) for name in _RULE}
        before = {name: flat.get(f"{metric}_{name}") for name in ("max_limit", "reset_duration")}
        if before["max_limit"] is not None and any(before[name] != shown[name] for name in before):
            raise _UnreadableError(f"rate_limit and rate_limits should not limit {metric}s in two ways")
        flat |= {f"{metric}_{name}": value for name, value in shown.items() if value is not None}
    return flat


def _settings(rate_limit: Mapping[str, Any]) -> RateLimit:
    fields: dict[str, Any] = {}
    for metric in ("token", "request"):
        limit = rate_limit.get(f"{metric}_max_limit")
        if limit is None:
            continue
        if not _is_number(limit) or abs(limit) > LARGEST_LIMIT or int(limit) != limit:
            raise _UnreadableError(f"{metric}_max_limit should be a whole number of at most 64 bits")
        fields[f"{metric}_max_limit"] = int(limit)
        duration = rate_limit.get(f"{metric}_reset_duration")
        fields[f"{metric}_reset_duration"] = _words(duration) or None
    return RateLimit(**fields)


def _budget_window(budget: Mapping[str, Any]) -> Window:
    override = _override(budget)
    return Window(
        limit="budget",
        reset_duration=_text(budget),
        # Two large numbers make one that JSON cannot say.
        max_limit=min(_number(budget, "max_limit") + override, sys.float_info.max),
        current_usage=_number(budget, "current_usage"),
        last_reset=_moment(budget, "last_reset"),
        override=override,
    )


def _override(budget: Mapping[str, Any]) -> float:
    """Return what an override adds to a budget's limit (v1.6.10 and later); one of cycles ends with the last of them."""
    ended = budget.get("override_mode") == "cycles" and _number(budget, "override_cycles_remaining") <= 0
    return 0.0 if ended else max(_number(budget, "override_amount"), 0.0)


def _windows(rate_limit: Mapping[str, Any]) -> list[Window]:
    return [
        Window(
            limit=f"{metric}s",
            reset_duration=_words(rate_limit.get(f"{metric}_reset_duration")),
            max_limit=_number(rate_limit, f"{metric}_max_limit"),
            current_usage=_number(rate_limit, f"{metric}_current_usage"),
            last_reset=_moment(rate_limit, f"{metric}_last_reset"),
        )
        for metric in ("token", "request")
        if rate_limit.get(f"{metric}_max_limit") is not None
    ]


def _is_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isprintable() and REDACTED not in text


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        # A whole number of JSON has no limit, a floating-point one has.
        return False


def _number(raw: Mapping[str, Any], name: str) -> float:
    value = raw.get(name)
    return float(value) if isinstance(value, int | float) and _is_number(value) else 0.0


def _text(budget: Mapping[str, Any]) -> str:
    return _words(budget["reset_duration"])


def _words(value: object) -> str:
    return clean_message(value)[:LONGEST_WORD] if isinstance(value, str) else ""


def _moment(raw: Mapping[str, Any], name: str) -> str | None:
    return _words(raw.get(name)) or None
