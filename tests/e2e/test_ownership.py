"""One owner for each remote thing, whatever it is called and whoever manages it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.e2e.stage import API, Stage, connection, secret
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

MODEL = "m-greeter"
PRODUCTION = {"modelId": MODEL, "deployment": "production"}
BY_ID = {"modelId": MODEL, "deployment": "d-production"}
FREE = {"modelId": MODEL, "deployment": "d-free"}
HELLO = {"chainId": "c-hello", "environment": "production"}


def message(stage: Stage, kind: str, name: str) -> str:
    """Return what Ready says."""
    text: str = stage.condition(kind, name)["message"]
    return text


def later() -> None:
    """Wait until the next second, since creation times are whole ones."""
    second = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    eventually(lambda: datetime.now(UTC) > second)


def test_a_chain_loses_only_the_chainlets_that_another_one_manages(stage: Stage) -> None:
    stage.open()
    stage.cas("older", HELLO, {"RandInt": {"maxReplica": 2}})
    stage.until("cas", "older", "Synced")
    later()
    stage.cas("younger", HELLO, {"HelloWorld": {"maxReplica": 3}, "RandInt": {"maxReplica": 9}})
    stage.until("cas", "younger", "Conflict")
    assert message(stage, "cas", "younger") == (
        f"chainlet RandInt of c-hello/production is managed by ChainAutoscaling {stage.namespace}/older, "
        "which comes first; the rest has the settings of the spec"
    )
    assert stage.condition("cas", "younger", "Stalled")["status"] == "True"
    assert [write.body for write in stage.writes()][1:] == [
        {"updates": [{"chainlet_name": "HelloWorld", "autoscaling_settings": {"max_replica": 3}}]}
    ]

    # Drift of its own part is corrected all the same.
    stage.baseten.set_settings({"max_replica": 6}, chain="c-hello", environment="production", chainlet="HelloWorld")
    stage.request("cas", "younger", "one")
    stage.handled("cas", "younger", "one")
    assert len(stage.writes()) == 3

    stage.patch("cas", "older", {"chainlets": [{"name": "HelloWorld", "autoscaling": {"maxReplica": 4}}]})
    stage.until("cas", "older", "Synced")
    stage.until("cas", "younger", "Conflict")
    eventually(lambda: "chainlet HelloWorld" in message(stage, "cas", "younger"))
    settings = stage.baseten.settings(chain="c-hello", environment="production", chainlet="RandInt")
    assert settings is not None
    assert settings["max_replica"] == 9


def test_production_and_the_id_of_the_same_deployment_are_one_thing(stage: Stage) -> None:
    stage.open()
    stage.das("by-id", BY_ID, {"maxReplica": 3})
    stage.until("das", "by-id", "Synced")
    later()
    stage.das("by-name", PRODUCTION, {"maxReplica": 5})
    stage.until("das", "by-name", "Conflict")
    assert f"DeploymentAutoscaling {stage.namespace}/by-id" in message(stage, "das", "by-name")
    assert len(stage.writes()) == 1

    # The other one is promoted: the name stands for something else.
    stage.baseten.start_promotion(MODEL, "production", "d-staging", status="RAMPING_UP", percent=50)
    stage.baseten.finish_promotion(MODEL, "production")
    stage.request("das", "by-name", "one")
    stage.until("das", "by-name", "Synced")
    settings = stage.baseten.settings(model=MODEL, deployment="d-staging")
    assert settings is not None
    assert settings["max_replica"] == 5


def test_an_older_name_takes_a_deployment_over_from_its_id(stage: Stage) -> None:
    stage.open()
    stage.das("by-name", PRODUCTION, {"maxReplica": 5}, suspend=True)
    later()
    stage.das("by-id", BY_ID, {"maxReplica": 3})
    stage.until("das", "by-id", "Synced")
    stage.patch("das", "by-name", {"suspend": False})
    stage.until("das", "by-name", "Synced")
    stage.until("das", "by-id", "Conflict")
    assert [write.body["max_replica"] for write in stage.writes()] == [3, 5]


def test_a_deployment_of_an_environment_that_is_managed_is_warned_about(stage: Stage) -> None:
    stage.open()
    stage.das("environment", {"modelId": MODEL, "environment": "production"}, {"maxReplica": 3})
    stage.until("das", "environment", "Synced")
    stage.das("attached", BY_ID, {"maxReplica": 5})
    stage.until("das", "attached", "Synced")
    found = eventually(lambda: [event for event in stage.events("attached") if event[1] == "AttachedToEnvironment"])
    [(kind, _, text)] = found
    assert kind == "Warning"
    assert f"environment production, which DeploymentAutoscaling {stage.namespace}/environment manages" in text
    stage.das("alone", FREE, {"maxReplica": 2})
    stage.until("das", "alone", "Synced")
    assert "AttachedToEnvironment" not in {event[1] for event in stage.events("alone")}


def test_namespaces_and_connections_do_not_hide_the_same_thing(stage: Stage) -> None:
    """The same API under another spelling of its URL, with another key."""
    stage.open()
    stage.das("older", FREE, {"maxReplica": 3})
    stage.until("das", "older", "Synced")
    later()
    stage.baseten.add_key("second-key")
    stage.plane.apply(
        secret("other", stage.namespace, "second-key"),
        connection("other", stage.namespace, f"{stage.baseten.url}/"),
        {
            "apiVersion": API,
            "kind": "DeploymentAutoscaling",
            "metadata": {"name": "younger", "namespace": stage.namespace},
            "spec": {"connectionRef": {"name": "other"}, "target": FREE, "autoscaling": {"maxReplica": 4}},
        },
    )
    stage.until("das", "younger", "Conflict")
    stage.plane.kubectl("delete", "das", "older", "-n", stage.namespace)
    stage.until("das", "younger", "Synced")
    assert [write.body["max_replica"] for write in stage.writes()] == [3, 4]
