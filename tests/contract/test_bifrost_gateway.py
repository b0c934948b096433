"""What every gateway does: the simulator in each of its generations, and a real one where the environment names it.

These tests know the API and nothing else. They make model configs with names of their own and delete them afterwards.
"""

import pytest

from tests.contract.bifrost_gateway import HOW_TO_RUN, Gateway, Json, budget, limits, unique, values
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import AuthMode, Generation


@pytest.fixture
def gateway(each_gateway: Gateway) -> Gateway:
    return each_gateway


def test_these_tests_also_run_against_a_real_gateway() -> None:
    real = Gateway.from_environment()
    if real is None:
        pytest.skip(HOW_TO_RUN)
    with real:
        assert real.generation in {1, 2, 3}


def full(gateway: Gateway) -> Json:
    """Return a model config with everything a client can set in all generations."""
    return gateway.create(
        provider="openai", **gateway.budgets(budget(25.5, "1w")), rate_limit=limits(tokens=9000, requests=60)
    )


def test_the_version_is_a_json_string(gateway: Gateway) -> None:
    response = gateway.client.get("/api/version")

    assert response.status_code == 200
    assert response.json().startswith("v")


def test_it_tells_its_health(gateway: Gateway) -> None:
    assert gateway.client.get("/health").status_code == 200


def test_what_is_made_can_be_read_by_its_id_and_in_the_list(gateway: Gateway) -> None:
    made = full(gateway)

    assert values(gateway.item(made["id"])) == values(made)
    assert [values(item) for item in gateway.items() if item["id"] == made["id"]] == [values(made)]
    assert values(gateway.budgets_of(made)[0]) == budget(25.5, "1w")
    assert values(made["rate_limit"]) == limits(tokens=9000, requests=60)
    assert made["provider"] == "openai"


def test_of_what_is_made_nothing_is_used(gateway: Gateway) -> None:
    made = full(gateway)

    assert gateway.budgets_of(made)[0]["current_usage"] == 0
    assert (made["rate_limit"]["token_current_usage"], made["rate_limit"]["request_current_usage"]) == (0, 0)


def test_a_name_is_enough(gateway: Gateway) -> None:
    made = gateway.create()

    assert "provider" not in made
    assert "rate_limit" not in made
    assert gateway.budgets_of(made) == []


def test_the_server_chooses_the_id(gateway: Gateway) -> None:
    assert gateway.create(id="mine")["id"] != "mine"


def test_an_identity_is_taken_once(gateway: Gateway) -> None:
    name = unique()
    for provider in ({}, {"provider": "openai"}, {"provider": "anthropic"}):
        made = gateway.create(model_name=name, **provider)
        assert gateway.send("POST", json={"model_name": name, **provider}).status_code == 409
        assert gateway.item(made["id"])["model_name"] == name


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "{}", '{"model_name": ""}', '{"model_name": null}'])
def test_a_post_without_a_name_is_refused(gateway: Gateway, body: str) -> None:
    assert gateway.send("POST", content=body).status_code == 400


@pytest.mark.parametrize("duration", ["", "1", "month", "1x", "d", "1 d", "1D"])
def test_a_post_with_a_bad_duration_is_refused(gateway: Gateway, duration: str) -> None:
    body = {"model_name": unique(), **gateway.budgets(budget(5, duration))}

    assert gateway.send("POST", json=body).status_code == 400


@pytest.mark.parametrize("duration", ["1s", "90m", "1h", "7d", "2w", "1M", "1Y", "1h30m", "1.5h", "1.5d"])
def test_durations_are_kept_as_they_are_written(gateway: Gateway, duration: str) -> None:
    limit = limits(tokens=5, requests=6, duration=duration)
    made = gateway.create(**gateway.budgets(budget(5, duration)), rate_limit=limit)

    assert gateway.budgets_of(made)[0]["reset_duration"] == duration
    assert values(gateway.item(made["id"])["rate_limit"]) == limit


BAD_LIMITS = [
    {"token_max_limit": 0, "token_reset_duration": "1h"},
    {"token_max_limit": -1, "token_reset_duration": "1h"},
    {"token_max_limit": 5},
    {"request_max_limit": 0, "request_reset_duration": "1h"},
    {"request_max_limit": 5},
    {"request_max_limit": 5, "request_reset_duration": "hour"},
]


