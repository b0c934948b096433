"""The simulated gateway against what is known of the API: its answers, field by field, generation by generation."""

import re
from typing import Any

import pytest

from tests.contract.bifrost_gateway import Gateway, Json, budget, limits
from tests.contract.bifrost_schema import (
    CONFIG,
    CONFIGS,
    OPERATIONS,
    fewer_fields,
    more_fields,
    validate_error,
    validate_request,
    validate_response,
)
from tests.contract.openapi import ContractError
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.releases import Release, generation_of
from tests.simulators.bifrost.specs import (
    CONFIG_ROW,
    GLOBAL_ROW,
    KEY_ROW,
    PROVIDER_ROW,
    VERSIONS,
    BudgetSpec,
    Generation,
    OverrideSpec,
    RowChanges,
    RowSpec,
    RuleSpec,
)
from tests.simulators.faults import Respond

EXAMPLE: Json = {
    "message": "<string>",
    "model_config": {
        "id": "<string>",
        "model_name": "<string>",
        "provider": "<string>",
        "budget": {
            "id": "<string>",
            "max_limit": 123,
            "reset_duration": "<string>",
            "last_reset": "2023-11-07T05:31:56Z",
            "current_usage": 123,
            "config_hash": "<string>",
            "created_at": "2023-11-07T05:31:56Z",
            "updated_at": "2023-11-07T05:31:56Z",
        },
        "rate_limit": {
            "id": "<string>",
            "token_max_limit": 123,
            "token_reset_duration": "<string>",
            "token_current_usage": 123,
            "token_last_reset": "2023-11-07T05:31:56Z",
            "request_max_limit": 123,
            "request_reset_duration": "<string>",
            "request_current_usage": 123,
            "request_last_reset": "2023-11-07T05:31:56Z",
            "config_hash": "<string>",
            "created_at": "2023-11-07T05:31:56Z",
            "updated_at": "2023-11-07T05:31:56Z",
        },
        "created_at": "2023-11-07T05:31:56Z",
        "updated_at": "2023-11-07T05:31:56Z",
    },
}
"""Answer of the vendor's page "Update model config"."""

ROW = f"{CONFIGS}/{GLOBAL_ROW}"
LATER = {"reset_config", "override_amount", "override_mode", "override_cycles_remaining"}
"""Fields of a budget that generation 1 is too old for."""

new_generations = pytest.mark.parametrize("generation", [2, 3])


def shape(value: Any) -> Any:
    """Return the fields and types of a value, telling times from other texts and no number from another."""
    match value:
        case dict():
            return {name: shape(one) for name, one in value.items()}
        case str() if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
            return "time"
        case int() | float():
            return "number"
        case _:
            return type(value).__name__


@pytest.mark.parametrize("generation", [1])
def test_the_documented_example_is_answered_field_by_field(gateway: Gateway) -> None:
    written = {"model_name": "m", "provider": "p", "budget": budget(123, "1d"), "rate_limit": limits(123, 123)}
    validate_request("PUT", CONFIG, 1, written)

    answer = gateway.send("PUT", GLOBAL_ROW, json=written).json()

    # What the page does not have, and the gateway does.
    assert [answer["model_config"].pop(name) for name in ("config_hash", "budget_id", "rate_limit_id")] == [
        "",
        answer["model_config"]["budget"]["id"],
        answer["model_config"]["rate_limit"]["id"],
    ]
    assert shape(answer) == shape(EXAMPLE)


