"""Resources that are moved to another cluster as docs/backup.md tells keep what they know, and nothing is written for it."""

import re
from pathlib import Path

import pytest

from tests.e2e.process import OperatorProcess
from tests.e2e.stage import GatewayStage, Place, Stage
from tests.e2e.test_deletion import FREE, free, gone, told
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text(encoding="utf-8")


def moved(place: Place, kind: str, name: str) -> None:
    """Save a resource, remove it as the page says for the old cluster, and bring it back as in the new one."""
    found = re.search(r"grep -vE '(.+)' > setpoint.yaml", PAGE)
    assert found is not None
    there = ("-n", place.namespace)
    lines = place.plane.kubectl("get", kind, *there, "-o", "yaml").stdout.splitlines()
    saved = "\n".join(line for line in lines if not re.search(found[1], line))
    uid = place.get(kind, name)["metadata"]["uid"]
    made_anew(place)
    place.plane.kubectl("delete", kind, name, *there, "--wait=false")
    place.plane.kubectl("patch", kind, name, *there, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    eventually(lambda: place.plane.get(kind, name, place.namespace) is None, timeout=30)
    for words in re.findall(r"^kubectl (apply .*|replace .*) -f setpoint.yaml$", PAGE, flags=re.MULTILINE):
        place.plane.kubectl(*words.split(), "-f", "-", stdin=saved)
    assert place.get(kind, name)["metadata"]["uid"] != uid


def made_anew(place: Place) -> None:
    """Delete the connections and bring them back as another cluster has them: with other uids."""
    there = ("-n", place.namespace)
    lines = place.plane.kubectl("get", "connections", *there, "-o", "yaml").stdout.splitlines()
    saved = "\n".join(line for line in lines if not re.match(r" {4}(uid|resourceVersion|creationTimestamp):", line))
    place.plane.kubectl("delete", "connections", "--all", *there)
    place.plane.kubectl("apply", "-f", "-", stdin=saved)


def test_a_connection_that_was_made_anew_is_the_same_where_that_is_said(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 4}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    with OperatorProcess.start(stage.plane):
        stage.until("das", "free", "Synced")
    made_anew(stage)
    found = re.search(r"^kubectl get .* \| grep -vE '(.+)' \| kubectl (replace .*) -f -$", PAGE, flags=re.MULTILINE)
    assert found is not None
    lines = stage.plane.kubectl("get", "das", "-n", stage.namespace, "-o", "yaml").stdout.splitlines()
    saved = "\n".join(line for line in lines if not re.search(found[1], line))
    stage.plane.kubectl(*found[2].split(), "-f", "-", stdin=saved)
    with OperatorProcess.start(stage.plane):
        stage.request("das", "free", "again")
        stage.handled("das", "free", "again")
        gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 4
    assert told(stage, "free", "Restored")[0] == "Normal"


def test_a_connection_that_was_made_anew_is_another_one(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 4}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    with OperatorProcess.start(stage.plane):
        stage.until("das", "free", "Synced")
        made_anew(stage)
        stage.request("das", "free", "again")
        stage.handled("das", "free", "again")
        assert "another one than before" in told(stage, "free", "TargetMoved")[1]
        gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 7, "what was there when the other one found it"


def test_a_baseline_comes_along(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 4}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    with OperatorProcess.start(stage.plane):
        stage.until("das", "free", "Synced")
    moved(stage, "das", "free")
    before = len(stage.writes())
    with OperatorProcess.start(stage.plane):
        stage.request("das", "free", "moved")
        stage.handled("das", "free", "moved")
        stage.until("das", "free", "Synced")
        assert len(stage.writes()) == before
        gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 4
    assert told(stage, "free", "Restored")[0] == "Normal"


def test_what_was_created_is_still_known_to_be(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("new", "never-seen", budget={"maxLimit": 70, "resetDuration": "1M"}, deletionPolicy="Delete")
    with OperatorProcess.start(gateway.plane):
        gateway.until("mcg", "new", "Synced")
    moved(gateway, "mcg", "new")
    before = len(gateway.writes())
    with OperatorProcess.start(gateway.plane):
        gateway.request("mcg", "new", "moved")
        gateway.handled("mcg", "new", "moved")
        gateway.until("mcg", "new", "Synced")
        assert len(gateway.writes()) == before
        gateway.plane.kubectl("delete", "mcg", "new", "-n", gateway.namespace)
    assert gateway.bifrost.find("never-seen", "openai") == []