@pytest.mark.parametrize("rate_limit", BAD_LIMITS)
def test_a_bad_rate_limit_is_refused(gateway: Gateway, rate_limit: Json) -> None:
    name = unique()
    made = full(gateway)

    assert gateway.send("POST", json={"model_name": name, "rate_limit": rate_limit}).status_code in gateway.invalid
    assert gateway.send("PUT", made["id"], json={"rate_limit": rate_limit}).status_code in gateway.invalid

    assert [item for item in gateway.items() if item["model_name"] == name] == []
    assert gateway.item(made["id"]) == made


def test_a_budget_of_nothing_is_refused(gateway: Gateway) -> None:
    made = full(gateway)
    nothing = gateway.budgets(budget(0, "1d"))

    assert gateway.send("POST", json={"model_name": unique(), **nothing}).status_code in gateway.invalid
    assert gateway.send("PUT", made["id"], json=nothing).status_code in gateway.invalid

    assert gateway.item(made["id"]) == made


def test_a_put_with_a_bad_duration_is_refused(gateway: Gateway) -> None:
    made = full(gateway)

    refused = gateway.send("PUT", made["id"], json=gateway.budgets(budget(5, "month")))

    assert refused.status_code in gateway.invalid
    assert gateway.item(made["id"]) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_name": 5},
        {"provider": ["openai"]},
        {"rate_limit": []},
        {"rate_limit": {"token_max_limit": "5"}},
        {"rate_limit": {"token_max_limit": 5.5}},
        {"rate_limit": {"request_max_limit": 2**63}},
        {"rate_limit": {"request_max_limit": True}},
        {"rate_limit": {"request_reset_duration": 5}},
        {"budget": {"max_limit": "5", "reset_duration": "1d"}},
        {"budget": {"max_limit": True, "reset_duration": "1d"}},
        {"budget": {"max_limit": 5, "reset_duration": 1}},
        {"budget": "5 a day"},
    ],
)
def test_other_types_are_refused(gateway: Gateway, wrong: Json) -> None:
    made = full(gateway)
    if gateway.generation > 1 and "budget" in wrong:
        wrong = {"budgets": [wrong["budget"]]}

    assert gateway.send("POST", json={"model_name": unique()} | wrong).status_code == 400
    assert gateway.send("PUT", made["id"], json=wrong).status_code == 400

    assert gateway.item(made["id"]) == made


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"'])
def test_a_put_that_is_no_object_is_refused(gateway: Gateway, body: str) -> None:
    assert gateway.send("PUT", gateway.create()["id"], content=body).status_code == 400


def test_what_is_absent_null_or_unknown_stays_as_it_is(gateway: Gateway) -> None:
    made = full(gateway)
    nulls = dict.fromkeys(["model_name", "provider", "budget", "budgets", "rate_limit", "rate_limits"])

    for body in ({}, nulls, {"id": "mine", "owner": {"name": "team-a"}, "current_usage": 5}):
        assert values(gateway.update(made["id"], **body)) == values(made)


def test_a_budget_is_changed_in_place(gateway: Gateway) -> None:
    made = full(gateway)

    (changed,) = gateway.budgets_of(gateway.update(made["id"], **gateway.budgets(budget(50, "1w"))))

    assert values(changed) == budget(50, "1w")
    assert changed["id"] == gateway.budgets_of(made)[0]["id"]


def test_a_budget_is_added_and_removed(gateway: Gateway) -> None:
    made = gateway.create()

    added = gateway.update(made["id"], **gateway.budgets(budget(50, "1w")))
    assert [values(one) for one in gateway.budgets_of(added)] == [budget(50, "1w")]

    assert gateway.budgets_of(gateway.update(made["id"], **gateway.budgets())) == []
    assert values(gateway.item(made["id"])) == values(made)


def test_a_rate_limit_is_replaced_as_a_whole(gateway: Gateway) -> None:
    made = full(gateway)

    changed = gateway.update(made["id"], rate_limit=limits(requests=5, duration="1m"))

    assert values(changed["rate_limit"]) == limits(requests=5, duration="1m")
    assert changed["rate_limit"]["id"] == made["rate_limit"]["id"]