def test_answers_have_all_known_fields_and_no_others(
    bifrost: BifrostSimulator, gateway: Gateway, generation: Generation
) -> None:
    changes = RowChanges(scope="virtual_key", scope_id="v", scope_name="n") if generation > 1 else RowChanges()
    override = OverrideSpec(amount=5, mode="cycles", cycles_remaining=2)
    quarter = BudgetSpec(max_limit=5, reset_duration="1Q", quarter_start_month=4, override=override)
    changes["budgets"] = [quarter]
    changes["rules"] = [RuleSpec(metric="tokens", max_limit=5), RuleSpec(metric="requests", max_limit=6)]
    bifrost.update_row(GLOBAL_ROW, **changes)
    client = gateway.client
    answers = {
        ("GET", CONFIGS): client.get(CONFIGS, params={"search": "gpt-4o"}),
        ("GET", CONFIG): client.get(ROW),
        ("PUT", CONFIG): client.put(ROW, json={"rate_limit": limits(5, 6)}),
        ("POST", CONFIGS): client.post(CONFIGS, json={"model_name": "new"}),
        ("DELETE", CONFIG): client.delete(f"{CONFIGS}/{CONFIG_ROW}"),
        ("GET", "/api/version"): client.get("/api/version"),
    }

    assert answers.keys() == OPERATIONS
    for (method, template), response in answers.items():
        assert response.headers["content-type"] == "application/json"
        validate_response(method, template, generation, response.json())
        assert more_fields(method, template, generation, response.json()) == []
    releases = {"calendar_aligned"} if generation > 1 else {"calendar_aligned", "model_config_id", *LATER}
    lacks = sorted(f"body.model_config.budget{'' if generation == 1 else 's[0]'} lacks {name}" for name in releases)
    for operation in (("GET", CONFIG), ("PUT", CONFIG)):
        assert sorted(fewer_fields(*operation, generation, answers[operation].json())) == lacks
    assert "null" not in answers["GET", CONFIGS].text


def test_the_checks_find_what_is_wrong(gateway: Gateway, generation: Generation) -> None:
    answer = gateway.client.get(ROW).json()
    item = answer["model_config"]
    other = {"budgets": []} if generation == 1 else {"budgets": [{"max_limit": 5}]}
    for wrong in (item | other, item | {"provider": None}, item | {"created_at": "today"}, item | {"rate_limit": {}}):
        with pytest.raises(ContractError):
            validate_response("GET", CONFIG, generation, {"model_config": wrong})
    with pytest.raises(ContractError):
        validate_request("PUT", CONFIG, generation, {"scope": "global"})
    with pytest.raises(ContractError):
        validate_error(404, {"message": "not found"})
    assert more_fields("GET", CONFIG, generation, answer | {"more": 1}) == ["body also has more"]


