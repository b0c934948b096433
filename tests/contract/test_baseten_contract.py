"""The simulator against the reference: what the documents allow is taken, and the answers are what they say."""

from typing import Any, get_args

import httpx
import pytest

from tests.contract.baseten_examples import (
    CHAIN_ENVIRONMENT,
    CHAINLET_EXAMPLE,
    CHAINLET_FIELD_EXAMPLE,
    DEPLOYMENTS,
    EARLIER_TWO_CHAINLETS_EXAMPLE,
    ENVIRONMENT,
    ENVIRONMENT_EXAMPLE,
    LATER_CHAINLET_EXAMPLE,
    READS,
    RENAME,
    SETTINGS_EXAMPLE,
    TWO_CHAINLETS_EXAMPLE,
    VALID,
    WRITES,
)
from tests.contract.baseten_schema import (
    OPERATIONS,
    differences,
    schema,
    validate_request,
    validate_response,
)
from tests.contract.openapi import ContractError
from tests.simulators.baseten.routes import table
from tests.simulators.baseten.specs import (
    DeploymentSpec,
    DeploymentStatus,
    EnvironmentShape,
    EnvironmentSpec,
    Options,
    PromotionStatus,
)
from tests.simulators.baseten.world import World
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

every_write = pytest.mark.parametrize("write", WRITES)
every_field = pytest.mark.parametrize("field", VALID)


@pytest.fixture(autouse=True)
def _as_the_schema_says(baseten: BasetenSimulator) -> None:
    """Take replicas of a development deployment, which only the prose of the documentation calls fixed."""
    baseten.set_strict_development(strict=False)


def read(api: httpx.Client, path: str) -> Any:
    """Read and check the answer."""
    response = api.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    validate_response("GET", path, body)
    assert differences("GET", path, body) == []
    return body


def settings_after(api: httpx.Client, write: str) -> Any:
    """Read what a write has changed."""
    path, _ = WRITES[write]
    if write == "chainlets":
        return read(api, CHAIN_ENVIRONMENT)["chainlet_settings"][0]["autoscaling_settings"]
    return read(api, path.removesuffix("/autoscaling_settings"))["autoscaling_settings"]


def send(api: httpx.Client, write: str, settings: object) -> httpx.Response:
    path, wrap = WRITES[write]
    return api.patch(path, json=wrap(settings))


def refusal(response: httpx.Response) -> str:
    """Return the message of a refusal."""
    assert response.status_code == 400
    body = response.json()
    assert body.keys() == {"code", "message"}
    assert body["code"] == "VALIDATION_ERROR"
    assert isinstance(body["message"], str)
    return str(body["message"])


def test_the_tests_cover_every_operation_of_the_reference() -> None:
    assert len(READS) + len(WRITES) + len([RENAME]) == len(OPERATIONS)
    for path in READS:
        validate_request("GET", path, None)
    for path, wrap in WRITES.values():
        validate_request("PATCH", path, wrap(VALID))
    validate_request("PATCH", RENAME, {"name": "other"})


def test_the_simulator_has_exactly_the_operations_of_the_reference() -> None:
    served = table(World(Options()))
    assert {(method, path) for path, handlers in served.items() for method in handlers} == OPERATIONS


@pytest.mark.parametrize(
    ("write", "body"),
    [
        ("development", SETTINGS_EXAMPLE),
        ("production", SETTINGS_EXAMPLE),
        ("by id", SETTINGS_EXAMPLE),
        ("environment", ENVIRONMENT_EXAMPLE),
        ("chainlets", CHAINLET_EXAMPLE),
        ("chainlets", LATER_CHAINLET_EXAMPLE),
        ("chainlets", TWO_CHAINLETS_EXAMPLE),
        ("chainlets", EARLIER_TWO_CHAINLETS_EXAMPLE),
        ("chainlets", CHAINLET_FIELD_EXAMPLE),
    ],
)
@pytest.mark.parametrize("scheme", ["Bearer", "Api-Key"])
def test_the_documented_examples_are_taken(api: httpx.Client, write: str, body: str, scheme: str) -> None:
    path, _ = WRITES[write]

    # As curl sends it, which calls it a form.
    headers = {"Authorization": f"{scheme} test-key", "Content-Type": "application/x-www-form-urlencoded"}
    response = api.patch(path, content=body, headers=headers)

    assert response.status_code == 200
    validate_request("PATCH", path, httpx.Response(200, text=body).json())
    validate_response("PATCH", path, response.json())
    assert differences("PATCH", path, response.json()) == []