def test_a_rate_limit_is_added_and_removed(gateway: Gateway) -> None:
    made = gateway.create()

    assert values(gateway.update(made["id"], rate_limit=limits(tokens=5))["rate_limit"]) == limits(tokens=5)

    for durations in ({}, {"token_reset_duration": "1h"}):
        gateway.update(made["id"], rate_limit=limits(tokens=5))
        assert "rate_limit" not in gateway.update(made["id"], rate_limit=durations)
    assert values(gateway.item(made["id"])) == values(made)


def test_an_empty_rate_limit_in_a_post_makes_an_empty_one(gateway: Gateway) -> None:
    assert values(gateway.create(rate_limit={})["rate_limit"]) == {}


def test_the_name_and_the_provider_can_be_changed_but_not_cleared(gateway: Gateway) -> None:
    made, name = full(gateway), unique()

    changed = gateway.update(made["id"], model_name=name, provider="anthropic")
    assert (changed["model_name"], changed["provider"]) == (name, "anthropic")
    for cleared in ({"model_name": ""}, {"provider": ""}):
        assert gateway.send("PUT", made["id"], json=cleared).status_code in gateway.invalid
    assert gateway.item(made["id"]) == changed


def test_both_generations_budgets_in_one_body_are_taken(gateway: Gateway) -> None:
    """A client need not know the generation: each reads its own field and ignores the other."""
    both = {"budget": budget(7, "1d"), "budgets": [budget(7, "1d")]}

    made = gateway.create(**both)
    assert [values(one) for one in gateway.budgets_of(made)] == [budget(7, "1d")]
    assert values(gateway.update(made["id"], **both)) == values(made)


def test_the_other_generations_budget_is_ignored_with_success(gateway: Gateway) -> None:
    made = full(gateway)

    other = {"budgets": [budget(7, "1d")]} if gateway.generation == 1 else {"budget": budget(7, "1d")}

    assert values(gateway.update(made["id"], **other)) == values(made)
    assert gateway.budgets_of(gateway.create(**other)) == []


def test_a_budget_in_pieces_is_changed_refused_or_removed(gateway: Gateway) -> None:
    """Up to v1.4.17 both fields are needed, from there to v1.5.8 either will do, then both are again."""
    made = full(gateway)
    no_duration, no_limit = gateway.budgets({"max_limit": 5}), gateway.budgets({"reset_duration": "1d"})
    in_part = gateway.generation == 1 and gateway.release.budget_in_part

    without_duration = gateway.send("PUT", made["id"], json=no_duration)
    if in_part:
        assert values(gateway.budgets_of(gateway.item(made["id"]))[0]) == budget(5, "1w")
    else:
        assert without_duration.status_code in gateway.invalid
        assert gateway.item(made["id"]) == made
    without_limit = gateway.send("PUT", made["id"], json=no_limit)
    if in_part:
        assert values(gateway.budgets_of(gateway.item(made["id"]))[0]) == budget(5, "1d")
    elif gateway.generation == 1:
        # A budget without a limit is an empty one there.
        assert gateway.budgets_of(without_limit.json()["model_config"]) == []
    else:
        assert without_limit.status_code in gateway.invalid
        assert gateway.item(made["id"]) == made


def test_of_a_budget_that_is_not_there_both_fields_are_needed(gateway: Gateway) -> None:
    made = gateway.create()
    no_duration, no_limit = gateway.budgets({"max_limit": 5}), gateway.budgets({"reset_duration": "1d"})

    assert gateway.send("PUT", made["id"], json=no_duration).status_code in gateway.invalid
    removal = gateway.generation == 1 and not gateway.release.budget_in_part
    status = gateway.send("PUT", made["id"], json=no_limit).status_code
    assert status == 200 if removal else status in gateway.invalid

    assert values(gateway.item(made["id"])) == values(made)


