"""Bad input and bad weather: what the user sees, and that it heals without anyone's help."""

import json

import pytest

from tests.e2e.stage import Stage, connection, secret
from tests.simulators.faults import Delay, Drop, Fault, Huge, Respond, Truncate
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
HELLO = {"chainId": "c-hello", "environment": "production"}


def stalled(stage: Stage, kind: str, name: str, reason: str) -> str:
    """Wait for a failure that does not pass by itself, and return its message."""
    stage.until(kind, name, reason)
    ready, failed = stage.condition(kind, name), stage.condition(kind, name, "Stalled")
    assert (ready["status"], failed["status"], failed["reason"]) == ("False", "True", reason)
    message: str = ready["message"]
    return message


def test_unknown_model_name_is_named_with_those_there_are(stage: Stage) -> None:
    stage.open()
    stage.das("a", {"modelName": "greetr", "deployment": "development"}, {"maxReplica": 3})
    assert "greeter" in stalled(stage, "das", "a", "TargetNotFound")


def test_ambiguous_model_name_says_which_ids_share_it(stage: Stage) -> None:
    stage.baseten.add_model(id="m-other", name="greeter")
    stage.open()
    stage.das("a", {"modelName": "greeter", "deployment": "development"}, {"maxReplica": 3})
    message = stalled(stage, "das", "a", "TargetNotFound")
    assert "m-greeter" in message
    assert "m-other" in message


def test_unknown_deployment_environment_chain_and_chainlet(stage: Stage) -> None:
    stage.open()
    stage.das("deployment", {"modelId": "m-greeter", "deployment": "nope"}, {"maxReplica": 3})
    stage.das("environment", {"modelId": "m-greeter", "environment": "nope"}, {"maxReplica": 3})
    stage.das("model", {"modelId": "nope", "environment": "production"}, {"maxReplica": 3})
    stage.cas("chain", {"chainId": "nope", "environment": "production"}, {"HelloWorld": {"maxReplica": 3}})
    stage.cas("chainlet", HELLO, {"HelloWorld": {"maxReplica": 3}, "Nope": {"maxReplica": 3}})

    assert "d-free" in stalled(stage, "das", "deployment", "TargetNotFound")
    assert "staging" in stalled(stage, "das", "environment", "TargetNotFound")
    assert "nope" in stalled(stage, "das", "model", "TargetNotFound")
    assert "nope" in stalled(stage, "cas", "chain", "TargetNotFound")
    message = stalled(stage, "cas", "chainlet", "TargetNotFound")
    assert "Nope" in message
    assert "RandInt" in message


def test_refused_settings_show_the_apis_words_and_are_not_repeated(stage: Stage) -> None:
    stage.baseten.set_max_replica_cap(5)
    stage.open()
    stage.das("a", FREE, {"maxReplica": 6})

    message = stalled(stage, "das", "a", "InvalidSettings")

    [write] = stage.writes()
    assert write.response["message"] in message
    assert stage.get("das", "a")["status"]["response"]["status"] == "400"
    stage.das("b", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 2})
    stage.until("das", "b", "Synced")
    assert [write.status for write in stage.writes()].count(400) == 1
    stage.baseten.set_max_replica_cap(None)
    stage.request("das", "a", "again")
    stage.until("das", "a", "Synced")


def test_a_restricted_environment_is_forbidden(stage: Stage) -> None:
    stage.baseten.set_restricted(model="m-greeter", environment="production")
    stage.open()
    stage.das("a", {"modelId": "m-greeter", "environment": "production"}, {"maxReplica": 6})
    assert "403" in stalled(stage, "das", "a", "Forbidden")


def test_a_wrong_key_stalls_and_a_rotated_one_heals(stage: Stage) -> None:
    stage.open(key="wrong-key")
    stage.das("a", FREE, {"maxReplica": 3})
    stage.das("b", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 2})
    message = stalled(stage, "das", "a", "AuthenticationFailed")
    stalled(stage, "das", "b", "AuthenticationFailed")
    assert "wrong-key" not in message

    stage.plane.apply(secret("baseten", stage.namespace, "test-key\n"))

    stage.until("das", "a", "Synced", timeout=40)
    stage.until("das", "b", "Synced", timeout=40)


def test_missing_connection_secret_and_key_are_named_and_heal(stage: Stage) -> None:
    stage.das("a", FREE, {"maxReplica": 3})
    stage.until("das", "a", "ConnectionNotFound")
    assert "no Connection baseten" in stage.condition("das", "a")["message"]
    assert stage.condition("das", "a", "Reconciling")["status"] == "True"

    stage.plane.apply(connection("baseten", stage.namespace, stage.baseten.url))
    eventually(lambda: "Secret" in stage.condition("das", "a").get("message", ""), timeout=20)
    assert f"Secret {stage.namespace}/baseten does not exist" in stage.condition("das", "a")["message"]

    stage.plane.apply({**secret("baseten", stage.namespace, ""), "stringData": {"other": "x"}})
    eventually(lambda: "no key api-key" in stage.condition("das", "a").get("message", ""), timeout=30)

    stage.plane.apply(secret("baseten", stage.namespace, "test-key"))
    stage.until("das", "a", "Synced", timeout=60)