@every_write
@every_field
def test_every_field_is_taken_and_read_back(
    baseten: BasetenSimulator, api: httpx.Client, write: str, field: str
) -> None:
    baseten.set_converge(0)
    settings = {field: VALID[field]} if field != "min_replica" else {field: 1, "max_replica": 5}

    response = send(api, write, settings)

    assert response.status_code == 200
    validate_response("PATCH", WRITES[write][0], response.json())
    assert response.json()["status"] == "ACCEPTED"
    assert settings_after(api, write)[field] == settings[field]


@every_write
@every_field
def test_null_leaves_every_field_as_it_is(baseten: BasetenSimulator, api: httpx.Client, write: str, field: str) -> None:
    baseten.set_converge(0)
    send(api, write, VALID)

    response = send(api, write, {field: None})

    assert response.json()["status"] == "UNCHANGED"
    assert settings_after(api, write) == VALID


@every_write
def test_fields_left_out_stay_as_they_are(baseten: BasetenSimulator, api: httpx.Client, write: str) -> None:
    baseten.set_converge(0)
    send(api, write, VALID)

    assert send(api, write, {"max_replica": 8}).json()["status"] == "ACCEPTED"

    assert settings_after(api, write) == VALID | {"max_replica": 8}


@every_write
@every_field
@pytest.mark.parametrize("value", ["2", 2.5, True, [2], {"value": 2}])
def test_other_types_are_refused(
    baseten: BasetenSimulator, api: httpx.Client, write: str, field: str, value: object
) -> None:
    path, wrap = WRITES[write]
    with pytest.raises(ContractError):
        validate_request("PATCH", path, wrap({field: value}))
    baseten.set_rate(1_000_000)
    baseten.set_converge(0)
    before = settings_after(api, write)

    assert field in refusal(send(api, write, {field: value}))

    assert settings_after(api, write) == before


@every_write
def test_unknown_fields_are_refused(api: httpx.Client, write: str) -> None:
    path, wrap = WRITES[write]
    with pytest.raises(ContractError):
        validate_request("PATCH", path, wrap({"replicas": 2}))

    message = refusal(send(api, write, {"max_replica": 2, "replicas": 2}))

    assert "replicas" in message
    assert "extra_forbidden" in message


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"updates": None},
        {"updates": {"HelloWorld": {"max_replica": 2}}},
        {"updates": [{"chainlet_name": "HelloWorld"}]},
        {"updates": [{"autoscaling_settings": {"max_replica": 2}}]},
        {"updates": [{"chainlet_name": None, "autoscaling_settings": {"max_replica": 2}}]},
        {"updates": [{"chainlet_name": "HelloWorld", "autoscaling_settings": None}]},
    ],
)
def test_batches_without_what_is_required_are_refused(api: httpx.Client, body: object) -> None:
    path, _ = WRITES["chainlets"]
    with pytest.raises(ContractError):
        validate_request("PATCH", path, body)

    refusal(api.patch(path, json=body))


@every_write
@pytest.mark.parametrize("body", ["", "{", "null", "[]", '"text"', "\x00"])
def test_what_is_no_json_object_is_refused(api: httpx.Client, write: str, body: str) -> None:
    refusal(api.patch(WRITES[write][0], content=body))


@pytest.mark.parametrize(
    ("field", "lowest", "highest"),
    [
        ("min_replica", 0, None),
        ("max_replica", 1, None),
        ("autoscaling_window", 10, 3600),
        ("scale_down_delay", 0, 3600),
        ("concurrency_target", 1, None),
        ("target_utilization_percentage", 1, 100),
        ("target_in_flight_tokens", 1, None),
        ("max_scale_down_rate", 1, 50),
    ],
)
def test_ranges_are_those_of_the_documentation(api: httpx.Client, field: str, lowest: int, highest: int | None) -> None:
    assert field in refusal(send(api, "by id", {field: lowest - 1}))
    assert send(api, "by id", {field: lowest}).status_code == 200
    if highest is not None:
        assert send(api, "by id", {field: highest}).status_code == 200
        assert field in refusal(send(api, "by id", {field: highest + 1}))


