"""What becomes of the remote when a resource is deleted, and that nothing keeps a resource from going."""

import re
from collections.abc import Callable
from functools import partial

import pytest

from tests.e2e.stage import GatewayStage, Place, Stage
from tests.simulators.baseten.specs import DeploymentSpec
from tests.simulators.bifrost.specs import GLOBAL_ROW
from tests.simulators.faults import Respond
from tests.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
HELLO = {"chainId": "c-hello", "environment": "production"}
MONTH = {"maxLimit": 70, "resetDuration": "1M"}
FINALIZER = "setpoint.dev/finalizer"


def gone(place: Place, kind: str, name: str, *, timeout: float = 20) -> None:
    """Delete a resource, and wait until it is gone."""
    place.plane.kubectl("delete", kind, name, "-n", place.namespace, "--wait=false")
    eventually(lambda: place.plane.get(kind, name, place.namespace) is None, timeout=timeout)


def there_is_no(place: Place, kind: str, name: str) -> bool:
    """Tell whether an object is gone."""
    return place.plane.get(kind, name, place.namespace) is None


def told(place: Place, name: str, reason: str) -> tuple[str, str]:
    """Wait for the Event of that reason, and return its type and message."""
    found = eventually(lambda: [event for event in place.events(name) if event[1] == reason])
    assert len(found) == 1
    return found[0][0], found[0][2]


def finalizers(place: Place, kind: str, name: str) -> list[str]:
    """Return what holds a resource."""
    listed: list[str] = place.get(kind, name)["metadata"].get("finalizers", [])
    return listed


def free(stage: Stage) -> dict[str, object]:
    """Return the settings of the deployment."""
    settings = stage.baseten.settings(model="m-greeter", deployment="d-free")
    assert settings is not None
    return dict(settings)


def test_orphan_leaves_everything_and_needs_no_finalizer(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    found = stage.until("das", "free", "Synced")
    assert "finalizers" not in found["metadata"]
    assert "baseline" not in found["status"]
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 3
    assert len(stage.writes()) == 1


def test_restore_puts_back_what_was_found_and_verifies_it(stage: Stage) -> None:
    stage.baseten.set_settings({"min_replica": 2, "max_replica": 4}, model="m-greeter", deployment="d-free")
    before = free(stage)
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    found = stage.until("das", "free", "Synced")
    assert found["status"]["baseline"] == {"maxReplica": 4, "unset": []}
    assert found["metadata"]["finalizers"] == [FINALIZER]

    # What is managed later is found later; what was found first stays.
    stage.patch("das", "free", {"autoscaling": {"minReplica": 3, "scaleDownDelay": 60}})
    found = stage.until("das", "free", "Synced")
    expected = {"minReplica": 2, "maxReplica": 4, "scaleDownDelay": 900, "unset": []}
    assert found["status"]["baseline"] == expected

    gone(stage, "das", "free")
    assert free(stage) == before
    assert stage.writes()[-1].body == {"min_replica": 2, "max_replica": 4, "scale_down_delay": 900}
    assert len(stage.writes()) == 3
    kind, message = told(stage, "free", "Restored")
    assert kind == "Normal"
    assert "what was found before the first write" in message


def test_restore_tells_what_cannot_be_unset(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7, "targetInFlightTokens": 5}, deletionPolicy="Restore")
    found = stage.until("das", "free", "Synced")
    assert found["status"]["baseline"] == {"maxReplica": 1, "unset": ["targetInFlightTokens"]}
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 1
    kind, message = told(stage, "free", "NotRestored")
    assert kind == "Warning"
    assert "targetInFlightTokens had no value before" in message


def test_restore_of_a_chain_puts_back_chainlet_by_chainlet(stage: Stage) -> None:
    stage.baseten.set_settings({"max_replica": 8}, chain="c-hello", environment="production", chainlet="RandInt")
    stage.open()
    chainlets = {"HelloWorld": {"minReplica": 1, "maxReplica": 3}, "RandInt": {"maxReplica": 2}}
    stage.cas("hello", HELLO, chainlets, deletionPolicy="Restore")
    stage.until("cas", "hello", "Synced")
    gone(stage, "cas", "hello")
    for name, expected in (("HelloWorld", (0, 1)), ("RandInt", (0, 8))):
        settings = stage.baseten.settings(chain="c-hello", environment="production", chainlet=name)
        assert settings is not None
        assert (settings["min_replica"], settings["max_replica"]) == expected


def test_a_chainlet_that_is_gone_does_not_keep_the_others_from_being_restored(stage: Stage) -> None:
    stage.open()
    chainlets = {"HelloWorld": {"maxReplica": 3}, "RandInt": {"maxReplica": 2}}
    stage.cas("hello", HELLO, chainlets, deletionPolicy="Restore")
    stage.until("cas", "hello", "Synced")
    stage.baseten.remove_chainlet("c-hello", "production", "RandInt")
    gone(stage, "cas", "hello")
    assert told(stage, "hello", "Restored")[0] == "Normal"
    settings = stage.baseten.settings(chain="c-hello", environment="production", chainlet="HelloWorld")
    assert settings is not None
    assert settings["max_replica"] == 1


