"""The bodies of writes as Go decodes them: unknown fields are ignored, null is absent, a wrong type is an error.

Names match in any case, and of two that match the last wins. A byte order mark is no JSON.
"""

import json
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tests.simulators.bifrost.auth import refusal
from tests.simulators.bifrost.specs import Generation

Int64: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Body(BaseModel):
    # Strict, because Go takes no "5" for 5, no 5.0 for an int64 and no true for a number.
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


def _object(value: Any) -> Any:
    """In a list, null is an object without fields."""
    return {} if value is None else value


class ResetConfigBody(_Body):
    """When the quarters of a budget start."""

    quarter_start_month: int | None = None


class BudgetBody(_Body):
    """A budget."""

    id: str | None = None
    max_limit: float | None = None
    reset_duration: str | None = None
    reset_config: ResetConfigBody | None = None


class RateLimitBody(_Body):
    """A rate limit with a token and a request part."""

    token_max_limit: Int64 | None = None
    token_reset_duration: str | None = None
    request_max_limit: Int64 | None = None
    request_reset_duration: str | None = None


class RuleBody(_Body):
    """A rate limit of one metric."""

    id: str | None = None
    metric: str | None = None
    max_limit: Int64 | None = None
    reset_duration: str | None = None


class Body(_Body):
    """The body of a POST or a PUT; what the generation does not know is absent."""

    model_name: str | None = None
    provider: str | None = None
    scope: str | None = None
    scope_id: str | None = None
    budget: BudgetBody | None = None
    budgets: list[Annotated[BudgetBody, BeforeValidator(_object)]] | None = None
    rate_limit: RateLimitBody | None = None
    rate_limits: list[Annotated[RuleBody, BeforeValidator(_object)]] | None = None
    calendar_aligned: bool | None = None


_ALWAYS = frozenset({"model_name", "provider", "rate_limit"})
_KNOWN: dict[Generation, frozenset[str]] = {
    1: _ALWAYS | {"budget"},
    2: _ALWAYS | {"budgets", "calendar_aligned"},
    3: _ALWAYS | {"budgets", "rate_limits", "calendar_aligned"},
}


def parse(raw: bytes, generation: Generation, method: Literal["POST", "PUT"]) -> Body:
    """Return the fields that a generation reads, or raise `RefusedError`."""
    known = _KNOWN[generation]
    if method == "POST" and generation > 1:
        known |= {"scope", "scope_id"}
    try:
        # As a text, because as bytes Python would take a byte order mark for a matter of the encoding.
        decoded = _object(json.loads(raw.decode(errors="replace"), parse_constant=_constant, object_pairs_hook=_fields))
        if isinstance(decoded, dict):
            decoded = {name: value for name, value in decoded.items() if name in known}
        return Body.model_validate(decoded)
    except (ValidationError, ValueError, RecursionError):
        raise refusal(400, "Invalid JSON") from None


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object with its names in lower case."""
    return {name.lower(): value for name, value in pairs}


def _constant(name: str) -> NoReturn:
    """Refuse what Python takes for a number and JSON does not."""
    raise ValueError(name)