def test_the_lowest_replicas_may_not_exceed_the_highest(api: httpx.Client) -> None:
    refusal(send(api, "by id", {"min_replica": 2}))
    refusal(send(api, "by id", {"min_replica": 3, "max_replica": 2}))
    assert send(api, "by id", {"min_replica": 2, "max_replica": 3}).status_code == 200
    # Against what was accepted, though no read shows it yet.
    refusal(send(api, "by id", {"max_replica": 1}))


def test_all_answers_to_the_update_of_an_environment_are_documented(
    baseten: BasetenSimulator, api: httpx.Client
) -> None:
    answers = {}
    for shape in get_args(EnvironmentShape):
        baseten.set_environment_shape(shape)
        answers[shape] = send(api, "environment", {"max_replica": 4}).json()
        validate_response("PATCH", ENVIRONMENT, answers[shape])
        assert differences("PATCH", ENVIRONMENT, answers[shape]) == []

    now = read(api, ENVIRONMENT)
    assert answers["new"].keys() == {"environment", "status", "message"}
    assert answers["new"]["environment"] == now
    assert answers["old"].keys() == {"status", "message"}
    assert answers["bare"] == now
    assert answers["wrapped"] == {"environment": now}


@pytest.mark.parametrize("body", [{"max_replica": 2}, {"autoscaling_settings": {}, "replicas": 2}])
def test_unknown_parts_of_an_environment_are_refused(api: httpx.Client, body: object) -> None:
    with pytest.raises(ContractError):
        validate_request("PATCH", ENVIRONMENT, body)

    assert "extra_forbidden" in refusal(api.patch(ENVIRONMENT, json=body))


def test_other_parts_of_an_environment_are_taken(api: httpx.Client) -> None:
    body = {"promotion_settings": {"rolling_deploy": True}, "request_backpressure_settings": {"policy": None}}
    validate_request("PATCH", ENVIRONMENT, body)

    assert api.patch(ENVIRONMENT, json=body).json()["status"] == "UNCHANGED"


def test_a_model_is_renamed_as_documented(api: httpx.Client) -> None:
    response = api.patch(RENAME, json={"name": "welcomer"})

    validate_response("PATCH", RENAME, response.json())
    assert differences("PATCH", RENAME, response.json()) == []
    assert read(api, RENAME) == response.json()
    assert response.json()["name"] == "welcomer"
    for wrong in ({"name": ""}, {"name": 3}, {"title": "x"}):
        with pytest.raises(ContractError):
            validate_request("PATCH", RENAME, wrong)
        refusal(api.patch(RENAME, json=wrong))


def test_every_status_of_an_update_is_given(baseten: BasetenSimulator, api: httpx.Client) -> None:
    given = [send(api, "by id", {"max_replica": 4}).json()["status"] for _ in range(2)]
    baseten.set_deployment_status("m-greeter", "d-free", "BUILDING")
    given.append(send(api, "by id", {"max_replica": 5}).json()["status"])

    assert set(given) == set(schema("UpdateStatus")["enum"])


@pytest.mark.parametrize("path", READS)
def test_every_read_has_exactly_the_documented_fields(api: httpx.Client, path: str) -> None:
    read(api, path)


def test_every_status_of_a_deployment_can_be_read(baseten: BasetenSimulator, api: httpx.Client) -> None:
    assert set(get_args(DeploymentStatus)) == set(schema("DeploymentStatus")["enum"])
    for status in get_args(DeploymentStatus):
        baseten.set_deployment_status("m-greeter", "d-production", status)
        assert read(api, f"{DEPLOYMENTS}/production")["status"] == status
        assert read(api, ENVIRONMENT)["current_deployment"]["status"] == status
        baseten.set_chainlet_status("c-hello", "production", "RandInt", status)
        assert read(api, CHAIN_ENVIRONMENT)["current_deployment"]["chainlets"][1]["status"] == status