def test_back_to_orphan_takes_the_finalizer_and_the_baseline_away(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.until("das", "free", "Synced")
    stage.patch("das", "free", {"deletionPolicy": "Orphan"})
    eventually(lambda: finalizers(stage, "das", "free") == [])
    eventually(lambda: "baseline" not in stage.get("das", "free")["status"])
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 7


def test_a_resource_that_never_wrote_is_held_too_and_goes_without_a_write(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 1}, deletionPolicy="Restore")
    found = stage.until("das", "free", "Synced")
    assert found["metadata"]["finalizers"] == [FINALIZER]
    gone(stage, "das", "free")
    assert stage.writes() == []


def test_finalizers_of_others_stay(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.until("das", "free", "Synced")
    patch = f'{{"metadata":{{"finalizers":["example.com/other","{FINALIZER}"]}}}}'
    stage.plane.kubectl("patch", "das", "free", "-n", stage.namespace, "--type=merge", "-p", patch)
    stage.plane.kubectl("delete", "das", "free", "-n", stage.namespace, "--wait=false")
    eventually(lambda: finalizers(stage, "das", "free") == ["example.com/other"])
    assert free(stage)["max_replica"] == 1
    stage.plane.kubectl(
        "patch", "das", "free", "-n", stage.namespace, "--type=merge", "-p", '{"metadata":{"finalizers":[]}}'
    )
    eventually(lambda: stage.plane.get("das", "free", stage.namespace) is None)


def test_the_next_in_line_takes_over_when_the_restore_is_done(stage: Stage) -> None:
    """Else whoever has merely named the target would keep the owner from putting back what it found."""
    stage.baseten.set_settings({"max_replica": 4}, model="m-greeter", deployment="d-free")
    stage.open()
    stage.das("older", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.until("das", "older", "Synced")
    stage.das("younger", FREE, {"maxReplica": 9})
    stage.until("das", "younger", "Conflict")
    gone(stage, "das", "older")
    stage.until("das", "younger", "Synced")
    assert [write.body["max_replica"] for write in stage.writes()] == [7, 4, 9]
    assert told(stage, "older", "Restored")[0] == "Normal"


def suspended(stage: Stage) -> None:
    """Suspend the resource."""
    stage.patch("das", "free", {"suspend": True})
    eventually(lambda: stage.condition("das", "free", "Suspended"))


def observing(stage: Stage) -> None:
    """Switch the resource to Observe."""
    stage.patch("das", "free", {"mode": "Observe"})
    stage.until("das", "free", "Observed")


def without_secret(stage: Stage) -> None:
    """Delete the key, and have it refused before it is read again."""
    stage.plane.kubectl("delete", "secret", "baseten", "-n", stage.namespace)
    stage.baseten.revoke_key("test-key")


def refused_key(stage: Stage) -> None:
    """Refuse the key."""
    stage.baseten.revoke_key("test-key")


def forbidden(stage: Stage) -> None:
    """Forbid the write."""
    stage.baseten.inject(Respond(status=403, body={"message": "no"}), method="PATCH", count=None)


def vanished(stage: Stage) -> None:
    """Remove the target."""
    stage.baseten.remove_deployment("m-greeter", "d-free")


def capped(stage: Stage) -> None:
    """Refuse the old values."""
    stage.baseten.inject(Respond(status=400, body={"message": "not any more"}), method="PATCH", count=None)


@pytest.mark.parametrize(
    ("obstacle", "word"),
    [
        (suspended, "spec.suspend is true"),
        (observing, "mode Observe"),
        (without_secret, "401"),
        (refused_key, "401"),
        (forbidden, "403"),
        (vanished, "d-free does not exist|no deployment d-free"),
        (capped, "not any more"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_keeps_a_resource_from_going(stage: Stage, obstacle: Callable[[Stage], None], word: str) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.until("das", "free", "Synced")
    obstacle(stage)
    gone(stage, "das", "free")
    kind, message = told(stage, "free", "NotRestored")
    assert kind == "Warning"
    assert re.search(word, message)


@pytest.mark.parametrize("what", ["spconn", "secret"])
def test_what_was_deleted_a_moment_before_does_not_keep_it_from_being_restored(stage: Stage, what: str) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.until("das", "free", "Synced")
    stage.plane.kubectl("delete", what, "baseten", "-n", stage.namespace)
    gone(stage, "das", "free")
    assert free(stage)["max_replica"] == 1
    assert told(stage, "free", "Restored")[0] == "Normal"


def test_everything_in_one_file_is_restored_when_the_file_is_deleted(stage: Stage, gateway: GatewayStage) -> None:
    before = gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit
    stage.open()
    gateway.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.cas("hello", HELLO, {"HelloWorld": {"maxReplica": 3}}, deletionPolicy="Restore")
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, deletionPolicy="Restore")
    everything = ("das/free", "cas/hello", "mcg/gpt")
    for one in everything:
        kind, _, name = one.partition("/")
        stage.until(kind, name, "Synced")
    names = ("secret/baseten", "spconn/baseten", "spconn/bifrost", *everything)
    stage.plane.kubectl("delete", "-n", stage.namespace, "--wait=false", *names)
    for one in everything:
        kind, _, name = one.partition("/")
        eventually(partial(there_is_no, stage, kind, name), timeout=30)
        assert told(stage, name, "Restored")[0] == "Normal"
    assert free(stage)["max_replica"] == 1
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == before


@pytest.mark.cluster_wide
def test_a_namespace_that_is_deleted_takes_nothing_unrestored_along(stage: Stage) -> None:
    stage.open()
    deployments = [f"d-{number}" for number in range(5)]
    for id_ in deployments:
        stage.baseten.add_deployment("m-greeter", DeploymentSpec(id=id_, name=id_))
        target = {"modelId": "m-greeter", "deployment": id_}
        stage.das(id_, target, {"maxReplica": 7}, deletionPolicy="Restore")
    for id_ in deployments:
        stage.until("das", id_, "Synced")
    stage.plane.kubectl("delete", "namespace", stage.namespace, "--wait=false")
    eventually(lambda: stage.plane.get("namespace", stage.namespace) is None, timeout=60)
    for id_ in deployments:
        settings = stage.baseten.settings(model="m-greeter", deployment=id_)
        assert settings is not None
        assert settings["max_replica"] == 1, id_


@pytest.mark.cluster_wide
def test_deleting_the_namespace_works(stage: Stage, gateway: GatewayStage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 7}, deletionPolicy="Restore")
    stage.cas("hello", HELLO, {"HelloWorld": {"maxReplica": 3}}, deletionPolicy="Restore")
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Delete")
    stage.until("das", "free", "Synced")
    stage.until("cas", "hello", "Synced")
    gateway.until("mcg", "gpt", "Synced")
    stage.plane.kubectl("delete", "namespace", stage.namespace, "--wait=false")
    eventually(lambda: stage.plane.get("namespace", stage.namespace) is None, timeout=60)


def test_restore_of_a_row_puts_back_limits_and_keeps_what_was_spent(gateway: GatewayStage) -> None:
    before = gateway.bifrost.state(GLOBAL_ROW)
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, rateLimit={}, deletionPolicy="Restore")
    found = gateway.until("mcg", "gpt", "Synced")
    assert found["metadata"]["finalizers"] == [FINALIZER]
    assert gateway.bifrost.state(GLOBAL_ROW) != before
    gone(gateway, "mcg", "gpt")
    after = gateway.bifrost.state(GLOBAL_ROW)
    assert [(one.max_limit, one.reset_duration) for one in after.budgets] == [
        (one.max_limit, one.reset_duration) for one in before.budgets
    ]
    assert (after.rate_limit is None) == (before.rate_limit is None)
    assert told(gateway, "gpt", "Restored")[0] == "Normal"


def test_restore_of_a_row_that_was_not_there_leaves_it_without_limits(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Restore")
    gateway.until("mcg", "gpt", "Synced")
    gone(gateway, "mcg", "gpt")
    [row] = gateway.bifrost.find("gpt-5", "openai")
    assert gateway.bifrost.state(row["id"]).budgets == []


def test_delete_deletes_a_row_this_resource_created(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Delete")
    found = gateway.until("mcg", "gpt", "Synced")
    assert found["metadata"]["finalizers"] == [FINALIZER]
    assert found["status"]["created"] is True
    gone(gateway, "mcg", "gpt")
    assert gateway.bifrost.find("gpt-5", "openai") == []
    kind, message = told(gateway, "gpt", "Deleted")
    assert kind == "Normal"
    assert found["status"]["target"]["modelConfigId"] in message


def test_delete_never_deletes_a_row_that_was_there_before(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-4o", budget=MONTH, deletionPolicy="Delete")
    gateway.until("mcg", "gpt", "Synced")
    gone(gateway, "mcg", "gpt")
    assert gateway.bifrost.state(GLOBAL_ROW).budgets[0].max_limit == 70
    assert "DELETE" not in {write.method for write in gateway.writes()}


def test_a_row_deleted_by_somebody_else_is_no_obstacle(gateway: GatewayStage) -> None:
    gateway.open()
    gateway.mcg("gpt", "gpt-5", budget=MONTH, deletionPolicy="Delete")
    found = gateway.until("mcg", "gpt", "Synced")
    gateway.bifrost.delete_row(found["status"]["target"]["modelConfigId"])
    gone(gateway, "mcg", "gpt")
    assert "deleted already" in told(gateway, "gpt", "Deleted")[1]
    assert gateway.bifrost.find("gpt-5", "openai") == []
