"""What a connection tells of itself, with and without resources that use it."""

from typing import Any

import pytest

from tests.e2e.stage import GatewayStage, Place, Stage, connection, secret
from tests.simulators.faults import Respond
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FREE = {"modelId": "m-greeter", "deployment": "d-free"}


def ready(place: Place, name: str, reason: str) -> dict[str, Any]:
    """Wait until the Ready condition of a connection has a reason, and return the status."""
    place.until("spconn", name, reason, timeout=45)
    status: dict[str, Any] = place.get("spconn", name)["status"]
    return status


def test_a_connection_that_works_says_so_and_counts_its_resources(stage: Stage) -> None:
    stage.open()
    assert ready(stage, "baseten", "Connected")["resources"] == 0
    stage.das("free", FREE, {"maxReplica": 3})
    eventually(lambda: stage.get("spconn", "baseten")["status"]["resources"] == 1, timeout=15)
    head, row = stage.plane.kubectl("get", "spconn", "-n", stage.namespace).stdout.splitlines()
    assert head.split() == ["NAME", "READY", "BASETEN", "BIFROST", "RESOURCES", "AGE"]
    assert row.split()[:4] == ["baseten", "True", stage.baseten.url, "1"]


def test_a_gateway_tells_its_release(gateway: GatewayStage) -> None:
    gateway.bifrost.set_version("v2.2.6")
    gateway.open()
    assert ready(gateway, "bifrost", "Connected")["remoteVersion"] == "v2.2.6"


def test_a_connection_that_does_not_work_says_why_and_heals(stage: Stage) -> None:
    stage.plane.apply(connection("baseten", stage.namespace, stage.baseten.url))
    ready(stage, "baseten", "ConnectionNotFound")
    assert "Secret" in stage.condition("spconn", "baseten")["message"]

    stage.plane.apply(secret("baseten", stage.namespace, "wrong-key"))
    ready(stage, "baseten", "AuthenticationFailed")
    assert stage.condition("spconn", "baseten", "Stalled")["status"] == "True"
    assert "wrong-key" not in stage.condition("spconn", "baseten")["message"]

    stage.open()
    ready(stage, "baseten", "Connected")


def test_a_connection_to_a_host_that_is_not_allowed_or_not_there(stage: Stage) -> None:
    stage.plane.apply(
        secret("baseten", stage.namespace, "test-key"),
        connection("elsewhere", stage.namespace, "https://example.com") | {"kind": "Connection"},
        connection("nobody", stage.namespace, "http://127.0.0.1:9"),
        connection("other", stage.namespace, f"{stage.baseten.url}/nowhere"),
    )
    for name in ("elsewhere", "nobody", "other"):
        stage.plane.apply(secret(name, stage.namespace, "test-key"))
    ready(stage, "elsewhere", "ConnectionNotAllowed")
    ready(stage, "nobody", "RemoteUnreachable")
    ready(stage, "other", "UnexpectedAnswer")
    assert "correct the URL of the connection" in stage.condition("spconn", "other")["message"]


