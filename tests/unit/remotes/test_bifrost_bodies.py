"""What is sent to a gateway: the shape of each generation, ids that keep what was spent, refusals beforehand."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.bifrost_bodies import asks_release, check, ignored, matched, parts, rules
from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig
from setpoint.remotes.bifrost_windows import Release
from setpoint.remotes.errors import InvalidSettings
from setpoint.resources.model_config_governance import Budget, GovernanceSettings, RateLimit, ResetConfig, Scope

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


def quarterly(duration: str = "1Q", month: int | None = None) -> Budget:
    """Return a budget with a beginning of the year's quarters."""
    return Budget(max_limit=10, reset_duration=duration, reset_config=ResetConfig(quarter_start_month=month))


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
        (lambda: GovernanceSettings(budgets=budgets("293Y")), "293Y is longer than 292 years"),
        (lambda: GovernanceSettings(budgets=budgets("1187Q")), "1187Q is longer than 292 years"),
        (lambda: with_rate(request_max_limit=1, request_reset_duration="106752d"), "106752d is longer than 292 years"),
        (lambda: with_rate(request_max_limit=1, request_reset_duration="1Q"), "1Q is not a duration"),
        (lambda: GovernanceSettings(budgets=[quarterly("1M", 4)]), "resetConfig is for windows of quarters only"),
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


@pytest.mark.parametrize("longest", ["292Y", "3558M", "15250w", "106751d", "2562047h", "153722867m", "9223372036s"])
def test_the_longest_windows_are_sent(longest: str) -> None:
    check(GLOBAL, GovernanceSettings(budgets=budgets(longest)), TWO)
    check(GLOBAL, with_rate(request_max_limit=1, request_reset_duration=longest), TWO)


def test_quarters_are_for_releases_that_know_them() -> None:
    settings = [GovernanceSettings(budgets=budgets("1Q")), GovernanceSettings(budgets=[quarterly(month=4)])]
    for one in settings:
        assert asks_release(one)
        for old in (Release(1, 4, 19), Release(1, 5, 16), Release(1, 6, 9)):
            with pytest.raises(InvalidSettings, match=rf"\({old}\) knows no quarters, .* from v1\.6\.10 on"):
                check(GLOBAL, one, TWO, old)
        for known in (Release(1, 6, 10), Release(2, 2, 6), None):
            check(GLOBAL, one, TWO, known)
    assert not asks_release(GovernanceSettings(budgets=budgets("1M")))


def test_alignment_is_for_releases_that_have_it() -> None:
    aligned = GovernanceSettings(calendar_aligned=True)
    assert asks_release(aligned)
    for without in (Release(1, 4, 17), Release(1, 5, 3), Release(1, 5, 8)):
        with pytest.raises(InvalidSettings, match="has no windows that begin with the calendar's"):
            check(GLOBAL, aligned, ONE, without)
        check(GLOBAL, GovernanceSettings(calendar_aligned=False), ONE, without)
    for having in (Release(1, 4, 18), Release(1, 5, 2), Release(1, 5, 9), Release(2, 2, 6), None):
        check(GLOBAL, aligned, ONE, having)


def test_alignment_is_sent_where_each_generation_keeps_it() -> None:
    aligned = GovernanceSettings(calendar_aligned=True)
    there = GovernanceSettings(budgets=budgets("1d"))
    plain = {"max_limit": 10, "reset_duration": "1d"}
    whole = {"budget": {**plain, "calendar_aligned": True}}
    assert parts(aligned, ONE, {}, there) == whole, "without its limit and duration the budget would be removed"
    assert parts(GovernanceSettings(budgets=there.budgets, calendar_aligned=True), ONE, {}) == whole
    assert parts(aligned, TWO, {}, there) == {"calendar_aligned": True}
    both = parts(GovernanceSettings(budgets=there.budgets, calendar_aligned=True), None, {})
    assert both == {**whole, "budgets": [plain], "calendar_aligned": True}


def test_what_nobody_manages_of_a_budget_is_sent_along_as_it_is() -> None:
    there = GovernanceSettings(budgets=[quarterly(month=4), *budgets("1M")])
    raised = GovernanceSettings(budgets=[Budget(max_limit=99, reset_duration="1Q")])
    kept = {"max_limit": 99, "reset_duration": "1Q", "reset_config": {"quarter_start_month": 4}}
    assert parts(raised, TWO, {}, there) == {"budgets": [kept]}
    shortened = GovernanceSettings(budgets=budgets("1w"))
    assert parts(shortened, TWO, {}, there) == {"budgets": [{"max_limit": 10, "reset_duration": "1w"}]}


FOUND = ["90s", "1m", "1h30m", "1.5h", "24h", "1d", "1.5d", "1w", "1M", "1Y", "720h0m0.000000000s", "100ms"]


@pytest.mark.parametrize("duration", FOUND)
@pytest.mark.parametrize("generation", [ONE, TWO])
def test_what_was_found_goes_back_word_for_word(duration: str, generation: Generation) -> None:
    item: dict[str, Any] = {"id": "x", "model_name": "m", "rate_limit": {}}
    budget = {"max_limit": 3.5, "reset_duration": duration}
    if generation is ONE:
        item["budget"] = {**budget, "calendar_aligned": True}
    else:
        item |= {"scope": "global", "budgets": [budget]}
    item["rate_limit"] = {"token_max_limit": 5, "token_reset_duration": duration}
    found = GovernanceSettings.model_validate(ModelConfig.from_wire(item).settings.dump())
    sent = parts(GovernanceSettings(budgets=found.budgets, rate_limit=found.rate_limit), generation, {})
    field = "budget" if generation is ONE else "budgets"
    assert sent == {field: item[field], "rate_limit": item["rate_limit"]}


@pytest.mark.parametrize("config", [{"quarter_start_month": 4}, {}])
def test_quarters_that_were_found_go_back_with_their_beginning(config: dict[str, int]) -> None:
    budget = {"max_limit": 3.5, "reset_duration": "2Q", "reset_config": config}
    item = {"id": "x", "model_name": "m", "scope": "global", "budgets": [budget]}
    found = GovernanceSettings.model_validate(ModelConfig.from_wire(item).settings.dump())
    there = GovernanceSettings(budgets=[quarterly("2Q", 7)])
    assert parts(GovernanceSettings(budgets=found.budgets), TWO, {}, there) == {"budgets": [budget]}


def test_what_a_gateway_leaves_as_it_was_is_noticed() -> None:
    aligned = GovernanceSettings(calendar_aligned=True)
    assert ignored(aligned, GovernanceSettings(calendar_aligned=False)) == "calendarAligned"
    assert ignored(aligned, GovernanceSettings()) == "calendarAligned"
    assert ignored(aligned, aligned) is None
    assert ignored(GovernanceSettings(calendar_aligned=False), GovernanceSettings()) is None
    april = GovernanceSettings(budgets=[quarterly(month=4)])
    assert ignored(april, GovernanceSettings(budgets=[quarterly()])) == "resetConfig of the budget of 1Q"
    january = GovernanceSettings(budgets=[quarterly(month=1)])
    assert ignored(january, GovernanceSettings(budgets=[quarterly()])) is None


def test_rules_keep_their_ids_and_are_left_out_where_nothing_is_limited() -> None:
    limits = RateLimit(request_max_limit=5, request_reset_duration="1h")
    assert rules(limits, {"token": "t", "request": "r"}) == [
        {"id": "r", "metric": "requests", "max_limit": 5, "reset_duration": "1h"}
    ]
    assert rules(RateLimit(), {"token": "t"}) == []
