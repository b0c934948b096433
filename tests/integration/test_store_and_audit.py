"""What the operator believes of its resources, held against a real API server when the watch has missed something."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from setpoint.cluster import api
from setpoint.cluster.audit import Audit
from setpoint.cluster.events import BURST, EventPoster
from setpoint.cluster.secrets import LIFETIME, Secrets
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import ClusterUnavailable, Event, EventType, Key, LoopClock, ResourceChanged, ResourceGone
from setpoint.resources import ChainAutoscaling, DeploymentAutoscaling
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import install
from tests.e2e.stage import secret
from tests.unit.test_bounds import chain, reported

pytestmark = pytest.mark.cluster

SPEC = {"target": {"modelId": "m", "deployment": "development"}, "autoscaling": {"maxReplica": 3}}


class Scene:
    """A store that is fed by hand instead of by a watch."""

    def __init__(self, plane: ControlPlane, kube: api.KubeApi, namespace: str) -> None:
        clock = LoopClock()
        self.plane, self.kube, self.namespace = plane, kube, namespace
        self.key = Key(DeploymentAutoscaling.kind(), namespace, "a")
        self.store = Store(kube, clock, trust=0.0)
        self.reporter = StatusWriter(kube, self.store, EventPoster(kube, clock))
        self.controller = Controller(
            view=self.store, reporter=self.reporter, reconcilers={}, clock=clock, random=Random(1), workers=1
        )
        self.audit = Audit(
            kube=kube,
            store=self.store,
            controller=self.controller,
            clock=clock,
            namespaces=(namespace,),
            label_selector=None,
        )

    def apply(self, max_replica: int = 3) -> None:
        """Create or change the resource without the store's knowing."""
        spec = {**SPEC, "autoscaling": {"maxReplica": max_replica}}
        metadata = {"name": "a", "namespace": self.namespace}
        body = {"apiVersion": "setpoint.dev/v1alpha1", "kind": self.key.kind, "metadata": metadata, "spec": spec}
        self.plane.apply(body)

    def delete(self) -> None:
        """Delete the resource without the store's knowing."""
        self.plane.kubectl("delete", "das", "a", "-n", self.namespace)

    async def watch(self) -> None:
        """Show the store the resource as it is, as the watch would."""
        self.store.put(self.key.kind, await self._read())

    async def _read(self) -> dict[str, Any]:
        return await self.kube.get(api.item(DeploymentAutoscaling, self.namespace, "a"))


