"""What was found belongs to the thing it was found on: moves, successors, renames and a status that was lost."""

import asyncio
from typing import Any

import httpx
import pytest

from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import Key
from setpoint.resources.common import FINALIZER, OriginConnection
from tests.unit.test_reconcile import World, operator, play, reply

NAMED = {"modelName": "llama", "deployment": "a"}


def delete(world: World, controller: Controller, key: Key) -> None:
    """Delete a resource, and let the watch tell."""
    world.delete(key)
    controller.changed(key) if key in world.objects else controller.gone(key)


class Models:
    """The names of the models there are, answered before anything else."""

    def __init__(self, world: World, **ids: str) -> None:
        self.ids = ids
        world.answer = self._answer

    def _answer(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/v1/models":
            return reply(200, {"models": [{"id": id_, "name": name} for name, id_ in self.ids.items()]})
        model = request.url.path.split("/")[3]
        return None if model in self.ids.values() else reply(404, {"message": "no such model"})


def test_a_move_takes_a_new_baseline_and_says_what_was_left_behind() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="1m")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.objects[key]["status"]["origin"] == {"endpoint": "https://api", "id": "m/a"}
            world.endpoint = "https://other"
            world.values = {"a": {"min_replica": 1, "max_replica": 5}}
            await asyncio.sleep(100)
            status = world.objects[key]["status"]
            assert status["origin"] == {"endpoint": "https://other", "id": "m/a"}
            assert status["baseline"]["maxReplica"] == 5
            assert world.values["a"]["max_replica"] == 3
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert world.values["a"] == {"min_replica": 1, "max_replica": 5}, "what it had, not what the other one had"
        [message] = world.told("TargetMoved")
        assert "https://other now" in message
        assert 'm/a at https://api keeps {"maxReplica":3}' in message
        assert '"maxReplica":8' in message
        assert world.told("DriftCorrected") == []

    play(scene)


def test_a_move_that_nobody_saw_restores_nothing_elsewhere() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world):
            await asyncio.sleep(20)
        world.endpoint = "https://other"
        world.values = {"a": {"min_replica": 1, "max_replica": 5}}
        world.delete(key)
        async with operator(world):
            await asyncio.sleep(20)
        assert key not in world.objects
        assert world.values["a"] == {"min_replica": 1, "max_replica": 5}
        assert world.told("Restored") == []
        [message] = world.told("NotRestored")
        assert "https://other now" in message
        assert '"maxReplica":8' in message

    play(scene)


TEAM = OriginConnection(kind="Connection", name="baseten", uid="u-1", credential="c-1")
OTHERS = {
    "kind": OriginConnection(kind="ClusterConnection", name="baseten", uid="u-2", credential="c-1"),
    "name": OriginConnection(kind="Connection", name="other", uid="u-1", credential="c-1"),
    "uid": OriginConnection(kind="Connection", name="baseten", uid="u-2", credential="c-1"),
    "credential": OriginConnection(kind="Connection", name="baseten", uid="u-1", credential="c-2"),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_what_another_connection_found_is_not_put_back(other: str, *, seen: bool) -> None:
    """Whoever has a connection of his own may let it say anything of the very things that others lead to."""

    async def scene(world: World) -> None:
        world.way = TEAM
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="1m")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.objects[key]["status"]["baseline"]["maxReplica"] == 8
            world.way = OTHERS[other]
            world.values["a"] = {"min_replica": 0, "max_replica": 5}
            if seen:
                await asyncio.sleep(100)
                status = world.objects[key]["status"]
                assert status["baseline"]["maxReplica"] == 5
                assert status["origin"]["connection"] == OTHERS[other].dump()
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert key not in world.objects
        assert world.values["a"]["max_replica"] == 5, "what it had, not what the other connection said"
        [message] = world.told("TargetMoved" if seen else "NotRestored")
        assert '"maxReplica":8' in message
        assert "Connection" in message

    play(scene)


