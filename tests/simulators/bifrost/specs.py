"""Descriptions of what a test puts into the simulator, shared by the simulator and the tests."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

Generation: TypeAlias = Literal[1, 2, 3]
"""Of the endpoint: 1 is up to v1.5.8, 2 from v1.5.9 on, 3 is not released."""
Metric: TypeAlias = Literal["tokens", "requests"]
AuthMode: TypeAlias = Literal["open", "basic", "bearer", "setup_token"]
"""Whom the gateway lets in. With authentication on, which `basic` and `bearer` both are, a login and a session are valid
alike; the two only name what a test means to use."""

ALL_MODELS = "*"
GLOBAL = "global"
SCOPES = frozenset({GLOBAL, "virtual_key"})
"""Those of the open-source gateway; the enterprise one has `user` besides."""

VERSIONS: dict[Generation, str] = {1: "v1.5.3", 2: "v2.2.4", 3: "v2.3.0-dev"}
"""What a gateway of a generation calls itself unless told otherwise; that of the third is made up."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OverrideSpec(_Spec):
    """Dollars that somebody added to a budget's limit for a while; no write of this API can say anything of it."""

    amount: float
    mode: Literal["cycles", "forever"] = "forever"
    cycles_remaining: int = 0


class BudgetSpec(_Spec):
    """A budget in dollars."""

    max_limit: float
    reset_duration: str = "1d"
    current_usage: float | None = None
    """None leaves that of a budget there is, with this id or else this duration, and is 0 for a new one."""
    id: str | None = None
    """Made up unless given."""
    quarter_start_month: int | None = None
    """Of a budget of `1Q`."""
    override: OverrideSpec | None = None
    """Shown from v1.6.10 on."""


class RuleSpec(_Spec):
    """A rate limit of one metric, which only generation 3 has."""

    metric: Metric
    max_limit: int
    reset_duration: str = "1h"
    current_usage: int = 0


class RateLimitSpec(_Spec):
    """Limits of tokens and of requests; None for what is not there."""

    token_max_limit: int | None = None
    token_reset_duration: str | None = None
    request_max_limit: int | None = None
    request_reset_duration: str | None = None
    token_current_usage: int | None = None
    """None leaves that of a limit there is, and is 0 for a new one."""
    request_current_usage: int | None = None


class RowSpec(_Spec):
    """A model config. The rules of the API do not hold for it: duplicates of an identity are allowed."""

    model_name: str
    provider: str | None = None
    scope: str = GLOBAL
    scope_id: str | None = None
    scope_name: str | None = None
    budgets: list[BudgetSpec] = []
    """Generation 1 shows the first."""
    rate_limit: RateLimitSpec | None = None
    rules: list[RuleSpec] = []
    """Beside the rate limit, from generation 3 on."""
    calendar_aligned: bool = False
    id: str | None = None
    """Made up unless given."""
    config: bool = False
    """Whether it is an entry of the gateway's config.json, which comes back at a restart."""
    since: Generation = 1
    """First generation that shows it; rows of other scopes than global are of 2 in any case."""


class RowChanges(TypedDict, total=False):
    """What is to be different about a row."""

    model_name: str
    provider: str | None
    scope: str
    scope_id: str | None
    scope_name: str | None
    budgets: list[BudgetSpec]
    rate_limit: RateLimitSpec | None
    rules: list[RuleSpec]
    calendar_aligned: bool


class Traffic(_Spec):
    """What is used per second of every budget and every limit there is."""

    dollars_per_second: float = 0
    tokens_per_second: float = 0
    requests_per_second: float = 0


class Options(_Spec):
    """How the gateway behaves."""

    generation: Generation = 2
    version: str | None = None
    """None is that of the generation."""
    duplicates: bool = False
    """Whether a POST misses rows of its identity, as it does when the other came through another replica."""
    aligns: bool = False
    """Whether a POST and a PUT may say calendar_aligned of a row, as the documents have it; released gateways ignore it."""
    enterprise: bool = False
    """Whether the scope `user` is known."""
    governance: bool = True
    """Whether the endpoint is there; without a config store, or in a release before v1.4.5, the gateway has none."""

    @property
    def told_version(self) -> str:
        """What the gateway calls itself."""
        return VERSIONS[self.generation] if self.version is None else self.version


GLOBAL_ROW = "3f0c9a52-7d41-4f0e-9d7b-0c1f6a8e2b01"
CONFIG_ROW = "3f0c9a52-7d41-4f0e-9d7b-0c1f6a8e2b02"
KEY_ROW = "3f0c9a52-7d41-4f0e-9d7b-0c1f6a8e2b03"
PROVIDER_ROW = "3f0c9a52-7d41-4f0e-9d7b-0c1f6a8e2b04"

VIRTUAL_KEYS = {"vk-team-a": "team-a", "vk-team-b": "team-b"}
"""Names of the virtual keys there are unless a test adds some."""

DEFAULT_WORLD = [
    RowSpec(
        id=GLOBAL_ROW,
        model_name="gpt-4o",
        provider="openai",
        budgets=[BudgetSpec(max_limit=100, reset_duration="1M", current_usage=12.5)],
        rate_limit=RateLimitSpec(
            token_max_limit=200_000,
            token_reset_duration="1h",  # noqa: S106  # no secret
            request_max_limit=1000,
            request_reset_duration="1h",
            token_current_usage=5000,
            request_current_usage=40,
        ),
    ),
    RowSpec(
        id=CONFIG_ROW,
        model_name="gpt-4o-mini",
        provider="openai",
        budgets=[BudgetSpec(max_limit=10, reset_duration="1d")],
        config=True,
    ),
    RowSpec(
        id=KEY_ROW,
        model_name=ALL_MODELS,
        scope="virtual_key",
        scope_id="vk-team-a",
        budgets=[BudgetSpec(max_limit=500, reset_duration="1M")],
    ),
    RowSpec(
        id=PROVIDER_ROW,
        model_name=ALL_MODELS,
        provider="anthropic",
        rate_limit=RateLimitSpec(request_max_limit=60, request_reset_duration="1m"),
        since=2,
    ),
]
"""What there is unless a test says otherwise: a row made through the API, one from config.json, and the governance of
a virtual key and of a provider, which are rows of the same table from generation 2 on and nobody else's to change."""
