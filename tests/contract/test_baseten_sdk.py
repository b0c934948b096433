"""The simulator and the product against the vendor's own client, the SDK `baseten`.

Its classes are made from the vendor's OpenAPI document, so that what they refuse is not what the API says. Which of its
calls does what one of ours does is in `baseten_twins.py`, where the one operation is named that has no usable call.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import httpx
import pytest
from baseten.client import ManagementClient
from baseten.client import managementapi as sdk
from pydantic import BaseModel, ValidationError

from setpoint.remotes.baseten import Baseten
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources.autoscaling import AutoscalingSettings
from tests.contract.baseten_examples import (
    CHAIN_ENVIRONMENT,
    DEPLOYMENTS,
    ENVIRONMENT,
    READS,
    RENAME,
    VALID,
    WRITES,
)
from tests.contract.baseten_schema import OPERATIONS, schema
from tests.contract.baseten_twins import TWINS, Given, strictly
from tests.simulators.baseten.specs import DeploymentSpec, DeploymentStatus, EnvironmentSpec, PromotionStatus
from tests.simulators.faults import Respond
from tests.simulators.journal import JournalEntry
from tests.simulators.process import BasetenSimulator

Arrange = Callable[[BasetenSimulator], None]

KEY = "test-key"


@pytest.fixture
def official(baseten: BasetenSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[sdk.ApiClient]:
    """The vendor's client of the simulated API."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ManagementClient(api_key=KEY, base_url_override=baseten.url) as client:
        yield client.api


def twin(baseten: BasetenSimulator, official: sdk.ApiClient, entry: JournalEntry) -> tuple[BaseModel, JournalEntry]:
    """Let the vendor's client do what was done in a request, and return what it made of it, and its own request."""
    since = baseten.last()
    answer = TWINS[entry.method, entry.template](official, Given.of(entry))
    [same] = baseten.journal(since=since)
    strictly(type(answer), same.response)
    return answer, same


def test_every_operation_has_its_twin() -> None:
    assert TWINS.keys() == OPERATIONS


def _promoting(baseten: BasetenSimulator) -> None:
    baseten.push("m-greeter", "production", DeploymentSpec(id="d-pushed", status="BUILDING", settings=None))
    baseten.start_promotion("m-greeter", "staging", "d-free", status="FAILED")
    baseten.start_chain_promotion("c-hello", "production", status="RAMPING_UP", percent=50)


def _scheduled(baseten: BasetenSimulator) -> None:
    baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 2})
    baseten.set_schedule("m-greeter", "production", "day", {"min_replica": 2, "max_replica": 4, "scale_down_delay": 9})


def _new(baseten: BasetenSimulator) -> None:
    baseten.add_deployment("m-greeter", DeploymentSpec(id="d-new", status="BUILDING", settings=None))
    baseten.add_environment("m-greeter", EnvironmentSpec(name="first", current="d-new"))
    baseten.add_environment("m-greeter", EnvironmentSpec(name="empty"))
    baseten.add_model(id="m-empty", name="empty")


def _down(baseten: BasetenSimulator) -> None:
    baseten.set_deployment_status("m-greeter", "d-production", "INACTIVE")
    baseten.set_chainlet_status("c-hello", "production", "RandInt", "UNHEALTHY", replicas=2)


def _without_values(baseten: BasetenSimulator) -> None:
    nothing = dict.fromkeys(set(VALID) - {"min_replica", "max_replica", "concurrency_target"})
    baseten.set_settings(nothing, model="m-greeter", environment="production")