def test_a_status_that_names_no_connection_goes_on_with_the_one_there_is() -> None:
    """As after an update from a release that did not save it, or a move to another cluster."""

    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world):
            await asyncio.sleep(20)
        world.way = TEAM
        world.objects[key]["status"]["origin"]["connection"] = {"kind": "Connection", "name": "baseten"}
        world.request(key, "now")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.objects[key]["status"]["origin"]["connection"] == TEAM.dump()
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert world.values["a"]["max_replica"] == 8
        assert len(world.told("Restored")) == 1

    play(scene)


def test_what_no_spec_could_ask_for_is_not_put_back() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 2, "max_replica": 8, "scale_down_delay": 90000}
        key = world.add("a", {"minReplica": 1, "scaleDownDelay": 60}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert world.values["a"] == {"min_replica": 2, "max_replica": 8, "scale_down_delay": 60}
        [message] = world.told("NotRestored")
        assert "scaleDownDelay was 90000 before the first write, which is beyond its range of 0 to 3600" in message

    play(scene)


def test_where_nothing_can_be_put_back_it_is_said() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"max_replica": 8, "scale_down_delay": 90000}
        key = world.add("a", {"scaleDownDelay": 60}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert key not in world.objects
        assert world.values["a"]["scale_down_delay"] == 60
        [message] = world.told("NotRestored")
        assert "scaleDownDelay was 90000" in message

    play(scene)


def test_a_move_in_the_middle_of_a_look_leads_no_write_astray() -> None:
    async def scene(world: World) -> None:
        written_for: list[str] = []
        key = Key("DeploymentAutoscaling", "ns", "a")

        def answer(request: httpx.Request) -> None:
            if request.method == "PATCH":
                written_for.append(world.objects[key]["status"]["origin"]["endpoint"])

        def move() -> None:
            world.endpoint = "https://other"

        world.answer = answer
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        world.on_confirm = move
        assert world.add("a", {"maxReplica": 3}, deletionPolicy="Restore") == key
        async with operator(world):
            await asyncio.sleep(20)
        assert written_for == ["https://other"], "what was read at the first one is not written, neither there nor here"
        assert world.ready(key) == ("True", "Synced")

    play(scene)


def test_a_move_in_the_middle_of_a_restore_restores_nothing_elsewhere() -> None:
    async def scene(world: World) -> None:
        def move() -> None:
            world.endpoint = "https://other"
            world.values = {"a": {"min_replica": 1, "max_replica": 5}}

        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.on_confirm = move
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert key not in world.objects
        assert world.values["a"] == {"min_replica": 1, "max_replica": 5}
        [message] = world.told("NotRestored")
        assert "https://other now" in message

    play(scene)


def test_a_move_to_where_nobody_answers_is_not_ready() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            world.endpoint = "https://other"
            world.answer = lambda _: reply(503)
            await asyncio.sleep(70)
            assert world.ready(key) == ("Unknown", "RemoteError")

    play(scene)


def test_a_successor_under_the_same_name_has_its_own_baseline() -> None:
    async def scene(world: World) -> None:
        models = Models(world, llama="m1")
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="1m", target=NAMED)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            models.ids = {"llama": "m2"}
            world.values["a"] = {"min_replica": 0, "max_replica": 5}
            await asyncio.sleep(500)
            assert world.ready(key) == ("True", "Synced")
            assert world.objects[key]["status"]["baseline"]["maxReplica"] == 5
            [message] = world.told("TargetChanged")
            assert "was m1/a before and is m2/a now" in message
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert world.values["a"]["max_replica"] == 5

    play(scene)