def test_the_default_world_is_what_a_generation_has(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    foreign = [] if gateway.generation == 1 else [KEY_ROW, PROVIDER_ROW]

    assert [item["id"] for item in gateway.items()] == [GLOBAL_ROW, CONFIG_ROW, *foreign]
    assert gateway.items() == bifrost.rows()
    assert gateway.item(GLOBAL_ROW) == bifrost.row(GLOBAL_ROW)
    assert gateway.send("GET", KEY_ROW).status_code == (404 if gateway.generation == 1 else 200)
    if gateway.generation > 1:
        key = gateway.item(KEY_ROW)
        assert (key["model_name"], key["scope"], key["scope_id"], key["scope_name"]) == (
            "*",
            "virtual_key",
            "vk-team-a",
            "team-a",
        )


def test_a_list_tells_its_page(gateway: Gateway) -> None:
    whole, page = (gateway.client.get(CONFIGS, params=params).json() for params in ({}, {"offset": 1}))
    rows = 2 if gateway.generation == 1 else 4

    assert [whole[name] for name in ("count", "total_count", "limit", "offset")] == [rows, rows, rows, 0]
    assert [page[name] for name in ("count", "total_count", "limit", "offset")] == [rows - 1, rows, 25, 1]


def test_pages_have_25_rows_and_at_most_100(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    bifrost.seed([RowSpec(model_name=f"m{number}") for number in range(120)])

    assert len(gateway.items()) == 120
    assert len(gateway.items(search="M")) == 25
    assert len(gateway.items(limit=1000)) == 100
    assert len(gateway.items(offset=110)) == 10
    assert gateway.send("GET", params={"offset": "-1"}).status_code == 400


def test_the_version_is_that_of_the_generation_unless_told(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    def version() -> Any:
        return gateway.client.get("/api/version").json()

    assert version() == VERSIONS[gateway.generation]
    bifrost.set_version("v1.0.0")
    assert version() == "v1.0.0"
    bifrost.set_version(None)
    assert version() == VERSIONS[gateway.generation]
    bifrost.inject(Respond(status=404), path="/api/version$")
    assert gateway.client.get("/api/version").status_code == 404


def test_rows_survive_a_change_of_generation(bifrost: BifrostSimulator) -> None:
    bifrost.update_row(CONFIG_ROW, budgets=[BudgetSpec(max_limit=1, reset_duration="1d"), BudgetSpec(max_limit=5)])
    shown: list[Json] = []
    for generation in (1, 2, 3, 1):
        bifrost.set_generation(generation)
        shown.append(bifrost.row(GLOBAL_ROW))

    first, second, third, again = shown
    assert first == again
    assert second == third
    assert second["budgets"] == [first["budget"] | {"model_config_id": GLOBAL_ROW}]
    assert first["rate_limit"] == second["rate_limit"]
    assert bifrost.row(CONFIG_ROW)["budget"]["max_limit"] == 1


def test_without_a_config_store_the_endpoint_is_the_dashboard(bifrost: BifrostSimulator, gateway: Gateway) -> None:
    """So it is in a release before v1.4.5, too."""
    bifrost.set_governance(there=False)

    for path in (CONFIGS, ROW):
        read = gateway.client.get(path)
        assert (read.status_code, read.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert gateway.client.put(path, json={}).status_code == 405
    assert gateway.client.get("/api/version").json() == VERSIONS[gateway.generation]


def test_a_row_from_the_file_has_a_hash(gateway: Gateway) -> None:
    item = gateway.item(CONFIG_ROW)

    assert all(one["config_hash"] for one in (item, *gateway.budgets_of(item)))


@pytest.mark.parametrize(
    ("version", "on_budget", "paged", "in_part"),
    [
        ("v1.4.5", False, False, False),
        ("v1.4.13", False, True, False),
        ("v1.4.17", False, True, False),
        ("v1.4.18", True, True, True),
        ("v1.5.2", True, True, True),
        ("v1.5.3", False, True, True),
        ("v1.5.8", False, True, True),
        # None of the generation: what a build without a version says, and what comes later.
        ("v1.0.0", False, True, True),
        ("v1.5.9", False, True, True),
    ],
)
def test_releases_of_generation_1_differ(*, version: str, on_budget: bool, paged: bool, in_part: bool) -> None:
    release = Release.of(1, version)

    assert (release.aligns_budgets, release.pages, release.budget_in_part) == (on_budget, paged, in_part)


@pytest.mark.parametrize(
    ("version", "routing", "later", "starts"),
    [
        ("v1.5.9", False, False, False),
        ("v1.5.12", True, False, False),
        ("v1.5.16", True, False, False),
        ("v1.6.10", True, True, True),
        ("v1.0.0", True, True, True),
        ("odd", True, True, True),
    ],
)
def test_releases_of_generation_2_differ(*, version: str, routing: bool, later: bool, starts: bool) -> None:
    release = Release.of(2, version)

    assert (release.routing_info, release.starts_with_foreign_budgets) == (routing, starts)
    assert {release.quarters, release.overrides, release.wants_positive} == {later}


def test_a_version_tells_the_generation_unless_the_build_has_none() -> None:
    told = {version: generation_of(version) for version in ("v1.4.19", "v1.5.8", "v1.5.9", "v2.2.4", "v1.0.0", "dev")}

    assert told == {"v1.4.19": 1, "v1.5.8": 1, "v1.5.9": 2, "v2.2.4": 2, "v1.0.0": None, "dev": None}
