"""The rules of the reconcilers under virtual time: the real controller and client, over a remote and a cluster in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from itertools import pairwise
from random import Random
from typing import Any

import httpx
import pytest

from setpoint.reconcile.conditions import NOT_SERVING
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.deployment_autoscaling import DeploymentReconciler
from setpoint.reconcile.gate import Gate
from setpoint.reconcile.ports import ClusterUnavailable, ConnectionNotFound, Event, Handle, Key, ResourceGone
from setpoint.reconcile.turns import Lane
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources import DeploymentAutoscaling
from setpoint.resources.common import REQUESTED_AT, Managed, Origin, OriginConnection, StatusBase
from tests.unit.finalizers import Finalizers, identity
from tests.virtual_time import Clock, now, run


def reply(status: int, body: Any = None) -> httpx.Response:
    """Return an answer that is still to be read, as one from a socket is."""
    return httpx.Response(status, stream=httpx.ByteStream(json.dumps(body or {}).encode()))


class World(Finalizers):
    """A remote API with deployments, and a cluster with resources, both in memory."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, int]] = {}
        self.requests: list[tuple[float, str, str, Any]] = []
        self.answer: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.status_word = "ACCEPTED"
        self.lag = 0.3
        self.deployment_status = "ACTIVE"
        self.objects: dict[Key, dict[str, Any]] = {}
        self.status_writes: list[dict[str, Any]] = []
        self.events: list[Event] = []
        self.gate: Gate[Key] = Gate()
        self.endpoint: str | None = "https://api"
        """Where the connection leads to."""
        self.way: OriginConnection | None = None
        """Which connection it is."""
        self.opened_anew = 0
        """How often the connection was to read its Secret again."""
        self.missing: str | None = None
        self.deaf = False
        """The API server takes no status."""
        self.on_confirm: Callable[[], object] = lambda: None
        """What the watch has missed when the API server is asked next."""
        self.client = Baseten.connect(
            url="https://api",
            credential=Credential.authorization("Bearer", "key"),
            requests_per_second=1000,
            timeout=30,
            limits=Limits(),
            transport=httpx.MockTransport(self._serve),
        )

    async def _serve(self, request: httpx.Request) -> httpx.Response:
        body: Any = json.loads(request.content) if request.content else None
        self.requests.append((now(), request.method, request.url.path, body))
        if (special := self.answer(request)) is not None:
            return special
        if request.method == "PATCH":
            values = self.values[request.url.path.split("/")[5]]
            body = body.get("autoscaling_settings", body)
            asyncio.get_running_loop().call_later(self.lag, lambda: values.update(body))
            return reply(200, {"status": self.status_word, "message": "fine"})
        listed = [
            {"id": name, "name": name, "status": self.deployment_status, "autoscaling_settings": dict(values)}
            for name, values in self.values.items()
        ]
        return reply(200, {"deployments": listed})

    # the controller's view
    def get(self, key: Key) -> Managed | None:
        body = self.objects.get(key)
        return None if body is None else DeploymentAutoscaling.from_body(body)

    def identity(self, key: Key) -> tuple[str, int] | None:
        return identity(self.objects, key)

    def lane(self, key: Key) -> Lane:
        return Lane("group", "connection")

    def bare(self, key: Key) -> Managed | None:
        return self.get(key)

    async def confirm(self, key: Key) -> Managed | None:
        self.on_confirm()
        self.on_confirm = lambda: None
        return self.get(key)

    # the controller's reporter
    async def status(self, resource: Managed, status: StatusBase) -> None:
        key = Key(resource.kind(), resource.metadata.namespace, resource.metadata.name)
        if key not in self.objects:
            raise ResourceGone("gone")
        if self.deaf:
            raise ClusterUnavailable("it answered 500")
        if self.objects[key]["status"] != status.dump():
            self.objects[key]["status"] = status.dump()
            self.status_writes.append(status.dump())

    def event(self, resource: Managed, event: Event) -> None:
        self.events.append(event)

    # the reconcilers' connections
    def place(self, resource: Managed) -> str | None:
        return self.endpoint

    def origin(self, resource: Managed) -> Origin | None:
        return None if self.endpoint is None else Origin(endpoint=self.endpoint, connection=self.way)

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        raise NotImplementedError

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        self.opened_anew += fresh
        if self.missing is not None:
            raise ConnectionNotFound(self.missing)
        return Handle(
            "Connection baseten", self.client, self.gate, Origin(endpoint=self.endpoint or "", connection=self.way)
        )

    def writes(self) -> list[Any]:
        """Return the bodies of all writes."""
        return [body for _, method, _, body in self.requests if method == "PATCH"]

    def add(self, name: str, autoscaling: dict[str, int], *, uid: str = "first", **spec: Any) -> Key:
        """Create a resource, and its deployment unless there is one."""
        key = Key("DeploymentAutoscaling", "ns", name)
        self.values.setdefault(name, {"min_replica": 0, "max_replica": 1})
        self.objects[key] = {
            "metadata": {"name": name, "namespace": "ns", "uid": f"{name}-{uid}", "generation": 1},
            "spec": {"target": {"modelId": "m", "deployment": name}, "autoscaling": autoscaling, **spec},
            "status": {"observedGeneration": -1},
        }
        return key

    def edit(self, key: Key, **spec: Any) -> None:
        """Change a spec."""
        body = self.objects[key]
        self.objects[key] = {
            **body,
            "metadata": {**body["metadata"], "generation": body["metadata"]["generation"] + 1},
            "spec": {**body["spec"], **spec},
        }

    def request(self, key: Key, value: str) -> None:
        """Ask for a reconcile now."""
        metadata = {**self.objects[key]["metadata"], "annotations": {REQUESTED_AT: value}}
        self.objects[key] = {**self.objects[key], "metadata": metadata}

    def told(self, reason: str) -> list[str]:
        """Return the messages of the Events of a reason."""
        return [event.message for event in self.events if event.reason == reason]

    def ready(self, key: Key) -> tuple[str, str]:
        """Return status and reason of the Ready condition."""
        conditions = self.objects[key]["status"].get("conditions", [])
        return next(((entry["status"], entry["reason"]) for entry in conditions if entry["type"] == "Ready"), ("", ""))

    def has(self, key: Key, kind: str) -> bool:
        """Tell whether a condition is there."""
        return any(entry["type"] == kind for entry in self.objects[key]["status"].get("conditions", []))