SITUATIONS: Mapping[str, Arrange] = {
    "at the start": lambda _: None,
    "promotions": _promoting,
    "schedules": _scheduled,
    "new": _new,
    "down": _down,
    "no values": _without_values,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_read_is_understood(
    baseten: BasetenSimulator, api: httpx.Client, official: sdk.ApiClient, situation: str
) -> None:
    SITUATIONS[situation](baseten)
    for path in READS:
        since = baseten.last()
        api.get(path)
        [entry] = baseten.journal(since=since)
        _, same = twin(baseten, official, entry)
        assert (same.method, same.path, same.response) == ("GET", path, entry.response)


def test_lists_can_be_narrowed_to_a_name(baseten: BasetenSimulator, official: sdk.ApiClient) -> None:
    baseten.add_model(id="m-theirs", name="greeter", team="theirs")

    [team] = official.get_teams(params=sdk.GetTeamsParams(name="theirs")).teams
    [model] = official.get_teams_models(team_id=team.id, params=sdk.GetTeamsModelsParams(name="greeter")).models
    [deployment] = official.get_models_deployments(
        model_id="m-greeter", params=sdk.GetModelsDeploymentsParams(name="v1")
    ).deployments

    assert (model.id, model.team_name, deployment.id) == ("m-theirs", "theirs", "d-free")
    assert len(official.get_models(params=sdk.GetModelsParams(name="greeter")).models) == 2


@pytest.mark.parametrize("write", WRITES)
def test_every_write_is_understood(
    baseten: BasetenSimulator, api: httpx.Client, official: sdk.ApiClient, write: str
) -> None:
    baseten.set_strict_development(strict=False)
    path, wrap = WRITES[write]
    since = baseten.last()
    api.patch(path, json=wrap(VALID))
    [entry] = baseten.journal(since=since)

    _, same = twin(baseten, official, entry)

    assert (same.method, same.path, same.body) == ("PATCH", path, wrap(VALID))
    assert (entry.response["status"], same.response["status"]) == ("ACCEPTED", "UNCHANGED")


def test_a_model_can_be_renamed(baseten: BasetenSimulator, api: httpx.Client, official: sdk.ApiClient) -> None:
    api.patch(RENAME, json={"name": "welcomer"})
    [entry] = baseten.journal()

    answer, same = twin(baseten, official, entry)

    assert same.body == {"name": "welcomer"}
    assert answer == official.get_models_model_id(model_id="m-greeter")


def test_a_schedule_is_understood_as_one(baseten: BasetenSimulator, official: sdk.ApiClient) -> None:
    _scheduled(baseten)

    schedules = official.get_models_environments_env_name(
        model_id="m-greeter", env_name="production"
    ).autoscaling_schedules

    assert schedules is not None
    # What is no schedule would be let through as a mere object.
    assert [type(one) for one in schedules.schedules] == [sdk.AutoscalingSchedule] * 2
    assert schedules.applied_state is not None
    assert schedules.applied_state.schedule_id == "day"
    assert schedules.applied_state.autoscaling_settings.min_replica == 2


@pytest.mark.parametrize("shape", ["old", "bare", "wrapped"])
def test_other_answers_to_the_update_of_an_environment_are_none_for_strict_clients(
    baseten: BasetenSimulator, official: sdk.ApiClient, shape: Any
) -> None:
    baseten.set_environment_shape(shape)
    settings = sdk.UpdateAutoscalingSettings(max_replica=4)

    with pytest.raises(ValidationError):
        official.patch_models_environments(
            model_id="m-greeter",
            env_name="production",
            request=sdk.UpdateEnvironmentRequest(autoscaling_settings=settings),
        )

    baseten.set_environment_shape("new")
    assert official.get_models_environments_env_name(model_id="m-greeter", env_name="production")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"{DEPLOYMENTS}/d-free", "request_backpressure_settings"),
        (ENVIRONMENT, "request_backpressure_settings"),
        (ENVIRONMENT, "current_deployment.request_backpressure_settings"),
        (ENVIRONMENT, "autoscaling_schedules.schedules"),
        (ENVIRONMENT, "autoscaling_schedules.applied_state.autoscaling_settings"),
        (CHAIN_ENVIRONMENT, "current_deployment.chainlets"),
    ],
)
def test_strict_clients_refuse_an_answer_without_what_is_required(
    baseten: BasetenSimulator, api: httpx.Client, official: sdk.ApiClient, path: str, key: str
) -> None:
    body = api.get(path).json()
    [entry] = baseten.journal()
    twin(baseten, official, entry)
    *outer, last = key.split(".")
    there = body
    for step in outer:
        there = there[step]
    del there[last]
    baseten.inject(Respond(body=body))

    with pytest.raises(ValidationError, match=last):
        twin(baseten, official, entry)


def test_a_refusal_tells_the_status_and_the_reason(official: sdk.ApiClient) -> None:
    settings = sdk.UpdateAutoscalingSettings(max_replica=4)

    with pytest.raises(sdk.ResponseError, match="no autoscaling") as refusal:
        official.patch_models_deployments_development_autoscaling_settings(model_id="m-greeter", request=settings)

    assert refusal.value.status_code == 400


