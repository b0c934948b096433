"""Who owns which field: the operator changes nothing that Argo CD or Flux applies, so there is no diff loop."""

import json
from typing import Any

import pytest
import yaml

from tests.e2e.stage import API, GatewayStage, Place, Stage, connection, secret
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

Object = dict[str, Any]

MANAGERS = ("argocd-controller", "kustomize-controller")
ALLOWED: Object = {"f:metadata": {"f:finalizers": {}}, "f:status": {}}


def git_applies(place: Place, manager: str, *manifests: Object) -> None:
    """Apply manifests as a GitOps tool does."""
    text = yaml.safe_dump_all(manifests)
    place.plane.kubectl("apply", "--server-side", f"--field-manager={manager}", "-f", "-", stdin=text)


def owned(place: Place, kind: str, name: str) -> dict[str, list[Object]]:
    """Return the fields of a resource by their owner."""
    words = ("get", kind, name, "-n", place.namespace, "-o", "json", "--show-managed-fields")
    found: dict[str, list[Object]] = {}
    for entry in json.loads(place.plane.kubectl(*words).stdout)["metadata"]["managedFields"]:
        found.setdefault(entry["manager"], []).append(entry["fieldsV1"])
    return found


def no_difference(place: Place, manager: str, *manifests: Object) -> bool:
    """Tell whether another apply of the same would change nothing."""
    text = yaml.safe_dump_all(manifests)
    words = ("diff", "--server-side", f"--field-manager={manager}", "-f", "-")
    return place.plane.kubectl(*words, stdin=text, check=False).returncode == 0


def only_its_own(place: Place, kind: str, name: str, manager: str) -> None:
    """Hold the operator's fields against what it may write."""
    found = owned(place, kind, name)
    mine = [fields for owner, listed in found.items() if owner.startswith("setpoint") for fields in listed]
    assert mine, f"the operator wrote nothing; there are {list(found)}"
    for fields in mine:
        assert fields.keys() <= ALLOWED.keys(), fields
        assert fields.get("f:metadata", {}).keys() <= ALLOWED["f:metadata"].keys(), fields
    assert any("f:spec" in fields for fields in found[manager])
    assert found.keys() <= {manager, *(owner for owner in found if owner.startswith("setpoint"))}


@pytest.mark.parametrize("manager", MANAGERS)
def test_a_life_of_a_resource_leaves_what_git_applied_alone(stage: Stage, manager: str) -> None:
    wanted: Object = {
        "apiVersion": API,
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": "free", "namespace": stage.namespace, "labels": {"team": "ml"}},
        "spec": {
            "target": {"modelId": "m-greeter", "deployment": "d-free"},
            "autoscaling": {"maxReplica": 7},
            "deletionPolicy": "Restore",
        },
    }
    opened = connection("baseten", stage.namespace, stage.baseten.url)
    stage.plane.apply(secret("baseten", stage.namespace, "test-key"))
    git_applies(stage, manager, opened, wanted)
    stage.until("das", "free", "Synced")
    stage.until("spconn", "baseten", "Connected")
    stage.baseten.set_settings({"max_replica": 2}, model="m-greeter", deployment="d-free")
    wanted["metadata"]["annotations"] = {"reconcile.setpoint.dev/requestedAt": "now"}
    git_applies(stage, manager, wanted)
    stage.handled("das", "free", "now")
    eventually(lambda: any(reason == "DriftCorrected" for _, reason, _ in stage.events("free")))
    wanted["spec"]["autoscaling"] = {"maxReplica": 8, "minReplica": None}
    git_applies(stage, manager, wanted)
    stage.until("das", "free", "Synced")
    generation = stage.get("das", "free")["metadata"]["generation"]
    only_its_own(stage, "das", "free", manager)
    only_its_own(stage, "spconn", "baseten", manager)
    assert no_difference(stage, manager, opened, wanted)
    assert stage.get("das", "free")["metadata"]["generation"] == generation == 2


def test_a_model_config_leaves_what_git_applied_alone(gateway: GatewayStage) -> None:
    gateway.open()
    wanted: Object = {
        "apiVersion": API,
        "kind": "ModelConfigGovernance",
        "metadata": {"name": "gpt", "namespace": gateway.namespace},
        "spec": {
            "modelName": "gpt-5",
            "provider": "openai",
            "budgets": [{"maxLimit": 5, "resetDuration": "1d"}, {"maxLimit": 100, "resetDuration": "1M"}],
            "rateLimit": {"requestMaxLimit": 10, "requestResetDuration": "1m"},
            "deletionPolicy": "Delete",
        },
    }
    git_applies(gateway, MANAGERS[0], wanted)
    gateway.until("mcg", "gpt", "Synced")
    only_its_own(gateway, "mcg", "gpt", MANAGERS[0])
    assert no_difference(gateway, MANAGERS[0], wanted)
    assert gateway.get("mcg", "gpt")["metadata"]["generation"] == 1
