"""The examples of the API documents, from `kubectl apply` to the status: exact request out, exact answer back."""

from typing import Literal

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

DEVELOPMENT = {
    "minReplica": 0,
    "maxReplica": 7,
    "autoscalingWindow": 600,
    "scaleDownDelay": 120,
    "concurrencyTarget": 2,
    "targetUtilizationPercentage": 70,
    "targetInFlightTokens": 40000,
}
DEVELOPMENT_BODY = {
    "min_replica": 0,
    "max_replica": 7,
    "autoscaling_window": 600,
    "scale_down_delay": 120,
    "concurrency_target": 2,
    "target_utilization_percentage": 70,
    "target_in_flight_tokens": 40000,
}
HELLO_WORLD = {
    "autoscalingWindow": 800,
    "concurrencyTarget": 4,
    "maxReplica": 3,
    "minReplica": 2,
    "scaleDownDelay": 63,
}
HELLO_WORLD_BODY = {
    "autoscaling_window": 800,
    "concurrency_target": 4,
    "max_replica": 3,
    "min_replica": 2,
    "scale_down_delay": 63,
}


def test_development_deployment_is_patched_as_documented(stage: Stage) -> None:
    # The document's example has replicas, which its prose calls fixed there.
    stage.baseten.set_strict_development(strict=False)
    stage.open(baseten={"authScheme": "Api-Key"})
    stage.das("development", {"modelId": "m-greeter", "deployment": "development"}, DEVELOPMENT)

    status = stage.until("das", "development", "Synced")["status"]

    [write] = stage.writes()
    assert write.path == "/v1/models/m-greeter/deployments/development/autoscaling_settings"
    assert write.headers["authorization"] == "Api-Key test-key"
    assert write.headers["content-type"] == "application/json"
    assert write.body == DEVELOPMENT_BODY
    assert status["response"]["status"] == write.response["status"] == "ACCEPTED"
    assert status["response"]["message"] == write.response["message"]
    assert status["target"] == {
        "name": "m-greeter/development",
        "modelId": "m-greeter",
        "deploymentId": "d-development",
    }
    assert status["applied"] == status["observed"] == DEVELOPMENT


def test_deployment_by_id_is_patched_as_documented(stage: Stage) -> None:
    stage.open()
    stage.das("canary", {"modelId": "m-greeter", "deployment": "d-free"}, DEVELOPMENT)

    status = stage.until("das", "canary", "Synced")["status"]

    [write] = stage.writes()
    assert write.path == "/v1/models/m-greeter/deployments/d-free/autoscaling_settings"
    assert write.headers["authorization"] == "Bearer test-key"
    assert write.body == DEVELOPMENT_BODY
    assert status["response"] | {"time": ""} == {**write.response, "time": ""}


@pytest.mark.parametrize("shape", ["new", "old"])
def test_environment_is_patched_in_both_shapes_of_its_answer(stage: Stage, shape: Literal["new", "old"]) -> None:
    stage.baseten.set_environment_shape(shape)
    stage.open()
    stage.das("production", {"modelName": "greeter", "environment": "production"}, {"maxReplica": 4})

    status = stage.until("das", "production", "Synced")["status"]

    [write] = stage.writes()
    assert write.path == "/v1/models/m-greeter/environments/production"
    assert write.body == {"autoscaling_settings": {"max_replica": 4}}
    assert ("environment" in write.response) == (shape == "new")
    assert status["response"]["status"] == "ACCEPTED"
    assert status["response"]["message"] == write.response["message"]


def test_chainlets_are_patched_in_one_batch_as_documented(stage: Stage) -> None:
    stage.open()
    stage.cas("hello", {"chainId": "c-hello", "environment": "production"}, {"HelloWorld": HELLO_WORLD})

    status = stage.until("cas", "hello", "Synced")["status"]

    [write] = stage.writes()
    assert write.path == "/v1/chains/c-hello/environments/production/chainlet_settings/autoscaling_settings"
    assert write.body == {"updates": [{"chainlet_name": "HelloWorld", "autoscaling_settings": HELLO_WORLD_BODY}]}
    assert status["response"]["status"] == "ACCEPTED"
    assert status["summary"] == {"minReplica": "2", "maxReplica": "3"}


def test_two_chainlets_with_null_for_what_is_not_managed(stage: Stage) -> None:
    """The second example of the document: null on the wire means the same as leaving a field out."""
    stage.open()
    nothing_else = {"maxReplica": None, "autoscalingWindow": None, "scaleDownDelay": None}
    stage.baseten.set_settings({"min_replica": 1}, chain="c-hello", environment="production", chainlet="HelloWorld")
    stage.baseten.set_settings({"min_replica": 1}, chain="c-hello", environment="production", chainlet="RandInt")
    stage.cas(
        "hello",
        {"chainName": "hello", "environment": "production"},
        {"HelloWorld": {"minReplica": 0, **nothing_else}, "RandInt": {"minReplica": 0, **nothing_else}},
    )

    stage.until("cas", "hello", "Synced")

    [write] = stage.writes()
    assert write.body == {
        "updates": [
            {"chainlet_name": "HelloWorld", "autoscaling_settings": {"min_replica": 0}},
            {"chainlet_name": "RandInt", "autoscaling_settings": {"min_replica": 0}},
        ]
    }


def test_queued_is_shown_and_only_read_until_it_is_applied(stage: Stage) -> None:
    stage.baseten.set_deployment_status("m-greeter", "d-free", "BUILDING")
    stage.open()
    stage.das("queued", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})

    status = stage.until("das", "queued", "Queued")["status"]
    assert status["response"]["status"] == "QUEUED"
    assert stage.condition("das", "queued")["status"] == "False"
    assert stage.condition("das", "queued", "Reconciling")["status"] == "True"

    stage.baseten.set_deployment_status("m-greeter", "d-free", "ACTIVE")
    status = stage.until("das", "queued", "Synced")["status"]
    assert status["response"]["status"] == "QUEUED"
    assert len(stage.writes()) == 1


def test_unchanged_is_shown(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 3}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("same", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})

    status = stage.until("das", "same", "Synced")["status"]

    assert status["response"]["status"] == "UNCHANGED"
    assert status["response"]["message"] == stage.writes()[0].response["message"]


def test_no_secret_in_status_events_or_log(stage: Stage, operator: OperatorProcess) -> None:
    stage.open()
    stage.das("quiet", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
    stage.until("das", "quiet", "Synced")

    shown = stage.plane.kubectl("get", "das,cas,spconn,events", "-A", "-o", "yaml").stdout

    assert "test-key" not in shown
    assert "test-key" not in operator.log()
