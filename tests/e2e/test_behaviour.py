"""What the operator does with a resource over its life, as a user sees it."""

import pytest

from tests.e2e.stage import Stage
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.faults import Delay
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
PRODUCTION = {"modelId": "m-greeter", "environment": "production"}
HELLO = {"chainId": "c-hello", "environment": "production"}


def test_an_edit_is_pushed_and_a_removed_field_is_left_alone(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"minReplica": 1, "maxReplica": 3})
    stage.until("das", "free", "Synced")

    stage.patch("das", "free", {"autoscaling": {"maxReplica": 5}})
    eventually(lambda: len(stage.writes()) == 2)
    stage.until("das", "free", "Synced")
    stage.patch("das", "free", {"autoscaling": {"minReplica": None}})
    status = stage.until("das", "free", "Synced")["status"]

    assert [write.body for write in stage.writes()] == [
        {"min_replica": 1, "max_replica": 3},
        {"min_replica": 1, "max_replica": 5},
    ]
    assert status["applied"] == status["observed"] == {"maxReplica": 5}
    settings = stage.baseten.settings(model="m-greeter", deployment="d-free")
    assert settings is not None
    assert settings["min_replica"] == 1


def test_drift_is_corrected_field_by_field_and_told(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"minReplica": 1, "maxReplica": 3})
    stage.until("das", "free", "Synced")
    stage.baseten.set_settings({"max_replica": 9, "concurrency_target": 7}, model="m-greeter", deployment="d-free")

    stage.request("das", "free", "one")
    status = stage.handled("das", "free", "one")["status"]

    assert [write.body for write in stage.writes()][1:] == [{"max_replica": 3}]
    assert status["observed"] == {"minReplica": 1, "maxReplica": 3}
    assert "drift" not in status
    eventually(lambda: [event for event in stage.events("free") if event[1] == "DriftCorrected"])
    [(kind, _, message)] = [event for event in stage.events("free") if event[1] == "DriftCorrected"]
    assert kind == "Normal"
    assert message == "m-greeter/d-free: maxReplica from 9 back to 3"


def test_drift_of_one_chainlet_is_corrected_without_the_other(stage: Stage) -> None:
    stage.open()
    stage.cas("hello", HELLO, {"HelloWorld": {"minReplica": 1, "maxReplica": 3}, "RandInt": {"maxReplica": 2}})
    stage.until("cas", "hello", "Synced")
    stage.baseten.set_settings({"max_replica": 8}, chain="c-hello", environment="production", chainlet="RandInt")

    stage.request("cas", "hello", "one")
    stage.handled("cas", "hello", "one")

    assert stage.writes()[1].body == {
        "updates": [{"chainlet_name": "RandInt", "autoscaling_settings": {"max_replica": 2}}]
    }


def test_drift_is_corrected_at_the_interval_by_itself(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3}, interval="30s")
    stage.until("das", "free", "Synced")
    stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", deployment="d-free")

    eventually(lambda: len(stage.writes()) == 2, timeout=40, interval=0.5)
    assert stage.writes()[1].body == {"max_replica": 3}


def test_observe_reports_and_never_writes(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 6}, mode="Observe")

    found = stage.until("das", "free", "DriftDetected")
    assert found["status"]["drift"] == [{"field": "maxReplica", "desired": 6, "observed": 1}]
    assert stage.condition("das", "free", "Drifted")["status"] == "True"

    stage.baseten.set_settings({"max_replica": 6}, model="m-greeter", deployment="d-free")
    stage.request("das", "free", "one")
    stage.until("das", "free", "Observed")
    assert stage.condition("das", "free", "Drifted") == {}
    assert stage.writes() == []

    stage.patch("das", "free", {"mode": "Enforce"})
    stage.until("das", "free", "Synced")
    assert stage.writes() == []


