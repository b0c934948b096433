"""Answers of the API, documented and odd ones."""

from typing import Any

import pytest

from setpoint.remotes.answers import Answer
from setpoint.remotes.baseten_shapes import ChainEnvironment, Deployment, Environment, Running, items, written
from setpoint.remotes.errors import UnreadableAnswer
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
        ({"environment": {"name": "production"}}, Answer("200", "")),
        ({"environment": {"name": "production"}, "status": None, "message": None}, Answer("200", "")),
        ({"environment": {"name": "production"}, "message": "soon"}, Answer("200", "soon")),
        ({"name": "production", "autoscaling_settings": SETTINGS}, Answer("200", "")),
    ],
)
def test_answers_to_writes(body: Any, answer: Answer) -> None:
    assert written(body) == answer


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": "done"},
        {"status": 1},
        {"status": None},
        {"status": ""},
        {"environment": None},
        {"environment": "production"},
        {"name": "production"},
        [],
        "ACCEPTED",
        None,
    ],
)
def test_an_answer_without_a_status_or_an_environment_cannot_be_understood(body: Any) -> None:
    with pytest.raises(UnreadableAnswer, match="without a status") as raised:
        written(body)

    assert raised.value.status == 200


def test_a_deployment_is_read() -> None:
    raw = {"id": "d1", "name": "v1", "environment": "production", "status": "ACTIVE", "autoscaling_settings": SETTINGS}

    assert Deployment.from_wire(raw) == Deployment("d1", "v1", "production", "ACTIVE", READ)


def test_a_deployment_that_never_ran_has_no_settings() -> None:
    raw = {"id": "d1", "name": None, "environment": None, "status": "BUILDING", "autoscaling_settings": None}

    assert Deployment.from_wire(raw) == Deployment("d1", "", None, "BUILDING", None)


@pytest.mark.parametrize("settings", ["odd", 5, [SETTINGS]])
def test_settings_that_cannot_be_read_are_a_failure(settings: Any) -> None:
    with pytest.raises(UnreadableAnswer, match="cannot be read") as raised:
        Deployment.from_wire({"id": "d1", "autoscaling_settings": settings})

    assert raised.value.status == 200


@pytest.mark.parametrize(
    ("raw", "attached"),
    [
        ({"environment": "staging", "is_production": False}, "staging"),
        ({"environment": None, "is_production": True}, "production"),
        ({"environment": None, "is_production": False}, None),
        ({"environment": "", "is_production": "yes"}, None),
        ({}, None),
    ],
)
def test_the_environment_a_deployment_belongs_to(raw: dict[str, Any], attached: str | None) -> None:
    assert Deployment.from_wire({"id": "d1", **raw}).attached == attached


@pytest.mark.parametrize(
    ("status", "read"),
    [
        ("ACTIVE", "ACTIVE"),
        ("A_NEW_WORD2", "A_NEW_WORD2"),
        ("active now", "UNKNOWN"),
        ("A" * 65, "UNKNOWN"),
        ("", "UNKNOWN"),
        (None, "UNKNOWN"),
        (5, "UNKNOWN"),
    ],
)
def test_a_state_is_a_word_of_the_platforms_kind(status: Any, read: str) -> None:
    assert Deployment.from_wire({"id": "d1", "status": status}).status == read


@pytest.mark.parametrize(
    ("count", "read"), [(0, 0), (3, 3), (-1, None), (True, None), (1.5, None), ("3", None), (None, None), (2**64, None)]
)
def test_active_replicas_are_a_whole_number_or_not_told(count: Any, read: int | None) -> None:
    assert Deployment.from_wire({"id": "d1", "active_replica_count": count}).replicas == read


@pytest.mark.parametrize(
    ("current", "read"),
    [
        ({"id": "d1", "status": "ACTIVE", "active_replica_count": 2}, Running("d1", "ACTIVE", 2)),
        ({"id": "d1", "autoscaling_settings": "odd"}, Running("d1", "UNKNOWN", None)),
        ({"id": "../d1", "status": "ACTIVE"}, None),
        ({"status": "ACTIVE"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_what_serves_in_an_environment(current: Any, read: Running | None) -> None:
    raw = {"name": "production", "autoscaling_settings": SETTINGS, "current_deployment": current}

    assert Environment.from_wire(raw).current == read


@pytest.mark.parametrize("chainlets", [None, {}, "odd", [], [None, 5, {}, {"name": ""}, {"name": 7}]])
def test_a_chain_deployment_that_tells_nothing_of_its_chainlets_is_read_all_the_same(chainlets: Any) -> None:
    raw = {"chainlet_settings": [], "current_deployment": {"id": "cd1", "status": "ACTIVE", "chainlets": chainlets}}

    read = ChainEnvironment.from_wire(raw, "production")

    assert (read.current, read.running) == (Running("cd1", "ACTIVE", None), {})


def test_the_chainlets_that_serve_are_read_by_name() -> None:
    chainlets = [
        {"id": "1", "name": "HelloWorld", "status": "ACTIVE", "active_replica_count": 2},
        {"id": "2", "name": "RandInt", "status": "UNHEALTHY", "active_replica_count": 0},
    ]
    raw = {"chainlet_settings": [], "current_deployment": {"id": "cd1", "status": "UNHEALTHY", "chainlets": chainlets}}

    assert ChainEnvironment.from_wire(raw, "production").running == {
        "HelloWorld": Running("1", "ACTIVE", 2),
        "RandInt": Running("2", "UNHEALTHY", 0),
    }


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
    with pytest.raises(UnreadableAnswer, match="no autoscaling settings of environment production"):
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


@pytest.mark.parametrize(
    ("promotion", "candidate", "read"),
    [
        (None, None, None),
        ({"status": "RAMPING_UP"}, {"status": "ACTIVE"}, "RAMPING_UP"),
        ({"status": "RAMPING_UP"}, None, "RAMPING_UP"),
        ({"status": "FAILED"}, {"status": "ACTIVE"}, None),
        (None, {"status": "BUILDING"}, "BUILDING"),
        ({"status": "odd word"}, None, "UNKNOWN"),
    ],
)
def test_the_promotion_of_a_chain(promotion: Any, candidate: Any, read: str | None) -> None:
    """Chains have told of it since October 2026; before, and while the candidate is built, of the candidate only."""
    raw = {"chainlet_settings": [], "in_progress_promotion": promotion, "candidate_deployment": candidate}

    assert ChainEnvironment.from_wire(raw, "production").promotion == read


def test_items_that_make_no_sense_are_left_out() -> None:
    raw = {"deployments": [None, 5, "d0", {}, {"id": None}, {"id": 7}, {"id": "d1"}]}

    assert items(raw, "deployments", key="id") == [{"id": "d1"}]


@pytest.mark.parametrize(
    ("field", "key"),
    [("deployments", "id"), ("environments", "name"), ("models", "id"), ("chains", "id"), ("teams", "id")],
)
def test_a_list_that_is_null_is_empty(field: str, key: str) -> None:
    assert items({field: None}, field, key=key) == []


def test_chainlets_that_are_null_are_none() -> None:
    assert ChainEnvironment.from_wire({"chainlet_settings": None}, "production").chainlets == {}


@pytest.mark.parametrize("raw", [None, [], {}, {"deployments": {"id": "d1"}}, {"deployments": 0}, "deployments"])
def test_a_read_without_its_list_is_a_failure(raw: Any) -> None:
    with pytest.raises(UnreadableAnswer, match="without a list of deployments") as raised:
        items(raw, "deployments", key="id")

    assert raised.value.status == 200