@pytest.mark.parametrize("confirmed", ["edit", "requestedAt", "never"])
def test_a_renamed_target_is_not_written_to_before_somebody_confirms_it(confirmed: str) -> None:
    async def scene(world: World) -> None:
        models = Models(world, llama="m1")
        key = world.add("a", {"maxReplica": 3}, interval="1m", target=NAMED)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            models.ids = {"llama-old": "m1", "llama": "m2"}
            await asyncio.sleep(500)
            assert world.ready(key) == ("False", "TargetRenamed")
            assert world.has(key, "Stalled")
            world.values["a"] = {"min_replica": 0, "max_replica": 5}
            await asyncio.sleep(500)
            assert world.values["a"]["max_replica"] == 5
            message = next(one["message"] for one in world.objects[key]["status"]["conditions"])
            assert "modelName llama meant m1/a and means m2/a now, while m1/a is named llama-old" in message
            match confirmed:
                case "edit":
                    world.edit(key, interval="2m")
                case "requestedAt":
                    world.request(key, "now")
                case _:
                    pass
            controller.changed(key)
            await asyncio.sleep(100)
        if confirmed == "never":
            assert world.ready(key) == ("False", "TargetRenamed")
            assert world.values["a"]["max_replica"] == 5
        else:
            assert world.ready(key) == ("True", "Synced")
            assert world.objects[key]["status"]["origin"]["id"] == "m2/a"

    play(scene)


def test_a_renamed_target_is_restored_by_its_id() -> None:
    async def scene(world: World) -> None:
        models = Models(world, llama="m1")
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", target=NAMED)
        async with operator(world):
            await asyncio.sleep(20)
        models.ids = {"llama-old": "m1", "llama": "m2"}
        world.delete(key)
        async with operator(world):
            await asyncio.sleep(20)
        patched = [path for _, method, path, _ in world.requests if method == "PATCH"]
        assert {path.split("/")[3] for path in patched} == {"m1"}
        assert len(world.told("Restored")) == 1

    play(scene)


def test_the_finalizer_is_what_policy_and_status_ask_for() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world) as controller:

            def finalizers() -> list[str]:
                return list(world.objects[key]["metadata"].get("finalizers", []))

            await asyncio.sleep(20)
            assert finalizers() == []
            world.edit(key, deletionPolicy="Restore")
            controller.changed(key)
            await asyncio.sleep(5)
            assert finalizers() == [FINALIZER], "though nothing had to be written"
            world.objects[key] = {
                **world.objects[key],
                "metadata": {**world.objects[key]["metadata"], "finalizers": []},
            }
            await asyncio.sleep(100)
            assert finalizers() == [FINALIZER]
            world.edit(key, suspend=True)
            world.objects[key] = {
                **world.objects[key],
                "metadata": {**world.objects[key]["metadata"], "finalizers": []},
            }
            controller.changed(key)
            await asyncio.sleep(5)
            assert finalizers() == [FINALIZER]
            world.edit(key, deletionPolicy="Orphan")
            controller.changed(key)
            await asyncio.sleep(5)
            assert finalizers() == []

    play(scene)


def test_a_status_that_was_lost_is_told_and_nothing_is_made_up_for_it() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world):
            await asyncio.sleep(20)
        world.objects[key] = {**world.objects[key], "status": {"observedGeneration": -1}}
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert len(world.told("BaselineLost")) == 1
            assert world.ready(key) == ("True", "Synced")
            assert "baseline" not in world.objects[key]["status"]
            writes = len(world.writes())
            delete(world, controller, key)
            await asyncio.sleep(20)
        assert key not in world.objects
        assert len(world.writes()) == writes
        [message] = world.told("NotRestored")
        assert "status was lost" in message

    play(scene)


def test_orphan_and_back_takes_what_is_there_for_a_lost_baseline() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        world.objects[key]["metadata"]["finalizers"] = [FINALIZER]
        async with operator(world) as controller:
            await asyncio.sleep(20)
            for policy in ("Orphan", "Restore"):
                world.edit(key, deletionPolicy=policy)
                controller.changed(key)
                await asyncio.sleep(20)
        status: dict[str, Any] = world.objects[key]["status"]
        assert status["baseline"]["maxReplica"] == 3
        assert "lost" not in status["origin"]

    play(scene)
