"""Answers of the API, documented and odd ones."""

from typing import Any

import pytest

from setpoint.remotes.answers import Answer
from setpoint.remotes.baseten_shapes import ChainEnvironment, Deployment, Environment, items, written
from setpoint.remotes.errors import RemoteFailure
from setpoint.resources.autoscaling import AutoscalingSettings

SETTINGS = {"min_replica": 0, "max_replica": 7, "concurrency_target": 2, "target_in_flight_tokens": None}
READ = AutoscalingSettings(min_replica=0, max_replica=7, concurrency_target=2)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"status": "ACCEPTED", "message": "soon"}, Answer("ACCEPTED", "soon")),
        ({"environment": {"name": "production"}, "status": "QUEUED", "message": ""}, Answer("QUEUED", "")),
        ({"status": "UNCHANGED"}, Answer("UNCHANGED", "")),
        ({"status": "UNCHANGED", "message": None}, Answer("UNCHANGED", "")),
        ({"status": "POSTPONED", "message": "new word"}, Answer("POSTPONED", "new word")),
    ],
)
def test_answers_to_writes(body: Any, answer: Answer) -> None:
    assert written(body) == answer


@pytest.mark.parametrize("body", [{}, {"message": "done"}, {"status": 1}, {"status": None}, [], "ACCEPTED", None])
def test_an_answer_without_a_status_is_a_failure(body: Any) -> None:
    with pytest.raises(RemoteFailure, match="without a status"):
        written(body)


def test_a_deployment_is_read() -> None:
    raw = {"id": "d1", "name": "v1", "environment": "production", "status": "ACTIVE", "autoscaling_settings": SETTINGS}

    assert Deployment.from_wire(raw) == Deployment("d1", "v1", "production", "ACTIVE", READ)


def test_a_deployment_that_never_ran_has_no_settings() -> None:
    raw = {"id": "d1", "name": None, "environment": None, "status": "BUILDING", "autoscaling_settings": None}

    assert Deployment.from_wire(raw) == Deployment("d1", "", None, "BUILDING", None)


@pytest.mark.parametrize("settings", ["odd", 5, [SETTINGS]])
def test_settings_that_cannot_be_read_are_a_failure(settings: Any) -> None:
    with pytest.raises(RemoteFailure, match="cannot be read"):
        Deployment.from_wire({"id": "d1", "autoscaling_settings": settings})


@pytest.mark.parametrize(
    "status",
    ["ACTIVE", "SCALED_TO_ZERO", "INACTIVE", "UNHEALTHY", "DEPLOY_FAILED", "BUILD_FAILED", "BUILD_STOPPED", "FAILED"],
)
def test_states_that_last(status: str) -> None:
    assert Deployment.from_wire({"id": "d1", "status": status}).settled


@pytest.mark.parametrize(
    "status",
    ["BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING", "DEACTIVATING", "WAKING_UP", "A_NEW_WORD", None, 5],
)
def test_states_that_pass(status: Any) -> None:
    assert not Deployment.from_wire({"id": "d1", "status": status}).settled


@pytest.mark.parametrize(
    ("promotion", "read"),
    [
        (None, None),
        ({}, None),
        ("odd", None),
        ({"status": None}, None),
        ({"status": "SUCCEEDED"}, None),
        ({"status": "FAILED"}, None),
        ({"status": "CANCELED"}, None),
        ({"status": "RELEASING"}, "RELEASING"),
        ({"status": "RAMPING_UP"}, "RAMPING_UP"),
        ({"status": "PAUSED"}, "PAUSED"),
        ({"status": "A_NEW_WORD"}, "A_NEW_WORD"),
    ],
)
def test_the_promotion_of_an_environment(promotion: Any, read: str | None) -> None:
    raw = {"name": "production", "autoscaling_settings": SETTINGS, "in_progress_promotion": promotion}

    assert Environment.from_wire(raw) == Environment("production", READ, read, None)


@pytest.mark.parametrize(
    ("schedules", "read"),
    [
        (None, None),
        ([], None),
        ({"applied_state": None}, None),
        ({"applied_state": {"schedule_id": None}}, None),
        ({"applied_state": {"schedule_id": "s1"}}, "s1"),
        ({"applied_state": {"schedule_id": 5}}, "5"),
    ],
)
def test_the_schedule_in_force(schedules: Any, read: str | None) -> None:
    raw = {"name": "production", "autoscaling_settings": SETTINGS, "autoscaling_schedules": schedules}

    assert Environment.from_wire(raw).schedule_id == read


def test_an_environment_without_settings_is_a_failure() -> None:
    with pytest.raises(RemoteFailure, match="no autoscaling settings of environment production"):
        Environment.from_wire({"name": "production", "autoscaling_settings": None})


@pytest.mark.parametrize(
    ("candidate", "promotion"),
    [
        (None, None),
        ({"status": "DEPLOYING"}, "DEPLOYING"),
        ({"status": "ACTIVE"}, "ACTIVE"),
        ({"status": "FAILED"}, None),
    ],
)
def test_a_chain_environment_is_read(candidate: Any, promotion: str | None) -> None:
    raw = {
        "chainlet_settings": [
            {"chainlet_name": "HelloWorld", "autoscaling_settings": SETTINGS},
            {"chainlet_name": "RandInt", "autoscaling_settings": None},
            {"autoscaling_settings": SETTINGS},
            None,
        ],
        "candidate_deployment": candidate,
    }

    assert ChainEnvironment.from_wire(raw, "production") == ChainEnvironment(
        "production", {"HelloWorld": READ, "RandInt": None}, promotion
    )


def test_items_that_make_no_sense_are_left_out() -> None:
    raw = {"deployments": [None, 5, "d0", {}, {"id": None}, {"id": 7}, {"id": "d1"}]}

    assert items(raw, "deployments", key="id") == [{"id": "d1"}]


@pytest.mark.parametrize("raw", [None, [], {}, {"deployments": None}, {"deployments": {"id": "d1"}}, "deployments"])
def test_a_read_without_its_list_is_a_failure(raw: Any) -> None:
    with pytest.raises(RemoteFailure, match="without a list of deployments"):
        items(raw, "deployments", key="id")