@asynccontextmanager
async def operator(world: World, *, dry_run: bool = False) -> AsyncIterator[Controller]:
    """Run a controller that has just started and was told of all resources by a list."""
    clock, random = Clock(), Random(7)
    reconciler = DeploymentReconciler(world, clock, dry_run=dry_run)
    controller = Controller(
        view=world,
        reporter=world,
        reconcilers={"DeploymentAutoscaling": reconciler},
        clock=clock,
        random=random,
        workers=4,
    )
    task = asyncio.create_task(controller.run())
    for key in world.objects:
        controller.seen(key)
    try:
        yield controller
    finally:
        controller.stop()
        await task


def play(scene: Callable[[World], Awaitable[None]]) -> World:
    """Run a scene in a new world, in virtual time."""

    async def main() -> World:
        world = World()
        await scene(world)
        await world.client.aclose()
        return world

    return run(main())


def test_a_new_spec_is_written_at_once_and_then_read_until_it_holds() -> None:
    async def scene(world: World) -> None:
        world.lag = 5
        key = world.add("a", {"maxReplica": 3})
        async with operator(world):
            await asyncio.sleep(20)
        assert world.ready(key) == ("True", "Synced")
        times = [round(moment) for moment, *_ in world.requests]
        assert [method for _, method, *_ in world.requests] == ["PATCH", "GET", "GET", "GET"]
        assert times == [0, 1, 3, 7]

    play(scene)


