"""What is not written, or not written again: promotions, refusals, answers that say nothing, fights over a field."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import httpx
import pytest

from setpoint.reconcile.corrections import SEVERAL
from tests.unit.test_reconcile import World, operator, play, reply

HOUR = 3600.0
PRODUCTION = {"modelId": "m", "environment": "production"}


class Production:
    """An environment of a model, with what happens to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.values["production"] = {"min_replica": 0, "max_replica": 1}
        self.promotion: str | None = None
        self.current = "d1"
        self.schedule: str | None = None
        world.answer = self.answer

    def answer(self, request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET" or not request.url.path.endswith("/environments"):
            return None
        item = {
            "name": "production",
            "autoscaling_settings": dict(self._world.values["production"]),
            "in_progress_promotion": {"status": self.promotion} if self.promotion else None,
            "current_deployment": {"id": self.current},
            "autoscaling_schedules": {"applied_state": {"schedule_id": self.schedule}},
        }
        return reply(200, {"environments": [item]})


def test_drift_is_not_corrected_while_a_promotion_runs() -> None:
    async def scene(world: World) -> None:
        production = Production(world)
        key = world.add("production", {"maxReplica": 3}, target=PRODUCTION, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            before = len(world.writes())
            production.promotion = "RAMPING_UP"
            world.values["production"]["max_replica"] = 9
            await asyncio.sleep(600)
            assert len(world.writes()) == before
            assert world.ready(key) == ("False", "Promoting")
            assert world.objects[key]["status"]["driftedFields"] == 1
            production.promotion = None
            await asyncio.sleep(100)
            assert world.ready(key) == ("True", "Synced")
        assert len(world.writes()) == before + 1
        [message] = world.told("DriftCorrected")
        assert "a promotion ended since the last read" in message

    play(scene)


def test_a_spec_that_changes_during_a_known_promotion_waits_for_its_end_over_a_restart() -> None:
    async def scene(world: World) -> None:
        production = Production(world)
        key = world.add("production", {"maxReplica": 3}, target=PRODUCTION, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            before = len(world.writes())
            production.promotion = "RELEASING"
            world.values["production"]["max_replica"] = 9
            await asyncio.sleep(100)
        world.edit(key, autoscaling={"maxReplica": 4})
        async with operator(world):
            await asyncio.sleep(100)
            assert len(world.writes()) == before
            assert world.ready(key) == ("False", "Promoting")
            production.promotion = "SUCCEEDED"
            await asyncio.sleep(100)
        assert world.ready(key) == ("True", "Synced")
        assert world.values["production"]["max_replica"] == 4

    play(scene)


def test_a_promotion_between_two_reads_is_seen_by_the_deployment_that_serves() -> None:
    async def scene(world: World) -> None:
        production = Production(world)
        world.add("production", {"maxReplica": 3}, target=PRODUCTION, interval="1m")
        async with operator(world):
            await asyncio.sleep(100)
            production.current = "d2"
            world.values["production"]["max_replica"] = 9
            await asyncio.sleep(100)
            assert "a promotion ended" in world.told("DriftCorrected")[0]
            world.values["production"]["max_replica"] = 9
            await asyncio.sleep(100)
        assert "a promotion ended" not in world.told("DriftCorrected")[1]

    play(scene)


def test_what_a_schedule_of_the_platform_holds_is_ready_and_drifted() -> None:
    async def scene(world: World) -> None:
        production = Production(world)
        key = world.add("production", {"maxReplica": 3}, target=PRODUCTION, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            before = len(world.writes())
            production.schedule = "night"
            world.values["production"]["max_replica"] = 9
            await asyncio.sleep(100)
            assert world.ready(key) == ("True", "PlatformScheduleActive")
            assert world.has(key, "Drifted")
            assert not world.has(key, "Reconciling")
        assert len(world.writes()) == before

    play(scene)


def test_a_refused_spec_is_read_at_its_interval_and_rarely_sent_again() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 300}, interval="1m")
        world.answer = lambda request: reply(400, {"message": "too many"}) if request.method == "PATCH" else None
        async with operator(world):
            await asyncio.sleep(0.9 * HOUR)
            assert len(world.writes()) == 1
            assert sum(method == "GET" for _, method, *_ in world.requests) >= 45
            assert world.ready(key) == ("False", "InvalidSettings")
            [drift] = world.objects[key]["status"]["drift"]
            assert (drift["field"], drift["desired"], drift["observed"]) == ("maxReplica", 300, 1)
            await asyncio.sleep(0.3 * HOUR)
            assert len(world.writes()) == 2, "once an hour"
            world.values["a"]["max_replica"] = 2
            await asyncio.sleep(100)
            assert len(world.writes()) == 3, "the remote is another one"
        async with operator(world):
            await asyncio.sleep(0.5 * HOUR)
            assert len(world.writes()) == 3, "a new process knows it, too"

    play(scene)


@pytest.mark.parametrize("how", ["edit", "requestedAt", "by hand"])
def test_a_refused_spec_is_tried_again_when_somebody_does_something(how: str) -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 300}, interval="1m")
        world.answer = lambda request: reply(422, {"message": "too many"}) if request.method == "PATCH" else None
        async with operator(world) as controller:
            await asyncio.sleep(200)
            assert len(world.writes()) == 1
            world.answer = lambda _: None
            match how:
                case "edit":
                    world.edit(key, interval="2m")
                case "requestedAt":
                    world.request(key, "now")
                case _:
                    world.values["a"]["max_replica"] = 300
            controller.changed(key)
            await asyncio.sleep(70)
        assert world.ready(key) == ("True", "Synced")
        assert len(world.writes()) == (1 if how == "by hand" else 2)

    play(scene)


