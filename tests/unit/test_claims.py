"""A claim needs a key: nobody takes a target, or keeps it, whose own connection does not open it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from setpoint.reconcile.claims import GRACE
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import ConnectionNotFound, Handle, Key
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.errors import AuthenticationFailed
from setpoint.resources.common import Managed
from tests.unit.test_reconcile import World, operator, reply
from tests.virtual_time import run

TARGET = {"modelId": "m", "deployment": "a"}
WRONG_KEY = AuthenticationFailed("Baseten answered 401 to GET /v1/models/m/deployments", status=401)
NO_SECRET = ConnectionNotFound("Secret ns/baseten does not exist")


class Doors(World):
    """A world in which each resource has a connection of its own, which may be shut."""

    def __init__(self) -> None:
        super().__init__()
        self.values["a"] = {"min_replica": 0, "max_replica": 8}
        self.shut: dict[str, Exception] = {}

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        error = self.shut.get(resource.metadata.name)
        if error is not None:
            raise error
        return await super().baseten(resource, fresh=fresh)

    def place_one(self, name: str, most: int, *, day: int, **spec: Any) -> Key:
        """Add a resource on the one target, created on a day of January."""
        key = self.add(name, {"maxReplica": most}, target=TARGET, **spec)
        self.objects[key]["metadata"]["creationTimestamp"] = f"2026-01-{day:02}T00:00:00Z"
        return key


def play(scene: Callable[[Doors], Awaitable[None]]) -> None:
    """Run a scene in a new world, in virtual time."""

    async def main() -> None:
        world = Doors()
        await scene(world)
        await world.client.aclose()

    run(main())


def most(world: World) -> int:
    """Return what is at the remote."""
    return world.values["a"]["max_replica"]


def edit(world: World, controller: Controller, key: Key, value: int) -> None:
    """Change a spec, and let the watch tell."""
    world.edit(key, autoscaling={"maxReplica": value})
    controller.changed(key)


def delete(world: World, controller: Controller, key: Key) -> None:
    """Delete a resource, and let the watch tell."""
    world.delete(key)
    controller.changed(key) if key in world.objects else controller.gone(key)


@pytest.mark.parametrize("attack", ["wrong key", "no Secret", "suspended"])
def test_who_has_no_key_takes_nothing_from_its_owner(attack: str) -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=2)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.ready(owner) == ("True", "Synced")
            if attack != "suspended":
                world.shut["thief"] = {"wrong key": WRONG_KEY, "no Secret": NO_SECRET}[attack]
            controller.added(world.place_one("thief", 99, day=1, suspend=attack == "suspended"))
            await asyncio.sleep(60)
            edit(world, controller, owner, 4)
            await asyncio.sleep(5)
            assert most(world) == 4
            assert world.ready(owner) == ("True", "Synced")
            await asyncio.sleep(2 * GRACE)
            edit(world, controller, owner, 5)
            await asyncio.sleep(5)
            assert world.ready(owner) == ("True", "Synced")
        assert most(world) == 5

    play(scene)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("shut", [WRONG_KEY, NO_SECRET], ids=["wrong key", "no Secret"])
def test_who_is_applied_anew_gets_its_target_back_though_somebody_without_a_key_waits_for_it(
    shut: Exception, *, restarted: bool
) -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1)
        world.shut["thief"] = shut
        world.place_one("thief", 99, day=2)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            delete(world, controller, owner)
            if not restarted:
                await asyncio.sleep(1)
                controller.added(world.place_one("owner", 4, day=3))
                await asyncio.sleep(5)
                assert world.ready(owner) == ("True", "Synced")
        if restarted:
            world.place_one("owner", 4, day=3)
            async with operator(world):
                await asyncio.sleep(10)
        assert world.ready(owner) == ("True", "Synced")
        assert most(world) == 4

    play(scene)


@pytest.mark.parametrize("day", [1, 3], ids=["older", "younger"])
def test_who_has_no_key_does_not_end_the_owners_restore(day: int) -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=2, deletionPolicy="Restore")
        world.shut["thief"] = WRONG_KEY
        async with operator(world) as controller:
            await asyncio.sleep(20)
            controller.added(world.place_one("thief", 99, day=day))
            delete(world, controller, owner)
            await asyncio.sleep(20)
        assert owner not in world.objects
        assert len(world.told("Restored")) == 1
        assert most(world) == 8

    play(scene)


def test_the_next_one_owns_when_the_restore_is_done() -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1, deletionPolicy="Restore")
        heir = world.place_one("heir", 5, day=2, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.ready(heir) == ("False", "Conflict")
            delete(world, controller, owner)
            await asyncio.sleep(20)
        assert world.ready(heir) == ("True", "Synced")
        assert len(world.told("Restored")) == 1
        assert [body["max_replica"] for _, method, _, body in world.requests if method == "PATCH"] == [3, 8, 5]
        assert world.objects[heir]["status"]["baseline"]["maxReplica"] == 8

    play(scene)


@pytest.mark.parametrize("shut", [WRONG_KEY, NO_SECRET], ids=["wrong key", "no Secret"])
def test_a_claim_outlasts_a_short_outage_of_its_key_and_not_a_long_one(shut: Exception) -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1)
        heir = world.place_one("heir", 5, day=2)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.shut["owner"] = shut
            world.request(owner, "now")
            controller.changed(owner)
            await asyncio.sleep(GRACE / 2)
            assert world.ready(heir) == ("False", "Conflict")
            assert most(world) == 3
            await asyncio.sleep(GRACE)
            assert world.ready(heir) == ("True", "Synced")
            assert most(world) == 5
            del world.shut["owner"]
            world.request(owner, "again")
            controller.changed(owner)
            await asyncio.sleep(20)
            assert world.ready(owner) == ("True", "Synced"), "the older one, which opens it again"
            assert world.ready(heir) == ("False", "Conflict")
        assert most(world) == 3

    play(scene)


def test_a_lapse_is_not_forgotten_by_a_new_process() -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.shut["owner"] = WRONG_KEY
            world.request(owner, "now")
            controller.changed(owner)
            await asyncio.sleep(2 * GRACE)
        heir = world.place_one("heir", 5, day=2)
        async with operator(world):
            await asyncio.sleep(20)
            assert world.ready(heir) == ("True", "Synced")

    play(scene)


def test_a_connection_that_is_made_anew_loses_no_claim() -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1)
        heir = world.place_one("heir", 5, day=2)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.endpoint, world.missing = None, "there is no Connection baseten"
            for key in (owner, heir):
                controller.connection_changed(key)
            await asyncio.sleep(60)
            world.endpoint, world.missing = "https://api", None
            for key in (heir, owner):
                controller.connection_changed(key)
                await asyncio.sleep(10)
            assert world.ready(owner) == ("True", "Synced")
        assert [body["max_replica"] for _, method, _, body in world.requests if method == "PATCH"] == [3]

    play(scene)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_is_suspended_keeps_what_it_held(*, restarted: bool) -> None:
    async def scene(world: Doors) -> None:
        owner = world.place_one("owner", 3, day=1)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.objects[owner]["spec"]["suspend"] = True
            world.objects[owner]["metadata"]["generation"] += 1
            controller.changed(owner)
            await asyncio.sleep(20)
            heir = world.place_one("heir", 5, day=2)
            if not restarted:
                controller.added(heir)
                await asyncio.sleep(2 * GRACE)
        if restarted:
            async with operator(world):
                await asyncio.sleep(2 * GRACE)
        assert world.ready(heir) == ("False", "Conflict")
        assert most(world) == 3

    play(scene)


def test_the_older_one_whose_key_opens_the_target_owns_it_whoever_was_there_first() -> None:
    async def scene(world: Doors) -> None:
        younger = world.place_one("younger", 5, day=2)
        world.shut["older"] = WRONG_KEY
        older = world.place_one("older", 3, day=1)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.ready(younger) == ("True", "Synced")
            assert world.ready(older) == ("False", "AuthenticationFailed")
            world.shut.clear()
            controller.connection_changed(older)
            await asyncio.sleep(20)
            assert world.ready(older) == ("True", "Synced")
            assert world.ready(younger) == ("False", "Conflict")
        assert most(world) == 3

    play(scene)


def test_a_key_that_may_only_read_owns_nothing_for_long() -> None:
    async def scene(world: Doors) -> None:
        younger = world.place_one("younger", 5, day=2)
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.answer = lambda request: (
                reply(403, {"message": "read only"})
                if b'"max_replica":9' in request.content.replace(b" ", b"")
                else None
            )
            older = world.place_one("older", 9, day=1)
            controller.added(older)
            await asyncio.sleep(30)
            assert world.ready(younger) == ("True", "Synced")
            edit(world, controller, younger, 6)
            await asyncio.sleep(10)
            assert most(world) == 6
            for _ in range(20):
                await asyncio.sleep(300)
                assert world.ready(younger) == ("True", "Synced")
            assert world.ready(older) == ("False", "Conflict")

    play(scene)


def test_two_new_ones_with_keys_are_in_the_order_of_their_age_from_the_start() -> None:
    async def scene(world: Doors) -> None:
        younger = world.place_one("younger", 5, day=2)
        older = world.place_one("older", 3, day=1)
        async with operator(world) as controller:
            controller.loaded([younger, older])
            await asyncio.sleep(20)
        assert world.ready(older) == ("True", "Synced")
        assert world.ready(younger) == ("False", "Conflict")

    play(scene)