def test_a_connection_may_not_reach_hosts_that_are_not_listed(stage: Stage) -> None:
    stage.plane.apply(
        secret("baseten", stage.namespace, "test-key"),
        connection("baseten", stage.namespace, "https://example.com"),
    )
    stage.das("a", FREE, {"maxReplica": 3})
    assert "example.com" in stalled(stage, "das", "a", "ConnectionNotAllowed")


@pytest.mark.cluster_wide
def test_a_cluster_connection_serves_only_its_namespaces(stage: Stage) -> None:
    name = stage.namespace
    ref = {"namespace": stage.namespace, "name": "baseten", "key": "api-key"}
    served = {
        "apiVersion": "setpoint.dev/v1alpha1",
        "kind": "ClusterConnection",
        "metadata": {"name": name},
        "spec": {"baseten": {"url": stage.baseten.url, "apiKeySecretRef": ref}},
    }
    stage.plane.apply(secret("baseten", stage.namespace, "test-key"), served)
    try:
        stage.das("a", FREE, {"maxReplica": 3}, connectionRef={"name": name})
        assert "does not serve" in stalled(stage, "das", "a", "ConnectionNotAllowed")
        selector = {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
        patch = json.dumps({"spec": {"namespaces": {"selector": selector}}})
        stage.plane.kubectl("patch", "spcconn", name, "--type=merge", "-p", patch)
        stage.until("das", "a", "Synced")
    finally:
        stage.plane.kubectl("delete", "spcconn", name)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Respond(status=429, body={"error": "Rate limit exceeded", "retry_after": 2}), "RateLimited"),
        (Respond(status=500, body={"error": "boom"}), "RemoteError"),
        (Respond(status=502, body="<html>bad gateway</html>", headers={"content-type": "text/html"}), "RemoteError"),
        (Drop(), "RemoteUnreachable"),
        (Drop(applied=True), "RemoteUnreachable"),
        (Truncate(), "RemoteUnreachable"),
        (Delay(seconds=3, applied=True), "RemoteUnreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_failed_write_is_tried_again_and_heals(stage: Stage, fault: Fault, reason: str) -> None:
    stage.open(timeout="1s")
    stage.baseten.inject(fault, method="PATCH", count=2)
    stage.das("a", FREE, {"maxReplica": 3})

    stage.until("das", "a", reason)
    assert stage.condition("das", "a")["status"] == "Unknown"
    assert stage.condition("das", "a", "Reconciling")["status"] == "True"

    stage.until("das", "a", "Synced")
    settings = stage.baseten.settings(model="m-greeter", deployment="d-free")
    assert settings is not None
    assert settings["max_replica"] == 3
    assert len(stage.writes()) <= 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Respond(status=200, body="<html>", headers={"content-type": "text/html"}), "UnexpectedAnswer"),
        (Respond(status=200, body="{"), "Applying"),
        (Respond(status=200, body={"message": "no status"}), "Applying"),
        (Huge(size=20_000_000), "Applying"),
    ],
    ids=["a page", "half of JSON", "no status", "20 MB"],
)
def test_a_write_that_did_not_happen_though_something_said_200_is_sent_again(
    stage: Stage, fault: Fault, reason: str
) -> None:
    stage.open()
    stage.baseten.inject(fault, method="PATCH", count=1)
    stage.das("a", FREE, {"maxReplica": 3})
    stage.until("das", "a", reason)
    assert len(stage.writes()) == 1
    stage.until("das", "a", "Synced")
    settings = stage.baseten.settings(model="m-greeter", deployment="d-free")
    assert settings is not None
    assert settings["max_replica"] == 3
    assert len(stage.writes()) == 2


def test_ready_is_kept_for_three_tries_then_unknown_then_healed(stage: Stage) -> None:
    stage.open()
    stage.das("a", FREE, {"maxReplica": 3})
    stage.until("das", "a", "Synced")
    stage.baseten.inject(Respond(status=503), method="GET", path="/deployments", count=None)
    since = stage.baseten.last()

    stage.request("das", "a", "now")
    eventually(lambda: len(stage.baseten.journal(since=since)) >= 3, timeout=20)
    assert stage.condition("das", "a")["status"] == "True"
    stage.until("das", "a", "RemoteError")
    assert stage.condition("das", "a")["status"] == "Unknown"

    stage.baseten.clear_faults()
    stage.until("das", "a", "Synced")
    assert len(stage.writes()) == 1


def test_a_429_on_a_read_is_not_taken_for_an_absent_object(stage: Stage) -> None:
    stage.open()
    stage.das("a", FREE, {"maxReplica": 3})
    stage.until("das", "a", "Synced")
    stage.baseten.inject(
        Respond(status=429, body={"error": "slow down", "retry_after": 1}), method="GET", path="/models/", count=2
    )

    stage.request("das", "a", "now")
    stage.handled("das", "a", "now")

    assert stage.condition("das", "a")["reason"] == "Synced"
    assert len(stage.writes()) == 1
