"""What a gateway says, generation by generation, and what becomes of nonsense."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.bifrost_shapes import Generation, Identity, ModelConfig, generation_of, row, rows
from setpoint.remotes.errors import RemoteFailure, UnreadableAnswer
from setpoint.resources.model_config_governance import Scope

BUDGET = {
    "id": "b",
    "max_limit": 10.5,
    "reset_duration": "1M",
    "current_usage": 2,
    "last_reset": "2026-01-01T00:00:00Z",
}
RATE = {"id": "r", "token_max_limit": 7, "token_reset_duration": "1h", "token_current_usage": 3}
RULE = {
    "id": "t",
    "metric": "tokens",
    "token_max_limit": 7,
    "token_reset_duration": "1h",
    "token_current_usage": 3,
}
NAMES = (
    "calendar_aligned",
    "id",
    "model_name",
    "provider",
    "scope",
    "scope_id",
    "budget",
    "budgets",
    "rate_limit",
    "rate_limits",
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
entries = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "metric",
            "max_limit",
            "reset_duration",
            "reset_config",
            "calendar_aligned",
            "override_amount",
            "token_max_limit",
            "current_usage",
        ]
    ),
    json_values,
)
items = st.dictionaries(st.sampled_from(NAMES), json_values | entries | st.lists(entries, max_size=3))


def item(**fields: Any) -> dict[str, Any]:
    """Return an item of a list."""
    return {"id": "x", "model_name": "gpt-4o", **fields}


def read(**fields: Any) -> ModelConfig:
    """Return what is read of an item."""
    return ModelConfig.from_wire(item(**fields))


@pytest.mark.parametrize(
    ("fields", "generation"),
    [
        ({"budget": BUDGET, "rate_limit": RATE}, Generation.ONE_BUDGET),
        ({"scope": "global", "budgets": [BUDGET], "rate_limit": RATE}, Generation.BUDGETS),
        (
            {
                "scope": "global",
                "budgets": [BUDGET],
                "rate_limits": [{"metric": "tokens", "max_limit": 7, "reset_duration": "1h", "current_usage": 3}],
            },
            Generation.RATE_LIMITS,
        ),
        ({"scope": "global", "budgets": [BUDGET], "rate_limits": [RULE]}, Generation.RATE_LIMITS),
        ({"scope": "global", "budgets": [BUDGET], "rate_limits": [RULE], "rate_limit": RATE}, Generation.RATE_LIMITS),
    ],
)
def test_each_generation_says_the_same(fields: dict[str, Any], generation: Generation) -> None:
    found = read(provider="openai", **fields)
    assert (found.generation, found.problem) == (generation, None)
    assert found.identity == Identity("gpt-4o", "openai", Scope.GLOBAL, None)
    assert found.settings.dump() == {
        "budgets": [{"maxLimit": 10.5, "resetDuration": "1M"}],
        "rateLimit": {"tokenMaxLimit": 7, "tokenResetDuration": "1h"},
    }
    assert found.budget_ids == {"1M": "b"}
    assert [(window.limit, window.max_limit, window.current_usage) for window in found.usage] == [
        ("budget", 10.5, 2),
        ("tokens", 7, 3),
    ]


def test_absent_null_and_empty_are_nothing() -> None:
    for fields in ({}, {"budget": None, "rate_limit": None}, {"scope": "", "budgets": [], "rate_limit": {"id": "r"}}):
        found = read(**fields)
        assert found.settings.dump() == {"budgets": [], "rateLimit": {}}
        assert (found.problem, found.usage) == (None, ())


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"scope": "virtual_key", "scope_id": "k"}, Identity("gpt-4o", None, Scope.VIRTUAL_KEY, "k")),
        ({"scope": "user", "scope_id": "u", "provider": ""}, Identity("gpt-4o", None, Scope.USER, "u")),
        ({"scope": "global", "scope_id": "odd"}, Identity("gpt-4o", None, Scope.GLOBAL, None)),
        ({"scope": "team", "scope_id": "t"}, None),
    ],
)
def test_identities_are_told_apart_and_unknown_scopes_are_nobodys(
    fields: dict[str, Any], identity: Identity | None
) -> None:
    assert read(**fields).identity == identity


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"budget": "much"}, "list of objects"),
        ({"scope": "global", "budgets": {"a": 1}}, "list of objects"),
        ({"budget": {"max_limit": "10", "reset_duration": "1d"}}, "a number as max_limit"),
        ({"budget": {"max_limit": float("nan"), "reset_duration": "1d"}}, "a number as max_limit"),
        ({"rate_limit": [1]}, "rate_limit should be an object"),
        ({"rate_limit": {"token_max_limit": 1.5}}, "whole number"),
        ({"rate_limit": {"token_max_limit": 2**64}}, "whole number"),
        ({"rate_limits": [{"metric": "tokens", "max_limit": 1}] * 2}, "one of tokens and one of requests"),
        ({"rate_limits": [{**RULE, "token_max_limit": 8}], "rate_limit": RATE}, "limit tokens in two ways"),
        ({"calendar_aligned": 1, "scope": "global"}, "calendar_aligned should be true or false"),
        ({"scope": "global", "budgets": [{**BUDGET, "reset_config": 4}]}, "reset_config should be an object"),
        (
            {"scope": "global", "budgets": [{**BUDGET, "reset_config": {"quarter_start_month": "4"}}]},
            "quarter_start_month should be a whole number",
        ),
        ({"rate_limits": [{"metric": "dollars", "max_limit": 1}]}, "one of tokens and one of requests"),
    ],
)
def test_what_cannot_be_read_is_kept_with_what_is_wrong(fields: dict[str, Any], words: str) -> None:
    found = read(**fields)
    assert words in (found.problem or "")
    assert found.id == "x"


def test_a_list_that_is_null_is_an_empty_one_and_a_list_that_is_missing_is_no_answer() -> None:
    empty = {"count": 0, "limit": 0, "model_configs": None, "offset": 0, "total_count": 0}
    assert list(rows(empty)) == []
    del empty["model_configs"]
    with pytest.raises(UnreadableAnswer, match="without model_configs") as failed:
        list(rows(empty))
    assert failed.value.status == 200
    found = read(scope="global", budgets=None, rate_limit=None, rate_limits=None)
    assert (found.settings.budgets, found.problem) == ([], None)


def test_alignment_stands_in_the_budget_in_old_releases_and_in_the_row_in_new_ones() -> None:
    old = read(budget={**BUDGET, "calendar_aligned": True})
    assert (old.settings.calendar_aligned, (old.settings.budgets or [])[0].calendar_aligned) == (True, True)
    new = read(scope="global", calendar_aligned=False, budgets=[BUDGET])
    assert (new.settings.calendar_aligned, (new.settings.budgets or [])[0].calendar_aligned) == (False, None)
    assert read(budget=BUDGET).settings.calendar_aligned is None


@pytest.mark.parametrize("config", [{"quarter_start_month": 4}, {"quarter_start_month": 0}, {}, None])
def test_where_quarters_begin_is_kept_with_their_budget(config: dict[str, int] | None) -> None:
    budget = {**BUDGET, "reset_duration": "1Q", **({} if config is None else {"reset_config": config})}
    [found] = read(scope="global", budgets=[budget]).settings.budgets or []
    assert found.reset_config is not None, "that nothing is said is kept, too, and put back"
    assert found.reset_config.month == (4 if config == {"quarter_start_month": 4} else 1)
    assert (read(scope="global", budgets=[BUDGET]).settings.budgets or [])[0].reset_config is None


@pytest.mark.parametrize(
    ("override", "limit"),
    [
        ({"override_amount": 5, "override_mode": "forever"}, 15.5),
        ({"override_amount": 5, "override_mode": "cycles", "override_cycles_remaining": 2}, 15.5),
        ({"override_amount": 5, "override_mode": "cycles", "override_cycles_remaining": 0}, 10.5),
        ({"override_amount": 0}, 10.5),
        ({}, 10.5),
    ],
)
def test_usage_is_held_against_the_limit_with_what_an_override_adds(override: dict[str, Any], limit: float) -> None:
    found = read(scope="global", budgets=[{**BUDGET, **override}])
    assert [(window.max_limit, window.override) for window in found.usage] == [(limit, limit - 10.5)]
    assert (found.settings.budgets or [])[0].max_limit == 10.5, "which the spec manages stays the limit itself"


def test_budgets_are_in_one_order_whatever_the_gateways_is() -> None:
    budgets = [{**BUDGET, "reset_duration": duration} for duration in ("1M", "monthly", "1d", "24h", "1w")]
    for given_ in (budgets, budgets[::-1]):
        found = read(scope="global", budgets=given_)
        ordered = ["1d", "24h", "1w", "1M", "monthly"]
        assert [one.reset_duration for one in found.settings.budgets or []] == ordered
        assert [window.reset_duration for window in found.usage] == ordered


@given(items | json_values)
def test_nonsense_is_an_error_or_a_row_and_nothing_else(raw: Any) -> None:
    for body in (raw, {"model_config": raw}, {"model_configs": raw}, {"model_configs": [raw, item()]}):
        for reads in (row, lambda raw: list(rows(raw))):
            with suppress(RemoteFailure):
                reads(body)


@pytest.mark.parametrize(
    "odd", [1, None, [], {}, {"model_name": 5}, item(provider=5), item(scope="user", scope_id=[1])]
)
def test_a_list_with_something_else_in_it_does_not_prove_that_a_row_is_missing(odd: Any) -> None:
    with pytest.raises(RemoteFailure):
        list(rows({"model_configs": [item(), odd]}))


def test_a_page_is_not_taken_for_the_whole() -> None:
    with pytest.raises(RemoteFailure, match="1 of 2 model configs"):
        list(rows({"model_configs": [item()], "count": 1, "total_count": 2}))


@pytest.mark.parametrize(
    ("version", "generation"),
    [
        ("v1.4.22", Generation.ONE_BUDGET),
        ("v1.5.8", Generation.ONE_BUDGET),
        ("1.5.9", Generation.BUDGETS),
        ("v2.2.6", Generation.BUDGETS),
        ("v2.3.0-dev", Generation.BUDGETS),
        ("v1.0.0", None),
        ("dev", None),
        ("v1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_a_release_tells_its_generation(version: str | None, generation: Generation | None) -> None:
    assert generation_of(version) is generation
