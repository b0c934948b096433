"""How the simulated gateway takes writes, where a real one cannot be asked: usage, scopes, and what is only a guess."""

import pytest

from tests.contract.bifrost_gateway import Gateway, Json, budget, limits, message, unique, values
from tests.simulators.bifrost.durations import seconds
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import GLOBAL_ROW, KEY_ROW, BudgetSpec, OverrideSpec, RateLimitSpec

new_generations = pytest.mark.parametrize("generation", [2, 3])
third_generation = pytest.mark.parametrize("generation", [3])


def test_a_change_keeps_what_was_used(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    changes = {**gateway.budgets(budget(200, "1M")), "rate_limit": limits(tokens=7, requests=8, duration="1m")}

    item = gateway.update(GLOBAL_ROW, model_name="gpt-5", **changes)

    assert gateway.budgets_of(item)[0]["current_usage"] == 12.5
    assert (item["rate_limit"]["token_current_usage"], item["rate_limit"]["request_current_usage"]) == (5000, 40)
    state = bifrost.state(GLOBAL_ROW)
    assert (state.budgets[0].max_limit, state.budgets[0].current_usage) == (200, 12.5)
    assert state.rate_limit == RateLimitSpec(
        **limits(tokens=7, requests=8, duration="1m"), token_current_usage=5000, request_current_usage=40
    )


def test_a_limit_that_is_taken_out_goes_on_counting(gateway: Gateway) -> None:
    item = gateway.update(GLOBAL_ROW, rate_limit=limits(requests=8))

    assert "token_max_limit" not in item["rate_limit"]
    assert item["rate_limit"]["token_current_usage"] == 5000


def test_what_was_used_is_lost_with_the_budget(gateway: Gateway) -> None:
    gateway.update(GLOBAL_ROW, **gateway.budgets(), rate_limit={})

    item = gateway.update(GLOBAL_ROW, **gateway.budgets(budget(100, "1M")), rate_limit=limits(5, 6))

    assert gateway.budgets_of(item)[0]["current_usage"] == 0
    assert item["rate_limit"]["token_current_usage"] == 0


def test_another_duration_keeps_what_was_used_only_for_the_same_budget(gateway: Gateway) -> None:
    old = gateway.budgets_of(gateway.item(GLOBAL_ROW))[0]

    same = gateway.budgets_of(gateway.update(GLOBAL_ROW, **gateway.budgets(budget(100, "2w", id=old["id"]))))[0]
    assert (same["id"], same["reset_duration"], same["current_usage"]) == (old["id"], "2w", 12.5)

    other = gateway.budgets_of(gateway.update(GLOBAL_ROW, **gateway.budgets(budget(100, "1w"))))[0]
    if gateway.generation == 1:
        assert (other["id"], other["current_usage"]) == (old["id"], 12.5)
    else:
        assert other["id"] != old["id"]
        assert other["current_usage"] == 0


@new_generations
def test_a_budget_that_is_named_is_not_taken_by_one_that_is_not(gateway: Gateway) -> None:
    old = gateway.item(GLOBAL_ROW)["budgets"][0]

    item = gateway.update(GLOBAL_ROW, budgets=[budget(1, "1M"), budget(2, "1Y", id=old["id"])])

    assert [(one["reset_duration"], one["current_usage"]) for one in item["budgets"]] == [("1Y", 12.5), ("1M", 0)]


@new_generations
def test_a_new_budget_inherits_what_was_used_of_the_closest_shorter_one(
    bifrost: BifrostSimulator, gateway: Gateway
) -> None:
    made = gateway.create(budgets=[budget(5, "1d"), budget(1, "1h")])
    bifrost.set_usage(made["id"], budget={"1d": 1.05, "1h": 0.2})

    wanted = [budget(9, "1w"), budget(5, "1d"), budget(2, "2h"), budget(1, "1s")]
    item = gateway.update(made["id"], budgets=wanted)

    used = {one["reset_duration"]: one["current_usage"] for one in item["budgets"]}
    # That of one hour is gone, and still it was there to inherit from.
    assert used == {"1d": 1.05, "1w": 1.05, "2h": 0.2, "1s": 0}
    (only,) = gateway.update(made["id"], budgets=[budget(100, "1Y")])["budgets"]
    assert only["current_usage"] == 1.05


def test_a_locked_database_is_a_500_that_changes_nothing(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    before = bifrost.rows()
    bifrost.lock_database(writes=3)

    answers = [
        gateway.send("PUT", GLOBAL_ROW, json={"model_name": "other"}),
        gateway.send("POST", json={"model_name": unique()}),
        gateway.send("DELETE", GLOBAL_ROW),
    ]

    assert [(one.status_code, message(one)) for one in answers] == [
        (500, "Failed to update model config: database is locked"),
        (500, "Failed to create model config: database is locked"),
        (500, "Failed to delete model config"),
    ]
    assert bifrost.rows() == before
    assert gateway.update(GLOBAL_ROW, model_name="other")["model_name"] == "other"
    bifrost.lock_database(writes=None)
    assert {gateway.send("PUT", GLOBAL_ROW, json={}).status_code for _ in range(5)} == {500}
    bifrost.lock_database(writes=0)
    assert gateway.send("PUT", GLOBAL_ROW, json={}).status_code == 200


def test_an_override_is_shown_beside_the_limit_and_outlives_writes(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    """Somebody raised the limit for a while, which no write of this API can do or undo; shown from v1.6.10 on."""
    override = OverrideSpec(amount=50, mode="cycles", cycles_remaining=2)
    day = BudgetSpec(max_limit=7, override=override)
    bifrost.update_row(GLOBAL_ROW, budgets=[day])
    shown = {"override_amount": 50, "override_mode": "cycles", "override_cycles_remaining": 2}
    if not gateway.release.overrides:
        shown = {}

    (changed,) = gateway.budgets_of(gateway.update(GLOBAL_ROW, **gateway.budgets(budget(8, "1d"))))

    assert changed["max_limit"] == 8
    assert {name: value for name, value in changed.items() if name.startswith("override")} == shown
    assert bifrost.state(GLOBAL_ROW).budgets[0].override == override


def test_a_refused_change_changes_nothing(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    before = bifrost.row(GLOBAL_ROW)
    wrong = {"model_name": "new", "rate_limit": {"token_max_limit": 5}, **gateway.budgets(budget(1, "1M"))}

    assert gateway.send("PUT", GLOBAL_ROW, json=wrong).status_code == (500 if gateway.generation < 3 else 400)

    assert bifrost.row(GLOBAL_ROW) == before


def test_a_negative_budget_is_refused_before_a_budget_of_nothing(gateway: Gateway) -> None:
    statuses = [
        gateway.send("POST", json={"model_name": unique(), **gateway.budgets(one)}).status_code
        for one in (budget(-1, "1d"), budget(0, "1d"), {"reset_duration": "1d"}, {"max_limit": 5})
    ]
    deep = 500 if gateway.generation < 3 else 400
    assert statuses == [400, deep, deep, 400]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "1" + "0" * 400])
def test_numbers_that_are_none_are_refused(gateway: Gateway, number: str) -> None:
    one = f'{{"max_limit": {number}, "reset_duration": "1d"}}'
    body = f'{{"budget": {one}}}' if gateway.generation == 1 else f'{{"budgets": [{one}]}}'

    assert gateway.send("PUT", GLOBAL_ROW, content=body).status_code == 400


def test_a_body_of_null_changes_nothing(gateway: Gateway) -> None:
    assert gateway.send("PUT", GLOBAL_ROW, content="null").status_code == 200
    assert gateway.send("POST", content="null").status_code == 400


@new_generations
def test_the_scope_is_part_of_the_identity(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    of_key = {"model_name": "gpt-4o", "provider": "openai", "scope": "virtual_key", "scope_id": "vk-team-a"}
    bifrost.set_enterprise()

    made = gateway.create(**of_key)
    gateway.create(**of_key | {"scope_id": "vk-team-b"})
    gateway.create(**of_key | {"scope": "user", "scope_id": "anybody"})

    assert made["scope_name"] == "team-a"
    conflict = gateway.send("POST", json=of_key)
    assert conflict.status_code == 409
    identity = "model 'gpt-4o' with provider 'openai' (virtual_key 'vk-team-a')"
    assert message(conflict) == f"Model config for {identity} already exists"
    assert gateway.send("POST", json=of_key | {"scope_id": "vk-none"}).status_code == 400
    assert gateway.send("POST", json=of_key | {"scope_id": ""}).status_code == 400
    bifrost.add_virtual_key("vk-none", "late")
    assert gateway.create(**of_key | {"scope_id": "vk-none"})["scope_name"] == "late"
    assert bifrost.find("gpt-4o", "openai", "virtual_key", "vk-team-a") == [gateway.item(made["id"])]
    # A global one has no scope_id, whatever is sent.
    assert "scope_id" not in gateway.create(scope="global", scope_id="vk-team-a")


def test_the_database_protects_only_identities_without_a_null_part(gateway: Gateway) -> None:
    gateway.create(model_name="a", provider="openai")
    second = gateway.create(model_name="b", provider="openai")
    without = gateway.create(model_name="b")

    renamed = gateway.send("PUT", second["id"], json={"model_name": "a"})
    # From generation 2 on a global identity has a part that is null.
    assert renamed.status_code == (500 if gateway.generation == 1 else 200)
    gateway.create(model_name="c")
    assert gateway.send("PUT", without["id"], json={"model_name": "c"}).status_code == 200
    if gateway.generation > 1:
        key = {"scope": "virtual_key", "scope_id": "vk-team-a", "provider": "openai"}
        gateway.create(model_name="a", **key)
        refused = gateway.send("PUT", gateway.create(model_name="b", **key)["id"], json={"model_name": "a"})
        assert refused.status_code == (500 if gateway.generation == 2 else 400)


def test_all_models_are_a_name_like_others_in_generation_1(gateway: Gateway) -> None:
    taken = gateway.send("POST", json={"model_name": "*", "provider": "anthropic"}).status_code

    assert taken == (200 if gateway.generation == 1 else 409)


@new_generations
def test_the_alignment_of_a_row_is_ignored_by_released_gateways(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    assert gateway.create(calendar_aligned=True)["calendar_aligned"] is False
    assert gateway.update(GLOBAL_ROW, calendar_aligned=True)["calendar_aligned"] is False

    bifrost.set_alignment()

    assert gateway.create(calendar_aligned=True)["calendar_aligned"] is True
    assert gateway.update(GLOBAL_ROW, calendar_aligned=True)["calendar_aligned"] is True
    assert gateway.update(GLOBAL_ROW)["calendar_aligned"] is True


@new_generations
def test_a_virtual_key_takes_its_rows_with_it(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    body = {"model_name": "gpt-4o", "scope": "virtual_key", "scope_id": "vk-team-a"}
    made = gateway.create(**body)

    bifrost.remove_virtual_key("vk-team-a")

    assert [gateway.send("GET", one).status_code for one in (made["id"], KEY_ROW)] == [404, 404]
    refused = gateway.send("POST", json=body)
    assert (refused.status_code, message(refused)) == (400, "Virtual key 'vk-team-a' not found")


@third_generation
def test_rules_are_shown_in_the_words_of_their_metric(gateway: Gateway) -> None:
    rules = [
        {"metric": "requests", "max_limit": 15, "reset_duration": "1m"},
        {"metric": "tokens", "max_limit": 1000, "reset_duration": "1d"},
    ]

    shown = gateway.create(rate_limits=rules)["rate_limits"]

    assert [{name: value for name, value in one.items() if name != "id"} for one in shown] == [
        {"metric": "requests", **limits(requests=15, duration="1m"), "request_current_usage": 0},
        {"metric": "tokens", **limits(tokens=1000, duration="1d"), "token_current_usage": 0},
    ]


@third_generation
def test_a_rate_limit_leaves_rules_alone(gateway: Gateway) -> None:
    made = gateway.create(rate_limits=[{"metric": "requests", "max_limit": 15, "reset_duration": "1m"}])

    both = gateway.update(made["id"], rate_limit=limits(tokens=5))
    assert (both["rate_limits"], values(both["rate_limit"])) == (made["rate_limits"], limits(tokens=5))
    without = gateway.update(made["id"], rate_limit={})
    assert without["rate_limits"] == made["rate_limits"]
    assert "rate_limit" not in without


@third_generation
def test_the_first_rules_take_over_what_was_used_of_the_rate_limit(gateway: Gateway) -> None:
    hour = {"metric": "tokens", "max_limit": 7, "reset_duration": "60m"}

    item = gateway.update(GLOBAL_ROW, rate_limits=[hour, {"metric": "tokens", "max_limit": 9, "reset_duration": "1d"}])

    assert "rate_limit" not in item
    assert [(one["token_max_limit"], one["token_current_usage"]) for one in item["rate_limits"]] == [(7, 5000), (9, 0)]


@third_generation
def test_rules_are_a_full_set_like_budgets(gateway: Gateway) -> None:
    minute, day = ({"metric": "requests", "max_limit": 15, "reset_duration": one} for one in ("1m", "1d"))
    made = gateway.create(rate_limits=[minute, day])
    assert "rate_limit" not in made

    (kept,) = gateway.update(made["id"], rate_limits=[minute | {"reset_duration": "60s", "max_limit": 20}])[
        "rate_limits"
    ]
    assert kept["id"] == made["rate_limits"][0]["id"]
    assert (kept["request_max_limit"], kept["request_reset_duration"]) == (20, "60s")

    renamed = gateway.update(made["id"], rate_limits=[minute | {"reset_duration": "1h", "id": kept["id"]}])
    assert renamed["rate_limits"][0]["id"] == kept["id"]
    assert "rate_limits" not in gateway.update(made["id"], rate_limits=[])


@third_generation
@pytest.mark.parametrize(
    "rules",
    [
        [{"metric": "rpm", "max_limit": 15, "reset_duration": "1m"}],
        [{"metric": "requests", "max_limit": 0, "reset_duration": "1m"}],
        [{"metric": "requests", "max_limit": 15}],
        [{"metric": "tokens", "max_limit": 15, "reset_duration": "soon"}],
        [{"metric": "tokens", "max_limit": 15, "reset_duration": "1m", "id": "none"}],
        [{"metric": "tokens", "max_limit": 15, "reset_duration": one} for one in ("60s", "1m")],
        [{"metric": "tokens", "max_limit": 15, "reset_duration": "1m"}, {"metric": "tokens"}],
        [None],
    ],
)
def test_bad_rules_are_refused(gateway: Gateway, rules: list[Json]) -> None:
    assert gateway.send("POST", json={"model_name": unique(), "rate_limits": rules}).status_code == 400
    assert gateway.send("PUT", GLOBAL_ROW, json={"rate_limits": rules}).status_code == 400


def test_both_forms_of_rate_limits_are_refused_by_generation_3_alone(gateway: Gateway) -> None:
    both = {"rate_limit": limits(5), "rate_limits": []}

    status = 400 if gateway.generation == 3 else 200
    assert gateway.send("PUT", GLOBAL_ROW, json=both).status_code == status
    assert gateway.send("POST", json={"model_name": unique(), **both}).status_code == status


@pytest.mark.parametrize(
    ("duration", "length"),
    [
        ("1m", 60),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("1.5d", 129_600),
        ("1M", 2_592_000),
        ("1Y", 31_536_000),
        ("100ms", 0.1),
        ("0", 0),
        ("-1h", -3600),
        ("292Y", 292 * 31_536_000),
        ("293Y", (293 * 31_536_000 * 10**9 - 2**64) / 10**9),
    ],
)
def test_durations_are_as_long_as_the_gateway_takes_them(duration: str, length: float) -> None:
    assert seconds(duration) == length


@pytest.mark.parametrize("text", ["", "d", "1", "daily", "1Q", "1d12h", "2562048h", "1\u0663h"])
def test_what_is_no_duration_has_no_length(text: str) -> None:
    """Nor has one of so many hours that 64 bits do not hold its nanoseconds."""
    with pytest.raises(ValueError, match=r"duration"):
        seconds(text)


@third_generation
def test_a_rule_is_named_once_and_stays_with_its_metric(gateway: Gateway) -> None:
    minute = {"metric": "requests", "max_limit": 15, "reset_duration": "1m"}
    made = gateway.create(rate_limits=[minute])
    own = {"id": made["rate_limits"][0]["id"]}

    for rules in ([minute | own, minute | own | {"reset_duration": "1h"}], [minute | own | {"metric": "tokens"}]):
        assert gateway.send("PUT", made["id"], json={"rate_limits": rules}).status_code == 400
    assert gateway.item(made["id"]) == made
