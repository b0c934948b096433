"""Deletion policies under virtual time: how long a failing deletion is tried, and what is saved before what."""

import asyncio
from typing import Any

import httpx
import pytest

from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import Key
from setpoint.resources.common import FINALIZER
from tests.unit.test_reconcile import World, operator, play, reply


def delete(world: World, controller: Controller, key: Key) -> None:
    """Delete a resource, and let the watch tell."""
    world.delete(key)
    controller.changed(key) if key in world.objects else controller.gone(key)


def told(world: World) -> list[tuple[str, str]]:
    """Return reason and message of what was told of the end."""
    return [(event.reason, event.message) for event in world.events if "estored" in event.reason]


def test_finalizer_and_baseline_are_there_before_the_first_write_arrives() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        seen: list[tuple[Any, Any]] = []

        def look(request: httpx.Request) -> httpx.Response | None:
            if request.method == "PATCH":
                body = world.objects[key]
                seen.append((body["metadata"].get("finalizers"), body["status"].get("baseline")))
            return None

        world.answer = look
        async with operator(world):
            await asyncio.sleep(20)
        assert seen == [([FINALIZER], {"maxReplica": 1, "unset": []})]

    play(scene)


@pytest.mark.parametrize("trouble", ["503", "silence", "queued", "never shown"])
def test_ten_minutes_of_trouble_release_the_resource_with_a_warning(trouble: str) -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            match trouble:
                case "503":
                    world.answer = lambda _: reply(503)
                case "silence":

                    def silence(request: httpx.Request) -> httpx.Response:
                        raise httpx.ReadTimeout("no answer", request=request)

                    world.answer = silence
                case "queued":
                    world.status_word, world.lag, world.deployment_status = "QUEUED", 10**6, "BUILDING"
                case _:
                    world.lag = 10**6
            delete(world, controller, key)
            await asyncio.sleep(590)
            assert key in world.objects
            await asyncio.sleep(40)
            assert key not in world.objects
        [(reason, message)] = told(world)
        assert reason == "NotRestored"
        assert "after 10 minutes" in message

    play(scene)


def test_trouble_that_passes_does_not_keep_it_from_being_restored() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.answer = lambda _: reply(503)
            delete(world, controller, key)
            await asyncio.sleep(300)
            world.answer = lambda _: None
            await asyncio.sleep(70)
            assert key not in world.objects
        assert world.values["a"]["max_replica"] == 8
        assert [reason for reason, _ in told(world)] == ["Restored"]

    play(scene)


def test_a_page_that_answers_the_last_write_does_not_end_the_restore_before_it_was_read() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")

        def page(request: httpx.Request) -> httpx.Response | None:
            if request.method != "PATCH":
                return None
            asyncio.get_running_loop().call_later(3, lambda: world.values["a"].update({"max_replica": 8}))
            html = httpx.ByteStream(b"<html>hello</html>")
            return httpx.Response(200, headers={"content-type": "text/html"}, stream=html)

        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.answer = page
            delete(world, controller, key)
            await asyncio.sleep(30)
            assert key not in world.objects
        assert [reason for reason, _ in told(world)] == ["Restored"]

    play(scene)


def test_a_verdict_that_did_not_arrive_is_not_sent_with_the_baseline() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="1m")
        shown: list[tuple[Any, Any]] = []

        def look(request: httpx.Request) -> httpx.Response | None:
            if request.method == "PATCH":
                shown.append((world.objects[key]["status"]["observedGeneration"], world.ready(key)[0]))
                world.deaf = len(shown) == 1
            return None

        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.answer = look
            world.edit(key, autoscaling={"maxReplica": 4})
            controller.changed(key)
            await asyncio.sleep(1.2)
            world.values["a"]["max_replica"] = 9
            await asyncio.sleep(100)
            world.deaf = False
            await asyncio.sleep(120)
        assert world.values["a"]["max_replica"] == 4
        assert shown == [(1, "True"), (1, "True")], "the old generation's, until the remote has the new one"
        assert world.ready(key) == ("True", "Synced")

    play(scene)


def test_a_new_process_finishes_what_the_old_one_began() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world):
            await asyncio.sleep(20)
        world.delete(key)
        async with operator(world):
            await asyncio.sleep(20)
        assert key not in world.objects
        assert world.values["a"]["max_replica"] == 8

    play(scene)


def test_a_long_retry_after_does_not_outlast_the_ten_minutes() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)
            world.answer = lambda _: reply(429, {"error": "slow down", "retry_after": 3000})
            delete(world, controller, key)
            await asyncio.sleep(700)
            assert key not in world.objects

    play(scene)


def test_a_bug_does_not_keep_a_resource_for_ever() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore")
        async with operator(world) as controller:
            await asyncio.sleep(20)

            def explode(_: httpx.Request) -> httpx.Response:
                raise ZeroDivisionError

            world.answer = explode
            delete(world, controller, key)
            await asyncio.sleep(200)
            assert key not in world.objects
        assert "the operator failed" in told(world)[0][1]

    play(scene)
