"""Moves, replaced objects and lost statuses on a real API server: what was found is never put back anywhere else."""

import json

import pytest

from tests.e2e.stage import GatewayStage, Stage
from tests.e2e.test_deletion import FINALIZER, FREE, MONTH, finalizers, free, gone, told
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]


def endpoint(url: str) -> str:
    """Return how a status names what is behind a URL of a simulator."""
    return url.removeprefix("http://").rstrip("/")


def lead_to(stage: Stage | GatewayStage, name: str, remote: str, url: str) -> None:
    """Have a Connection lead to another URL."""
    patch = json.dumps({"spec": {remote: {"url": url}}})
    stage.plane.kubectl("patch", "spconn", name, "-n", stage.namespace, "--type=merge", "-p", patch)


def wipe(stage: Stage, name: str) -> None:
    """Take the status away, as a restore from a backup without it does."""
    patch = json.dumps([{"op": "replace", "path": "/status", "value": {"observedGeneration": -1}}])
    stage.plane.kubectl("patch", "das", name, "-n", stage.namespace, "--subresource=status", "--type=json", "-p", patch)


def test_a_connection_that_leads_elsewhere_leaves_what_was_found_where_it_was(stage: Stage) -> None:
    there = {"model": "m-greeter", "deployment": "d-free"}
    stage.baseten.set_settings({"max_replica": 8}, **there)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3}, deletionPolicy="Restore", interval="30s")
    found = stage.until("das", "free", "Synced")
    way = {"kind": "Connection", "name": "baseten", "uid": stage.get("connection", "baseten")["metadata"]["uid"]}
    assert {name: found["status"]["origin"]["connection"][name] for name in way} == way
    origin = {name: value for name, value in found["status"]["origin"].items() if name != "connection"}
    assert origin == {"endpoint": endpoint(stage.baseten.url), "id": "m-greeter/d-free"}
    with BasetenSimulator.launch() as other:
        other.add_key("test-key")
        other.set_settings({"max_replica": 5}, **there)
        lead_to(stage, "baseten", "baseten", other.url)
        moved = eventually(lambda: [one for one in stage.events("free") if one[1] == "TargetMoved"], timeout=60)
        assert moved[0][0] == "Warning"
        assert endpoint(stage.baseten.url) in moved[0][2]
        assert '"maxReplica":3' in moved[0][2]
        assert '"maxReplica":8' in moved[0][2]
        eventually(lambda: (other.settings(**there) or {})["max_replica"] == 3)
        gone(stage, "das", "free")
        assert (other.settings(**there) or {})["max_replica"] == 5, "its own, not what the first one had"
    assert free(stage)["max_replica"] == 3


def test_a_row_made_before_a_move_is_told_and_never_looked_for_elsewhere(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Delete", interval="30s")
    found = gateway.until("mcg", "gpt", "Synced")
    first = found["status"]["target"]["modelConfigId"]
    with BifrostSimulator.launch() as other:
        lead_to(gateway, "bifrost", "bifrost", other.gateway_url)
        made = eventually(lambda: other.find("gpt-5", "openai"), timeout=60)
        moved = eventually(lambda: [one for one in gateway.events("gpt") if one[1] == "TargetMoved"])
        assert first in moved[0][2]
        assert "this resource created it" in moved[0][2]
        assert not [one for one in gateway.events("gpt") if one[1] == "Recreated"]
        eventually(lambda: gateway.get("mcg", "gpt")["status"].get("target", {}).get("modelConfigId") == made[0]["id"])
        gone(gateway, "mcg", "gpt")
        assert other.find("gpt-5", "openai") == []
    assert len(gateway.bifrost.find("gpt-5", "openai")) == 1


def test_a_row_that_somebody_made_anew_has_its_own_baseline(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, deletionPolicy="Restore", interval="30s")
    found = gateway.until("mcg", "gpt", "Synced")
    first = found["status"]["target"]["modelConfigId"]
    spec = gateway.bifrost.state(first)
    gateway.bifrost.delete_row(first)
    budget = spec.budgets[0].model_copy(update={"max_limit": 33})
    second = gateway.bifrost.add_row(spec.model_copy(update={"id": "", "budgets": [budget]}))
    gateway.request("mcg", "gpt", "now")
    found = gateway.handled("mcg", "gpt", "now")
    assert found["status"]["origin"]["id"] == second
    assert found["status"]["baseline"]["budgets"][0]["maxLimit"] == 33
    assert first in told(gateway, "gpt", "TargetChanged")[1]
    gone(gateway, "mcg", "gpt")
    assert gateway.bifrost.state(second).budgets[0].max_limit == 33


def test_an_object_that_is_replaced_has_its_finalizer_back(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 1})
    stage.until("das", "free", "Synced")
    stage.patch("das", "free", {"deletionPolicy": "Restore"})
    eventually(lambda: finalizers(stage, "das", "free") == [FINALIZER])
    manifest = {
        "apiVersion": "setpoint.dev/v1alpha1",
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": "free", "namespace": stage.namespace},
        "spec": {"target": FREE, "autoscaling": {"maxReplica": 1}, "deletionPolicy": "Restore"},
    }
    stage.plane.kubectl("replace", "-f", "-", stdin=json.dumps(manifest))
    eventually(lambda: finalizers(stage, "das", "free") == [FINALIZER])
    stage.patch("das", "free", {"autoscaling": {"maxReplica": 7}})
    stage.until("das", "free", "Synced")
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 1


def test_a_status_that_is_wiped_under_a_working_operator_comes_back(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    before = stage.until("das", "free", "Synced")["status"]
    wipe(stage, "free")
    stage.request("das", "free", "now")
    assert stage.handled("das", "free", "now")["status"]["baseline"] == before["baseline"]
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 1