def test_in_sync_costs_no_write_for_an_hour_and_none_at_a_restart() -> None:
    async def scene(world: World) -> None:
        world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(5)
            written = len(world.status_writes)
            await asyncio.sleep(3600)
        assert (len(world.writes()), len(world.status_writes)) == (1, written)
        async with operator(world):
            await asyncio.sleep(3600)
        assert (len(world.writes()), len(world.status_writes)) == (1, written)
        assert 100 <= sum(method == "GET" for _, method, *_ in world.requests) <= 140

    play(scene)


def test_what_does_not_serve_is_told_once_and_kept_by_a_look_that_goes_on_to_a_write() -> None:
    async def scene(world: World) -> None:
        world.deployment_status = "BUILD_FAILED"
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="5m")
        async with operator(world):
            await asyncio.sleep(20)
        assert world.objects[key]["status"]["serving"] == {"deploymentId": "a", "status": "BUILD_FAILED"}
        told = [event.message for event in world.events if event.reason == NOT_SERVING]
        assert told == ["deployment a is BUILD_FAILED"]

    play(scene)


def test_a_process_goes_on_from_the_status_that_its_predecessor_wrote_last() -> None:
    async def scene(world: World) -> None:
        world.values["a"] = {"min_replica": 0, "max_replica": 8}
        key = world.add("a", {"maxReplica": 3}, deletionPolicy="Restore", interval="1m")
        before = deepcopy(world.objects[key])
        async with operator(world):
            await asyncio.sleep(20)
        after, world.objects[key] = world.objects[key], before
        world.answer = lambda _: reply(503)
        async with operator(world):
            await asyncio.sleep(20)
            told = len(world.status_writes)
            world.objects[key] = after
            world.answer = lambda _: None
            await asyncio.sleep(100)
        assert len(world.status_writes) == told, "it had nothing to add"
        assert world.objects[key]["status"] == after["status"]
        assert world.objects[key]["status"]["baseline"]["maxReplica"] == 8
        assert world.writes() == [{"max_replica": 3}]

    play(scene)