def test_every_status_of_a_promotion_can_be_read(baseten: BasetenSimulator, api: httpx.Client) -> None:
    assert set(get_args(PromotionStatus)) == set(schema("Promotion")["properties"]["status"]["enum"])
    for status in get_args(PromotionStatus):
        baseten.start_promotion("m-greeter", "production", "d-free", status=status, percent=40)
        environment = read(api, ENVIRONMENT)
        assert environment["in_progress_promotion"]["status"] == status
        assert environment["candidate_deployment"]["id"] == "d-free"
        baseten.start_chain_promotion("c-hello", "production", status=status, percent=40)
        promotion = read(api, CHAIN_ENVIRONMENT)["in_progress_promotion"]
        assert (promotion["status"], promotion["percent_traffic_to_new_version"]) == (status, 40)


def test_what_may_be_null_can_be_read_as_null(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_model(
        id="m-new", name="new", deployments=[DeploymentSpec(id="d-new", status="BUILDING", settings=None)]
    )
    nothing = dict.fromkeys(set(VALID) - {"min_replica", "max_replica", "concurrency_target"})
    baseten.set_settings(nothing, model="m-greeter", environment="staging")

    assert read(api, "/v1/models/m-new/deployments/d-new")["autoscaling_settings"] is None
    assert read(api, "/v1/models/m-greeter/environments/staging")["autoscaling_settings"].items() >= nothing.items()
    assert read(api, "/v1/models")["models"][1]["production_deployment_id"] is None


def test_a_promoted_chain_is_read_as_a_candidate(baseten: BasetenSimulator, api: httpx.Client) -> None:
    before = read(api, CHAIN_ENVIRONMENT)
    assert (before["candidate_deployment"], before["in_progress_promotion"]) == (None, None)

    baseten.start_chain_promotion("c-hello", "production", status="RAMPING_UP", percent=30)
    during = read(api, CHAIN_ENVIRONMENT)
    assert during["current_deployment"] == before["current_deployment"]
    assert during["candidate_deployment"]["status"] == "DEPLOYING"

    baseten.finish_chain_promotion("c-hello", "production")
    after = read(api, CHAIN_ENVIRONMENT)
    assert (after["candidate_deployment"], after["in_progress_promotion"]) == (None, None)
    assert after["current_deployment"]["id"] == during["candidate_deployment"]["id"]


def test_a_schedule_is_read_while_it_is_applied(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_schedule("m-greeter", "production", "s-night", {"max_replica": 2})

    environment = read(api, ENVIRONMENT)
    schedules = environment["autoscaling_schedules"]
    assert schedules["applied_state"]["schedule_id"] == "s-night"
    assert schedules["applied_state"]["autoscaling_settings"]["max_replica"] == 2
    assert [schedule["id"] for schedule in schedules["schedules"]] == ["s-night"]
    assert environment["autoscaling_settings"]["max_replica"] == 1
    assert environment["current_deployment"]["autoscaling_settings"]["max_replica"] == 2


def test_what_serves_nothing_has_no_applied_state(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.add_environment("m-greeter", EnvironmentSpec(name="empty"))
    baseten.add_deployment("m-greeter", DeploymentSpec(id="d-new", status="BUILDING", settings=None))
    baseten.add_environment("m-greeter", EnvironmentSpec(name="first", current="d-new"))

    for name in ("empty", "first"):
        environment = read(api, f"/v1/models/m-greeter/environments/{name}")
        assert environment["autoscaling_schedules"] == {"schedules": [], "applied_state": None}


def test_the_checks_find_what_is_wrong(api: httpx.Client) -> None:
    deployment = read(api, f"{DEPLOYMENTS}/d-free")
    path = f"{DEPLOYMENTS}/d-free"

    for wrong in (
        deployment | {"status": "SLEEPING"},
        deployment | {"autoscaling_settings": {"min_replica": None}},
        {name: value for name, value in deployment.items() if name != "environment"},
        {name: value for name, value in deployment.items() if name != "request_backpressure_settings"},
        [deployment],
    ):
        with pytest.raises(ContractError):
            validate_response("GET", path, wrong)
    with pytest.raises(ContractError, match="has no DELETE"):
        validate_request("DELETE", path, None)
    with pytest.raises(ContractError, match="has no body"):
        validate_request("GET", path, {})
    assert differences("GET", path, deployment | {"more": 1}) == ["body also has more"]


def test_writes_converge_for_every_kind_of_target(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_converge(0.2)
    for write in WRITES:
        send(api, write, VALID)

    eventually(lambda: all(settings_after(api, write) == VALID for write in WRITES), timeout=5)
