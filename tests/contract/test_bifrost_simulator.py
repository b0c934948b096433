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
from tests.simulators.bifrost.specs import (
    CONFIG_ROW,
    GLOBAL_ROW,
    KEY_ROW,
    PROVIDER_ROW,
    VERSIONS,
    BudgetSpec,
    Generation,
    RowSpec,
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

    assert answer["model_config"].pop("config_hash")  # The page does not have it, the gateway does.
    assert shape(answer) == shape(EXAMPLE)


def test_answers_have_all_known_fields_and_no_others(
    bifrost: BifrostSimulator, gateway: Gateway, generation: Generation
) -> None:
    bifrost.update_row(GLOBAL_ROW, scope="virtual_key" if generation > 1 else "global", scope_id="v", scope_name="n")
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
    for operation in (("GET", CONFIG), ("PUT", CONFIG)):
        assert fewer_fields(*operation, generation, answers[operation].json()) == []
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


def test_a_list_tells_its_page_from_generation_2_on(gateway: Gateway) -> None:
    whole, page = (gateway.client.get(CONFIGS, params=params).json() for params in ({}, {"offset": 1}))
    if gateway.generation == 1:
        assert whole == page
        assert whole.keys() == {"model_configs", "count"}
        return
    assert {name: whole[name] for name in ("count", "total_count", "limit", "offset")} == {
        "count": 4,
        "total_count": 4,
        "limit": 4,
        "offset": 0,
    }
    assert (page["count"], page["total_count"], page["limit"], page["offset"]) == (3, 4, 25, 1)


@new_generations
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
    assert second["budgets"] == third["budgets"] == [first["budget"]]
    assert first["rate_limit"] == second["rate_limit"] == third["rate_limit"]
    assert {rule["metric"]: rule["current_usage"] for rule in third["rate_limits"]} == {"tokens": 5000, "requests": 40}
    assert bifrost.row(CONFIG_ROW)["budget"]["max_limit"] == 1


def test_unknown_paths_and_methods_are_refused(gateway: Gateway) -> None:
    for method, path, status in (
        ("GET", "/api/none", 404),
        ("GET", f"{CONFIGS}/", 404),
        ("PATCH", ROW, 405),
        ("DELETE", CONFIGS, 405),
    ):
        response = gateway.client.request(method, path)
        assert response.status_code == status
        validate_error(status, response.json())