def test_suspend_stops_everything_and_resume_goes_on(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")

    stage.patch("das", "free", {"suspend": True})
    eventually(lambda: stage.condition("das", "free", "Suspended").get("status") == "True")
    assert stage.condition("das", "free")["status"] == "True"
    stage.patch("das", "free", {"autoscaling": {"maxReplica": 8}})
    eventually(lambda: stage.condition("das", "free").get("status") == "Unknown")
    assert len(stage.writes()) == 1

    stage.patch("das", "free", {"suspend": False})
    stage.until("das", "free", "Synced")
    assert stage.condition("das", "free", "Suspended") == {}
    assert [write.body for write in stage.writes()] == [{"max_replica": 3}, {"max_replica": 8}]


def test_deletion_touches_nothing_and_needs_no_finalizer(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    assert "finalizers" not in stage.until("das", "free", "Synced")["metadata"]

    stage.plane.kubectl("delete", "das", "free", "-n", stage.namespace, "--timeout=10s")
    stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", deployment="d-free")
    stage.das("other", PRODUCTION, {"maxReplica": 4})
    stage.until("das", "other", "Synced")

    assert [write.path for write in stage.writes() if "d-free" in write.path] == [
        "/v1/models/m-greeter/deployments/d-free/autoscaling_settings"
    ]


def test_a_newer_spec_during_a_slow_write_leads_to_exactly_one_more(stage: Stage) -> None:
    stage.open()
    # Longer than three calls of kubectl take on a busy machine.
    stage.baseten.inject(Delay(seconds=6), method="PATCH")
    stage.das("free", FREE, {"maxReplica": 2})
    eventually(stage.writes)
    for replicas in (3, 4, 5):
        stage.patch("das", "free", {"autoscaling": {"maxReplica": replicas}})

    stage.until("das", "free", "Synced")

    assert [write.body for write in stage.writes()] == [{"max_replica": 2}, {"max_replica": 5}]


def test_a_promotion_is_waited_for_and_its_settings_hold(stage: Stage) -> None:
    stage.open()
    stage.baseten.start_promotion("m-greeter", "production", "d-free")
    stage.das("production", PRODUCTION, {"maxReplica": 6})
    eventually(lambda: stage.condition("das", "production").get("reason") in {"Promoting", "Queued"}, timeout=15)

    stage.baseten.finish_promotion("m-greeter", "production")

    stage.until("das", "production", "Synced", timeout=40)
    assert len(stage.writes()) == 1


def test_a_deployment_in_an_environment_does_not_fight_its_promotion_and_schedule(stage: Stage) -> None:
    stage.open()
    stage.das("served", {"modelId": "m-greeter", "deployment": "d-production"}, {"maxReplica": 6})
    stage.until("das", "served", "Synced")
    stage.baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 1})

    stage.request("das", "served", "one")
    stage.until("das", "served", "PlatformScheduleActive")
    stage.baseten.start_promotion("m-greeter", "production", "d-free", status="RAMPING_UP")
    stage.request("das", "served", "two")
    stage.until("das", "served", "Promoting")

    assert [write.body for write in stage.writes()] == [{"max_replica": 6}]


def test_what_serves_is_shown(stage: Stage) -> None:
    stage.open()
    stage.baseten.set_deployment_status("m-greeter", "d-free", "SCALED_TO_ZERO")
    stage.das("free", FREE, {"maxReplica": 3})
    stage.cas("hello", HELLO, {"RandInt": {"maxReplica": 2}})

    deployment = stage.until("das", "free", "Synced")["status"]["serving"]
    chain = stage.until("cas", "hello", "Synced")["status"]["serving"]

    assert deployment == {"deploymentId": "d-free", "status": "SCALED_TO_ZERO", "activeReplicas": 0}
    assert chain["status"] == "ACTIVE"
    assert chain["chainlets"] == [{"name": "RandInt", "status": "ACTIVE", "activeReplicas": 1}]
    for kind, word in (("das", "SCALED_TO_ZERO"), ("cas", "ACTIVE")):
        header, row = stage.plane.kubectl("get", kind, "-n", stage.namespace, "-o", "wide").stdout.splitlines()
        assert row[header.index("SERVING") :].split()[0] == word


def test_replicas_of_a_development_deployment_are_refused_in_words_that_help(stage: Stage) -> None:
    stage.open()
    stage.das("dev", {"modelId": "m-greeter", "deployment": "development"}, {"maxReplica": 3})

    stage.until("das", "dev", "InvalidSettings")
    message = stage.condition("das", "dev")["message"]

    assert "a development deployment has 0 to 1 replicas, fixed by the platform" in message
    assert "leave minReplica and maxReplica out, or manage an environment" in message


def test_a_name_that_several_teams_use_is_told_apart_by_the_team(stage: Stage) -> None:
    stage.open()
    for team in ("Red", "Blue"):
        deployments = [DeploymentSpec(id=f"d-{team}")]
        stage.baseten.add_model(id=f"m-{team}", name="twin", team=team, deployments=deployments)
    stage.das("any", {"modelName": "twin", "deployment": "d-Blue"}, {"maxReplica": 3})
    stage.until("das", "any", "TargetNotFound")
    message = stage.condition("das", "any")["message"]
    assert "m-Blue (team Blue), m-Red (team Red): say which one with target.team" in message

    stage.das("blue", {"modelName": "twin", "team": "Blue", "deployment": "d-Blue"}, {"maxReplica": 3})

    assert stage.until("das", "blue", "Synced")["status"]["target"]["modelId"] == "m-Blue"


def test_a_schedule_of_the_platform_is_not_fought(stage: Stage) -> None:
    stage.open()
    stage.das("production", PRODUCTION, {"maxReplica": 6})
    stage.until("das", "production", "Synced")
    stage.baseten.set_schedule("m-greeter", "production", "night", {"max_replica": 1})

    # What it overrides is the serving deployment's; the environment's own settings are as they should be.
    stage.request("das", "production", "one")
    stage.handled("das", "production", "one")
    assert stage.condition("das", "production")["reason"] == "Synced"
    stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", environment="production")
    stage.request("das", "production", "two")
    stage.until("das", "production", "PlatformScheduleActive")
    assert len(stage.writes()) == 1

    stage.baseten.set_schedule("m-greeter", "production", None)
    stage.request("das", "production", "three")
    stage.until("das", "production", "Synced")
    assert [write.body["autoscaling_settings"]["max_replica"] for write in stage.writes()] == [6, 6]