def test_what_a_predecessor_found_out_counts_as_a_claim_even_when_it_comes_late() -> None:
    """A process begins with a view of the cluster from before, and cannot ask the remote which model the older one means."""

    async def scene(world: World) -> None:
        world.answer = lambda request: (
            reply(200, {"models": [{"id": "m", "name": "llama"}]}) if request.url.path == "/v1/models" else None
        )
        named = {"modelName": "llama", "deployment": "a"}
        older = world.add("a", {"maxReplica": 3}, target=named)
        world.objects[older]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        before = dict(world.objects[older])
        async with operator(world):
            await asyncio.sleep(20)
        assert world.ready(older) == ("True", "Synced")
        after, world.objects[older] = world.objects[older], before
        world.client.forget_names()
        world.answer = lambda request: reply(503) if request.url.path == "/v1/models" else None
        async with operator(world) as controller:
            await asyncio.sleep(20)
            assert world.ready(older)[0] == "Unknown"
            world.objects[older] = {**after, "metadata": {**after["metadata"], "resourceVersion": "9"}}
            controller.seen(older)
            younger = world.add("b", {"maxReplica": 5}, target={"modelId": "m", "deployment": "a"})
            world.objects[younger]["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
            controller.added(younger)
            await asyncio.sleep(20)
        assert world.ready(younger) == ("False", "Conflict")
        assert world.writes() == [{"max_replica": 3}]

    play(scene)


def test_drift_is_corrected_with_only_the_field_that_differs() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"minReplica": 1, "maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(5)
            world.values["a"]["max_replica"] = 9
            await asyncio.sleep(70)
        assert world.writes() == [{"min_replica": 1, "max_replica": 3}, {"max_replica": 3}]
        assert world.ready(key) == ("True", "Synced")
        assert [event.message for event in world.events if event.reason == "DriftCorrected"] == [
            "m/a: maxReplica from 9 back to 3"
        ]

    play(scene)


def test_queued_is_only_read_until_it_is_applied() -> None:
    async def scene(world: World) -> None:
        world.status_word, world.lag, world.deployment_status = "QUEUED", 3000, "BUILDING"
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(2000)
            assert world.ready(key) == ("False", "Queued")
            assert world.has(key, "Reconciling")
            world.deployment_status = "ACTIVE"
            world.values["a"]["max_replica"] = 3
            await asyncio.sleep(60)
        assert world.ready(key) == ("True", "Synced")
        assert len(world.writes()) == 1

    play(scene)


def test_what_never_converges_stalls_after_ten_minutes_and_is_written_once_an_interval() -> None:
    async def scene(world: World) -> None:
        world.lag = 10**6
        key = world.add("a", {"maxReplica": 3}, interval="5m")
        async with operator(world):
            await asyncio.sleep(590)
            assert world.ready(key) == ("False", "Applying")
            await asyncio.sleep(60)
            assert world.ready(key) == ("False", "NotConverged")
            assert world.has(key, "Stalled")
            await asyncio.sleep(3600)
            assert world.ready(key) == ("False", "NotConverged")
        assert 8 <= len(world.writes()) <= 16

    play(scene)


def test_ready_survives_three_failed_tries_and_then_is_unknown_until_it_heals() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(5)
            tries = 0

            def down(_: httpx.Request) -> httpx.Response:
                nonlocal tries
                tries += 1
                assert world.ready(key)[0] == ("True" if tries <= 4 else "Unknown")
                return reply(503)

            world.answer = down
            await asyncio.sleep(1000)
            assert tries > 4
            assert world.ready(key) == ("Unknown", "RemoteError")
            writes = len(world.status_writes)
            await asyncio.sleep(1000)
            assert len(world.status_writes) == writes
            world.answer = lambda _: None
            await asyncio.sleep(120)
        assert world.ready(key) == ("True", "Synced")
        assert len(world.writes()) == 1

    play(scene)


def test_a_newer_spec_that_fails_is_never_ready() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3})
        async with operator(world) as controller:
            await asyncio.sleep(5)
            world.answer = lambda request: reply(500) if request.method == "PATCH" else None
            world.edit(key, autoscaling={"maxReplica": 4})
            controller.changed(key)
            await asyncio.sleep(0.5)
            assert world.ready(key) == ("Unknown", "RemoteError")
            assert world.objects[key]["status"]["observedGeneration"] == 2

    play(scene)


def test_a_refused_key_is_tried_by_one_resource_and_all_wake_when_it_works() -> None:
    async def scene(world: World) -> None:
        keys = [world.add(f"r{number}", {"maxReplica": 3}) for number in range(50)]
        world.answer = lambda _: reply(401, {"message": "bad key"})
        async with operator(world):
            await asyncio.sleep(4)
            # Four workers were on their way before the first refusal came back.
            assert len(world.requests) <= 4
            await asyncio.sleep(600)
            assert len(world.requests) <= 20
            assert {world.ready(key) for key in keys} == {("False", "AuthenticationFailed")}
            world.answer = lambda _: None
            await asyncio.sleep(75)
            assert {world.ready(key) for key in keys} == {("True", "Synced")}
        assert len({path for _, method, path, _ in world.requests if method == "PATCH"}) == 50

    play(scene)


def test_who_asks_in_between_does_not_put_off_the_next_probe() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3})
        world.answer = lambda _: reply(401, {"message": "bad key"})
        async with operator(world) as controller:
            await asyncio.sleep(1)
            world.answer = lambda _: None
            world.edit(key, autoscaling={"maxReplica": 4})
            controller.changed(key)
            await asyncio.sleep(9)
            assert world.ready(key) == ("True", "Synced")

    play(scene)


