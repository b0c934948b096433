"""What is sent to a gateway: the shape of each generation, ids that keep what was spent, refusals beforehand."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.bifrost_bodies import check, matched, parts
from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.errors import InvalidSettings
from setpoint.resources.model_config_governance import Budget, GovernanceSettings, RateLimit, Scope

ONE, TWO = Generation.ONE_BUDGET, Generation.BUDGETS
GLOBAL = Identity("gpt-4o", "openai", Scope.GLOBAL, None)
DURATIONS = st.sampled_from(["1h", "24h", "1d", "7d", "1w", "1M", "1Y", "monthly"])


def row(durations: list[str]) -> ModelConfig:
    """Return a row with budgets of these durations."""
    budgets = [Budget(max_limit=1, reset_duration=duration) for duration in durations]
    ids = {duration: f"id-{duration}" for duration in durations}
    return ModelConfig("row", GLOBAL, TWO, GovernanceSettings(budgets=budgets), ids, ())


def budgets(*durations: str) -> list[Budget]:
    """Return budgets of these durations."""
    return [Budget(max_limit=10, reset_duration=duration) for duration in durations]


@given(st.lists(DURATIONS, unique=True), st.lists(DURATIONS.filter(lambda one: one != "monthly"), unique=True))
def test_ids_are_used_once_and_stay_with_their_duration(there: list[str], wanted: list[str]) -> None:
    ids = matched(row(there), budgets(*wanted))
    assert len(set(ids.values())) == len(ids) == min(len(there), len(wanted))
    for duration in set(there) & set(wanted):
        assert ids[duration] == f"id-{duration}"


@pytest.mark.parametrize(
    ("there", "wanted", "ids"),
    [
        (["1M"], ["1w"], {"1w": "id-1M"}),
        (["1d", "1M"], ["1M", "2d"], {"1M": "id-1M", "2d": "id-1d"}),
        (["1d", "1M"], ["2w"], {"2w": "id-1M"}),
        (["1d", "1M"], ["2d", "2M"], {"2d": "id-1d", "2M": "id-1M"}),
        ([], ["1d"], {}),
        (["1d"], [], {}),
    ],
)
def test_a_budget_whose_duration_changes_takes_the_nearest_id(
    there: list[str], wanted: list[str], ids: dict[str, str]
) -> None:
    assert matched(row(there), budgets(*wanted)) == ids


def test_each_generation_gets_its_own_field_and_an_unknown_one_both() -> None:
    settings = GovernanceSettings(budgets=budgets("1d"))
    plain = {"max_limit": 10, "reset_duration": "1d"}
    assert parts(settings, ONE, {"1d": "id"}) == {"budget": plain}
    assert parts(settings, TWO, {"1d": "id"}) == {"budgets": [{"id": "id", **plain}]}
    assert parts(settings, Generation.RATE_LIMITS, {}) == {"budgets": [plain]}
    assert parts(settings, None, {}) == {"budget": plain, "budgets": [plain]}


def test_empty_parts_remove_and_missing_ones_are_not_sent() -> None:
    nothing = GovernanceSettings(budgets=[], rate_limit=RateLimit())
    assert parts(nothing, ONE, {}) == {"budget": {}, "rate_limit": {}}
    assert parts(nothing, TWO, {}) == {"budgets": [], "rate_limit": {}}
    assert parts(GovernanceSettings(), TWO, {}) == {}
    requests = RateLimit(request_max_limit=5, request_reset_duration="1h")
    assert parts(GovernanceSettings(rate_limit=requests), TWO, {}) == {
        "rate_limit": {"request_max_limit": 5, "request_reset_duration": "1h"}
    }


def with_rate(**fields: Any) -> GovernanceSettings:
    """Return settings with a rate limit."""
    return GovernanceSettings(rate_limit=RateLimit(**fields))


Settings = Callable[[], GovernanceSettings]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (lambda: GovernanceSettings(budgets=[Budget(max_limit=0, reset_duration="1d")]), "greater than 0"),
        (lambda: GovernanceSettings(budgets=[Budget(max_limit=float("inf"), reset_duration="1d")]), "greater than 0"),
        (lambda: GovernanceSettings(budgets=budgets("1h30m")), "1h30m is not a duration"),
        (lambda: GovernanceSettings(budgets=budgets("1d", "1d")), "same resetDuration"),
        (lambda: with_rate(token_max_limit=5), "given together"),
        (lambda: with_rate(request_reset_duration="1h"), "given together"),
        (lambda: with_rate(request_max_limit=2**63, request_reset_duration="1h"), "from 1 to 9223372036854775807"),
        (lambda: with_rate(request_max_limit=0, request_reset_duration="1h"), "from 1 to"),
        (lambda: with_rate(request_max_limit=1, request_reset_duration="hourly"), "hourly is not a duration"),
    ],
)
def test_what_the_gateway_would_refuse_is_not_sent(settings: Settings, words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        check(GLOBAL, settings(), TWO)


@pytest.mark.parametrize(
    ("identity", "count", "words"),
    [
        (GLOBAL, 2, "keeps one budget"),
        (Identity("m", None, Scope.USER, "u"), 1, "has no scopes"),
        (Identity("*", "openai", Scope.GLOBAL, None), 1, "not for all models"),
    ],
)
def test_what_the_first_generation_cannot_say_is_refused_there_only(identity: Identity, count: int, words: str) -> None:
    settings = GovernanceSettings(budgets=budgets("1d", "1w")[:count])
    with pytest.raises(InvalidSettings, match=words):
        check(identity, settings, ONE)
    check(identity, settings, TWO)
    check(identity, settings, None)