def test_another_url_is_looked_at_and_written_to_only_where_it_differs(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.das("production", {"modelId": "m-greeter", "environment": "production"}, {"maxReplica": 6})
    for name in ("free", "production"):
        stage.until("das", name, "Synced")
    with BasetenSimulator.start() as moved:
        moved.set_settings({"max_replica": 3}, model="m-greeter", deployment="d-free")
        stage.plane.apply(connection("baseten", stage.namespace, moved.url))

        def looked_at() -> bool:
            return {"deployments", "environments"} <= {entry.path.rsplit("/", 1)[1] for entry in moved.journal()}

        eventually(looked_at, timeout=20)
        eventually(lambda: moved.journal(method="PATCH"), timeout=20)
        stage.until("das", "production", "Synced")
        assert [(entry.path, entry.body) for entry in moved.journal(method="PATCH")] == [
            ("/v1/models/m-greeter/environments/production", {"autoscaling_settings": {"max_replica": 6}})
        ]
        assert stage.condition("das", "free")["status"] == "True"
        stage.plane.delete_all("deploymentautoscalings", stage.namespace)


def redirected(stage: Stage, method: str, path: str) -> None:
    """Answer some requests as something that wants people to log in first."""
    location = {"Location": "https://sso.example.com/login?next=/v1"}
    stage.baseten.inject(Respond(status=302, headers=location), method=method, path=path, count=None)


def test_what_is_not_the_api_is_told_on_the_connection_and_on_its_resources(stage: Stage) -> None:
    page = {"Content-Type": "text/html; charset=utf-8"}
    stage.baseten.inject(Respond(body="<!doctype html><title>Sign in</title>", headers=page), count=None)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    for kind, name in (("spconn", "baseten"), ("das", "free")):
        stage.until(kind, name, "UnexpectedAnswer", timeout=45)
        assert stage.condition(kind, name, "Stalled")["status"] == "True"
        message = stage.condition(kind, name)["message"]
        assert "with a page of HTML instead of JSON" in message
        assert message.endswith("so it is not the API that answers; correct the URL of the connection")
    stage.baseten.clear_faults()
    # Nobody asks: the resource is looked at as soon as the connection works.
    stage.until("das", "free", "Synced")
    ready(stage, "baseten", "Connected")


def test_what_only_answers_writes_is_told_on_the_resource(stage: Stage) -> None:
    redirected(stage, "PATCH", "")
    stage.open()
    ready(stage, "baseten", "Connected")
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "UnexpectedAnswer")
    assert stage.condition("das", "free", "Stalled")["status"] == "True"
    message = stage.condition("das", "free")["message"]
    assert "302" in message
    assert "with a redirect to https://sso.example.com/login, which is not followed" in message
    assert message.endswith("correct the URL of the connection")
    assert stage.condition("spconn", "baseten")["reason"] == "Connected"


def test_a_key_is_not_sent_in_clear_to_a_host_that_is_only_listed(stage: Stage) -> None:
    stage.plane.apply(
        secret("clear", stage.namespace, "test-key"),
        connection("clear", stage.namespace, "http://listed.example.com"),
    )
    ready(stage, "clear", "ConnectionNotAllowed")
    message = stage.condition("spconn", "clear")["message"]
    assert "host listed.example.com must be reached with https" in message
    assert "add http://listed.example.com to the operator's list of allowed hosts" in message


def test_a_listed_host_is_reached_at_its_usual_port_only(stage: Stage) -> None:
    stage.plane.apply(
        secret("ssh", stage.namespace, "test-key"), connection("ssh", stage.namespace, "https://listed.example.com:22")
    )
    ready(stage, "ssh", "ConnectionNotAllowed")
    message = stage.condition("spconn", "ssh")["message"]
    assert "which has listed.example.com at other ports only" in message
    assert message.endswith("an administrator who means it adds listed.example.com:22")


@pytest.mark.cluster_wide
def test_a_cluster_connection_does_not_lead_to_the_keys_of_a_cloud(stage: Stage) -> None:
    name = f"metadata-{stage.namespace}"
    body = connection(name, stage.namespace, "https://[::ffff:169.254.169.254]")
    body["spec"]["baseten"]["apiKeySecretRef"] |= {"namespace": stage.namespace}
    body |= {"kind": "ClusterConnection", "metadata": {"name": name}}
    stage.plane.apply(secret(name, stage.namespace, "test-key"), body)
    try:

        def told() -> str:
            found = stage.plane.get("spcconn", name) or {}
            listed = found.get("status", {}).get("conditions", [])
            return next((one["message"] for one in listed if one["reason"] == "ConnectionNotAllowed"), "")

        message = eventually(told, timeout=45)
    finally:
        stage.plane.kubectl("delete", "spcconn", name)
    assert "where clouds tell a machine its keys" in message
    assert "to the operator's list of allowed hosts" in message