def test_a_probe_that_was_told_nothing_about_the_key_is_soon_followed_by_another() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3})
        world.answer = lambda _: reply(401, {"message": "bad key"})
        async with operator(world):
            await asyncio.sleep(1)
            asked = len(world.requests)
            world.answer = lambda _: reply(503, {})
            await asyncio.sleep(7)
            assert len(world.requests) > asked, "the probe went out"
            world.answer = lambda _: None
            await asyncio.sleep(15)
            assert world.ready(key) == ("True", "Synced")

    play(scene)


def test_a_429_is_honoured_and_never_answered_with_a_write() -> None:
    async def scene(world: World) -> None:
        world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(5)
            world.answer = lambda _: reply(429, {"error": "slow down", "retry_after": 37})
            start = len(world.requests)
            await asyncio.sleep(400)
        times = [moment for moment, *_ in world.requests[start:]]
        assert all(later - earlier >= 37 for earlier, later in pairwise(times))
        assert len(world.writes()) == 1

    play(scene)


def test_a_missing_connection_is_in_progress_for_half_a_minute_and_then_stalled() -> None:
    async def scene(world: World) -> None:
        world.missing = "there is no Connection baseten"
        key = world.add("a", {"maxReplica": 3})
        async with operator(world):
            await asyncio.sleep(20)
            assert world.ready(key) == ("False", "ConnectionNotFound")
            assert world.has(key, "Reconciling")
            await asyncio.sleep(70)
            assert world.has(key, "Stalled")
            assert not world.has(key, "Reconciling")
            world.missing = None
            await asyncio.sleep(65)
        assert world.ready(key) == ("True", "Synced")

    play(scene)


def test_a_newer_spec_during_a_slow_write_is_written_once_and_last() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 2})
        slow = world.client
        real = slow.update_deployment

        async def delayed(*arguments: Any, **more: Any) -> Any:
            await asyncio.sleep(10)
            return await real(*arguments, **more)

        slow.update_deployment = delayed  # type: ignore[method-assign] # the socket cannot be slow in virtual time
        async with operator(world) as controller:
            for replicas in (3, 4, 5):
                await asyncio.sleep(1)
                world.edit(key, autoscaling={"maxReplica": replicas})
                controller.changed(key)
            await asyncio.sleep(60)
        assert world.writes() == [{"max_replica": 2}, {"max_replica": 5}]
        assert world.ready(key) == ("True", "Synced")

    play(scene)


@pytest.mark.parametrize("how", ["gone", "replaced"])
def test_what_vanished_unseen_is_not_enforced(how: str) -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3}, interval="1m")
        async with operator(world):
            await asyncio.sleep(5)
            world.on_confirm = lambda: world.objects.pop(key, None)
            if how == "replaced":
                world.on_confirm = lambda: world.add("a", {"maxReplica": 9}, uid="another")
            world.values["a"]["max_replica"] = 9
            await asyncio.sleep(70)
        assert len(world.writes()) == (1 if how == "gone" else 2)
        assert world.values["a"]["max_replica"] == 9

    play(scene)


def test_dry_run_and_observe_never_write() -> None:
    async def scene(world: World) -> None:
        key = world.add("a", {"maxReplica": 3})
        other = world.add("b", {"maxReplica": 3}, mode="Observe")
        async with operator(world, dry_run=True):
            await asyncio.sleep(1000)
        assert world.writes() == []
        assert world.ready(key) == world.ready(other) == ("True", "DriftDetected")
        assert world.objects[key]["status"]["driftedFields"] == 1

    play(scene)


def test_a_bug_on_one_resource_leaves_the_others_alone() -> None:
    async def scene(world: World) -> None:
        broken = world.add("broken", {"maxReplica": 3})
        fine = world.add("fine", {"maxReplica": 3})

        def explode(request: httpx.Request) -> httpx.Response | None:
            if "broken" in request.url.path:
                raise ZeroDivisionError
            return None

        world.answer = explode
        async with operator(world):
            await asyncio.sleep(100)
        assert world.ready(fine) == ("True", "Synced")
        assert world.ready(broken) == ("Unknown", "InternalError")

    play(scene)