def test_several_budgets_are_a_full_set(gateway: Gateway) -> None:
    """From generation 2 on; an older gateway has one budget and ignores the set."""
    day, week = budget(5, "1d"), budget(25, "1w")
    made = gateway.create(budgets=[day, week])
    if gateway.generation == 1:
        assert gateway.budgets_of(made) == []
        return
    ids = {one["reset_duration"]: one["id"] for one in gateway.budgets_of(made)}

    changed = gateway.update(made["id"], budgets=[budget(6, "1d"), budget(100, "1M")])
    assert {one["reset_duration"]: one["max_limit"] for one in changed["budgets"]} == {"1d": 6, "1M": 100}
    new_ids = {one["reset_duration"]: one["id"] for one in changed["budgets"]}
    assert new_ids["1d"] == ids["1d"]
    assert new_ids["1M"] not in ids.values()

    renamed = gateway.update(made["id"], budgets=[budget(6, "2d", id=ids["1d"]), budget(1, "1d")])
    assert {one["reset_duration"]: one["id"] for one in renamed["budgets"]}["2d"] == ids["1d"]
    assert {one["reset_duration"]: one["max_limit"] for one in renamed["budgets"]} == {"2d": 6, "1d": 1}


def test_a_full_set_has_each_duration_once_and_no_foreign_ids(gateway: Gateway) -> None:
    twice, foreign = [budget(5, "1d"), budget(6, "1d")], [budget(5, "1d", id="none")]
    made = full(gateway)
    own = gateway.budgets_of(made)[0]["id"]
    same = [budget(5, "1d", id=own), budget(6, "2d", id=own)]
    if gateway.generation == 1:
        assert values(gateway.update(made["id"], budgets=twice)) == values(made)
        return

    assert gateway.send("POST", json={"model_name": unique(), "budgets": twice}).status_code == 400
    for budgets in (twice, foreign, same):
        assert gateway.send("PUT", made["id"], json={"budgets": budgets}).status_code in gateway.invalid
    assert gateway.item(made["id"]) == made


def test_the_scope_is_global_and_cannot_be_changed(gateway: Gateway) -> None:
    made = full(gateway)
    bad = {"model_name": unique(), "scope": "galaxy"}
    if gateway.generation == 1:
        assert "scope" not in gateway.create(**bad)
        return

    assert made["scope"] == "global"
    assert values(gateway.update(made["id"], scope="user", scope_id="u")) == values(made)
    assert gateway.send("POST", json=bad).status_code == 400
    assert gateway.send("POST", json={"model_name": unique(), "scope": "user"}).status_code == 400


def test_what_is_not_there_is_not_found(gateway: Gateway) -> None:
    assert gateway.send("GET", "none").status_code == 404
    assert gateway.send("PUT", "none", json={}).status_code == 404
    assert gateway.send("DELETE", "none").status_code == 404


def test_what_is_deleted_is_gone(gateway: Gateway) -> None:
    made = full(gateway)

    assert gateway.send("DELETE", made["id"]).status_code == 200

    assert gateway.send("GET", made["id"]).status_code == 404
    assert gateway.send("DELETE", made["id"]).status_code == 404
    again = gateway.create(model_name=made["model_name"], provider="openai")
    assert again["id"] != made["id"]


@pytest.mark.parametrize(
    ("auth", "environ"),
    [
        ("open", {}),
        ("basic", {"BIFROST_USERNAME": "admin", "BIFROST_PASSWORD": "pw"}),
        ("bearer", {"BIFROST_TOKEN": "session"}),
        ("setup_token", {"BIFROST_SETUP_TOKEN": "setup"}),
    ],
)
@pytest.mark.parametrize("generation", [1, 2, 3])
def test_a_real_gateway_is_reached_as_the_environment_says(
    bifrost: BifrostSimulator, auth: AuthMode, environ: dict[str, str], generation: Generation
) -> None:
    assert Gateway.from_environment({}) is None
    bifrost.set_auth(auth, password="pw", tokens=["session"], setup_token="setup")  # noqa: S106  # no secrets
    bifrost.set_generation(generation)
    before = bifrost.rows()

    gateway = Gateway.from_environment({"BIFROST_URL": bifrost.gateway_url, **environ})

    assert gateway is not None
    with gateway:
        assert gateway.generation == generation
        assert len(gateway.items()) == len(before)
        full(gateway)
    assert bifrost.rows() == before