CLASSES: Mapping[str, type[BaseModel]] = {
    "SettingsUpdate": sdk.UpdateAutoscalingSettings,
    "EnvironmentUpdate": sdk.UpdateEnvironmentRequest,
    "ModelUpdate": sdk.UpdateModelRequest,
    "ChainletUpdates": sdk.UpdateChainletEnvironmentAutoscalingSettingsRequest,
    "Updated": sdk.UpdateAutoscalingSettingsResponse,
    "UpdatedEnvironment": sdk.UpdateEnvironmentResponse,
    "Settings": sdk.AutoscalingSettings,
    "Team": sdk.Team,
    "Model": sdk.Model,
    "Deployment": sdk.Deployment,
    "Backpressure": sdk.RequestBackpressureSettings,
    "Promotion": sdk.InProgressPromotion,
    "Environment": sdk.Environment,
    "Schedules": sdk.EnvironmentAutoscalingSchedules,
    "AppliedState": sdk.AutoscalingScheduleState,
    "Schedule": sdk.AutoscalingSchedule,
    "PromotionSettings": sdk.PromotionSettings,
    "InstanceType": sdk.InstanceType,
    "Chain": sdk.Chain,
    "ChainEnvironment": sdk.ChainEnvironment,
    "ChainDeployment": sdk.ChainDeployment,
}
"""What the reference beside this module calls the SDK's classes."""


@pytest.mark.parametrize("name", CLASSES)
def test_the_reference_says_what_the_official_client_says(name: str) -> None:
    ours, theirs = schema(name), CLASSES[name].model_fields

    assert set(ours["properties"]) == set(theirs)
    assert set(ours.get("required", ())) == {field for field, info in theirs.items() if info.is_required()}
    assert ours.get("additionalProperties", True) is (CLASSES[name].model_config.get("extra") != "forbid")


def test_the_words_are_those_of_the_official_client() -> None:
    def words(model: type[BaseModel], field: str) -> set[str]:
        literal = get_args(model.model_fields[field].annotation)[0]
        return set(get_args(literal))

    assert words(sdk.Deployment, "status") == words(sdk.Chainlet, "status") == set(get_args(DeploymentStatus))
    assert words(sdk.InProgressPromotion, "status") == set(get_args(PromotionStatus))
    assert words(sdk.UpdateAutoscalingSettingsResponse, "status") == set(schema("UpdateStatus")["enum"])
    cleanup = schema("PromotionSettings")["properties"]["promotion_cleanup_strategy"]["enum"]
    assert words(sdk.PromotionSettings, "promotion_cleanup_strategy") == set(cleanup) - {None}


# The product.

CALLS = sorted(
    name
    for name, _ in inspect.getmembers(Baseten, inspect.iscoroutinefunction)
    if not name.startswith("_") and name != "aclose"
)
SETTINGS = AutoscalingSettings.from_wire(VALID)
ARGUMENTS: Mapping[str, Any] = {
    "model_id": "m-greeter",
    "chain_id": "c-hello",
    "environment": "production",
    "name": "greeter",
    "team": "default",
    "settings": SETTINGS,
    "urgent": True,
}
"""What each parameter of the product's client is called with."""


@asynccontextmanager
async def product(baseten: BasetenSimulator) -> AsyncIterator[Baseten]:
    """Open the product's client on the simulator."""
    credential = Credential.authorization("Bearer", KEY)
    client = Baseten.connect(
        url=baseten.url, credential=credential, requests_per_second=100, timeout=10, limits=Limits()
    )
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize("deployment", ["development", "production", "d-free"])
@pytest.mark.parametrize("call", CALLS)
async def test_the_product_sends_what_the_official_client_sends(
    baseten: BasetenSimulator, official: sdk.ApiClient, call: str, deployment: str
) -> None:
    baseten.set_strict_development(strict=False)
    baseten.rename_chain("c-hello", "greeter")
    arguments = {**ARGUMENTS, "deployment": deployment}
    if call == "update_chainlets":
        arguments["settings"] = {"RandInt": SETTINGS, "HelloWorld": AutoscalingSettings(max_replica=2)}
    parameters = inspect.signature(getattr(Baseten, call)).parameters.values()
    needed = [one.name for one in parameters if one.name != "self" and one.default is one.empty]
    given = {one.name: arguments[one.name] for one in parameters if one.name in arguments}
    assert given.keys() >= set(needed), "a parameter that ARGUMENTS does not know yet"

    async with product(baseten) as client:
        await getattr(client, call)(**given)

    sent = baseten.journal()
    assert sent
    for entry in sent:
        assert entry.status == 200
        _, same = twin(baseten, official, entry)
        assert (same.method, same.path, same.body) == (entry.method, entry.path, entry.body)
        assert same.headers["authorization"] == entry.headers["authorization"]
        assert same.headers.get("content-type") == entry.headers.get("content-type")
        if entry.method == "PATCH":
            assert (entry.response["status"], same.response["status"]) == ("ACCEPTED", "UNCHANGED")
        else:
            assert same.response == entry.response