@pytest.fixture
async def scene(controlplane: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A scene whose resource the store knows."""
    install(controlplane)
    monkeypatch.setenv("KUBECONFIG", str(controlplane.kubeconfig))
    kube = await api.connect()
    try:
        scene = Scene(controlplane, kube, namespace)
        scene.apply()
        await scene.watch()
        yield scene
    finally:
        await kube.aclose()


async def test_a_watch_that_delivers_is_well(scene: Scene) -> None:
    for _ in range(3):
        await scene.audit.once()
    assert scene.audit.dead_watch is None


async def test_a_change_the_watch_never_shows_means_it_is_dead(scene: Scene) -> None:
    scene.apply(max_replica=4)
    await scene.audit.once()
    after_one = scene.audit.dead_watch
    await scene.audit.once()
    assert after_one is None, "an event may still be on its way"
    assert str(scene.key) in (scene.audit.dead_watch or "")


async def test_a_change_the_watch_shows_late_is_no_dead_watch(scene: Scene) -> None:
    scene.apply(max_replica=4)
    await scene.audit.once()
    await scene.watch()
    scene.apply(max_replica=5)
    await scene.audit.once()
    assert scene.audit.dead_watch is None


async def test_a_deletion_the_watch_never_showed_is_found(scene: Scene) -> None:
    scene.delete()
    assert scene.store.get(scene.key) is not None
    await scene.audit.once()
    assert scene.store.get(scene.key) is None
    assert scene.audit.dead_watch is None


async def test_a_resource_is_confirmed_before_a_write(scene: Scene) -> None:
    scene.apply(max_replica=4)
    current = await scene.store.confirm(scene.key)
    assert isinstance(current, DeploymentAutoscaling)
    assert current.spec.autoscaling.max_replica == 4
    scene.delete()
    assert await scene.store.confirm(scene.key) is None


async def test_a_resource_is_confirmed_again_when_an_answer_about_it_was_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(path: str, operations: object) -> dict[str, Any]:
        raise ClusterUnavailable("the answer was lost")

    store = Store(scene.kube, LoopClock())
    store.put(scene.key.kind, await scene.kube.get(api.item(DeploymentAutoscaling, scene.namespace, "a")))
    known = store.get(scene.key)
    assert known is not None
    scene.delete()
    assert await store.confirm(scene.key) == known, "the watch has shown it a moment ago"
    monkeypatch.setattr(scene.kube, "json_patch", lost)
    with pytest.raises(ClusterUnavailable):
        await StatusWriter(scene.kube, store, EventPoster(scene.kube, LoopClock())).hold(known)
    assert await store.confirm(scene.key) is None


async def test_a_successor_keeps_its_own_status(scene: Scene) -> None:
    stale = scene.store.get(scene.key)
    assert stale is not None
    scene.delete()
    scene.apply()
    with pytest.raises((ResourceGone, ClusterUnavailable)):
        await scene.reporter.status(stale, stale.status.model_copy(update={"observed_generation": 7}))
    await scene.watch()
    successor = scene.store.get(scene.key)
    assert successor is not None
    assert successor.metadata.uid != stale.metadata.uid
    assert successor.status.observed_generation == -1


async def test_a_status_that_another_process_wrote_meanwhile_is_not_written_over(scene: Scene) -> None:
    known = scene.store.get(scene.key)
    assert known is not None
    other = Store(scene.kube, LoopClock())
    other.put(scene.key.kind, await scene.kube.get(api.item(DeploymentAutoscaling, scene.namespace, "a")))
    writer = StatusWriter(scene.kube, other, EventPoster(scene.kube, LoopClock()))
    await writer.status(known, known.status.model_copy(update={"observed_generation": 1}))
    with pytest.raises(ResourceChanged):
        await scene.reporter.status(known, known.status.model_copy(update={"last_handled_reconcile_at": "now"}))
    newest = scene.store.get(scene.key)
    assert newest is not None
    assert newest.status.observed_generation == 1, "the store has learned it"
    await scene.watch()
    assert scene.store.get(scene.key) == newest, "and the API server still has it"


async def test_the_largest_status_there_is_is_taken(scene: Scene) -> None:
    largest = chain("🦙")
    metadata = {"name": "a", "namespace": scene.namespace}
    body = {"apiVersion": "setpoint.dev/v1alpha1", "kind": ChainAutoscaling.kind(), "metadata": metadata}
    spec = largest.spec.dump()
    path = api.item(ChainAutoscaling, scene.namespace, "a")
    await asyncio.to_thread(scene.plane.apply, {**body, "spec": spec})
    key, _ = scene.store.put(ChainAutoscaling.kind(), await scene.kube.get(path))
    known = scene.store.get(key)
    assert isinstance(known, ChainAutoscaling)
    status = (await reported(known)).status
    await scene.reporter.status(known, status)
    shown = (await scene.kube.get(path))["status"]
    assert "too large" in shown["conditions"][0]["message"]
    assert ChainAutoscaling.status_model().model_validate(shown) == status


async def test_a_status_equal_to_the_one_there_costs_no_request(scene: Scene) -> None:
    resource = scene.store.get(scene.key)
    assert resource is not None
    await scene.reporter.status(resource, resource.status.model_copy(update={"observed_generation": 1}))
    verbs = ("PATCH", "PUT", "POST")
    before = scene.plane.request_count(resource="deploymentautoscalings", verbs=verbs, group="setpoint.dev")
    again = scene.store.get(scene.key)
    assert again is not None
    await scene.reporter.status(again, again.status)
    assert scene.plane.request_count(resource="deploymentautoscalings", verbs=verbs, group="setpoint.dev") == before


async def test_a_resource_that_tells_too_much_is_cut_short_and_others_are_not(scene: Scene) -> None:
    chatty = scene.store.get(scene.key)
    assert chatty is not None
    quiet = chatty.model_copy(update={"metadata": chatty.metadata.model_copy(update={"uid": "another", "name": "b"})})
    poster = EventPoster(scene.kube, LoopClock())
    for number in range(3 * BURST):
        poster.post(chatty, Event(EventType.NORMAL, "Told", f"{number}"))
    poster.post(quiet, Event(EventType.NORMAL, "Told", "once"))
    posting = asyncio.create_task(poster.run())
    await poster.drain(10)
    posting.cancel()
    told = Counter(item["involvedObject"]["name"] for item in scene.plane.items("events", scene.namespace))
    assert told == {"a": BURST, "b": 1}


async def test_a_rotated_secret_is_read_again_after_a_minute_or_when_asked_for_fresh(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LoopClock()
    secrets = Secrets(scene.kube, clock)
    start = clock.monotonic()
    passed = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: start + passed)
    scene.plane.apply(secret("key", scene.namespace, "first\n"))
    assert await secrets.value(scene.namespace, "key", "api-key") == "first"
    scene.plane.apply(secret("key", scene.namespace, "second"))
    passed = LIFETIME - 1
    assert await secrets.value(scene.namespace, "key", "api-key") == "first"
    assert await secrets.value(scene.namespace, "key", "api-key", not_older_than=start + passed) == "second"
    scene.plane.apply(secret("key", scene.namespace, "third"))
    passed += LIFETIME + 1
    assert await secrets.value(scene.namespace, "key", "api-key") == "third"


async def test_what_the_operator_writes_is_owned_by_setpoint(scene: Scene) -> None:
    resource = scene.store.get(scene.key)
    assert resource is not None
    await scene.reporter.status(resource, resource.status.model_copy(update={"observed_generation": 1}))
    body = await scene.kube.get(api.item(DeploymentAutoscaling, scene.namespace, "a"))
    owners = {entry["manager"] for entry in body["metadata"]["managedFields"] if entry.get("subresource") == "status"}
    assert owners == {"setpoint"}