@pytest.mark.parametrize("status", [403, 404])
def test_a_write_that_finds_no_way_is_not_sent_again_without_a_read(status: int) -> None:
    async def scene(world: World) -> None:
        world.add("a", {"maxReplica": 3}, interval="1m")
        world.answer = lambda request: reply(status, {"message": "no"}) if request.method == "PATCH" else None
        async with operator(world):
            await asyncio.sleep(HOUR)
        methods = [method for _, method, *_ in world.requests]
        assert all(before == "GET" for before, method in pairwise(methods) if method == "PATCH")

    play(scene)


def _raw(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


@pytest.mark.parametrize(
    "answered",
    [
        lambda: _raw(204),
        lambda: _raw(200, b"OK"),
        lambda: reply(200, {}),
        lambda: reply(200, []),
        lambda: _raw(201, b"\x00\xff"),
    ],
    ids=["204", "no JSON", "no status", "a list", "bytes"],
)
def test_a_success_that_cannot_be_understood_is_read_and_not_sent_again(
    answered: Callable[[], httpx.Response],
) -> None:
    async def scene(world: World) -> None:
        def understand(request: httpx.Request) -> httpx.Response | None:
            if request.method != "PATCH":
                return None
            world.values["a"]["max_replica"] = 3
            return answered()

        key = world.add("a", {"maxReplica": 3}, interval="1m")
        world.answer = understand
        async with operator(world):
            await asyncio.sleep(HOUR)
        assert len(world.writes()) == 1
        assert world.ready(key) == ("True", "Synced")
        response: dict[str, Any] = world.objects[key]["status"]["response"]
        assert response["status"] in {"200", "201", "204"}
        assert "Baseten answered" in response["message"]

    play(scene)


def test_a_page_that_answers_a_write_is_told_and_the_write_is_sent_again_ever_more_rarely() -> None:
    async def scene(world: World) -> None:
        page = {"content-type": "text/html"}
        world.answer = lambda request: _raw(200, b"<html>hello</html>", **page) if request.method == "PATCH" else None
        key = world.add("a", {"maxReplica": 3}, interval="10m")
        async with operator(world) as controller:
            await asyncio.sleep(HOUR)
            assert world.ready(key) == ("False", "UnexpectedAnswer")
            assert world.has(key, "Stalled")
            times = [moment for moment, method, *_ in world.requests if method == "PATCH"]
            pauses = [later - earlier for earlier, later in pairwise(times)]
            assert 10 <= pauses[0] <= 20
            assert pauses[:6] == sorted(pauses[:6])
            assert pauses[-1] >= 500, "in the end once per interval"
            written = len(times)
            for number, answer in enumerate([world.answer, lambda _: None], start=1):
                world.answer = answer
                world.request(key, str(number))
                controller.changed(key)
                await asyncio.sleep(8)
                assert len(world.writes()) == written + number, "asked for once, sent once"
        assert world.ready(key) == ("True", "Synced")
        assert world.objects[key]["status"]["lastHandledReconcileAt"] == "2"

    play(scene)


def test_a_field_that_is_corrected_again_and_again_is_contested_until_it_is_left_alone() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            for _ in range(SEVERAL):
                assert not world.has(key, "Contested")
                world.values["a"]["max_replica"] = 9
                await asyncio.sleep(100)
            assert world.ready(key) == ("True", "Synced")
            assert world.has(key, "Contested")
            [message] = world.told("RepeatedlyCorrected")
            assert "maxReplica was corrected 3 times within an hour, last from 9 back to 3" in message
        async with operator(world):
            await asyncio.sleep(400)
            assert world.has(key, "Contested"), "a new process keeps to it"
            await asyncio.sleep(HOUR)
            assert not world.has(key, "Contested")

    play(scene)


def test_different_fields_that_drift_once_each_are_no_contest() -> None:
    async def scene(world: World) -> None:
        spec = {"minReplica": 0, "maxReplica": 3, "scaleDownDelay": 60}
        world.values["a"] = {"min_replica": 0, "max_replica": 3, "scale_down_delay": 60}
        key = world.add("a", spec, interval="1m")
        async with operator(world):
            await asyncio.sleep(20)
            for field in ("min_replica", "max_replica", "scale_down_delay"):
                world.values["a"][field] += 1
                await asyncio.sleep(100)
            assert len(world.told("DriftCorrected")) == 3
            assert not world.has(key, "Contested")

    play(scene)


def test_an_empty_request_is_none() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="5m")
        world.request(key, "")
        async with operator(world):
            await asyncio.sleep(HOUR)
        assert world.opened_anew == 0
        assert "lastHandledReconcileAt" not in world.objects[key]["status"]

    play(scene)
