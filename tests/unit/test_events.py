"""Whose Events are posted when there are more than the API server is to be asked for, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from setpoint.cluster.api import KubeApi
from setpoint.cluster.events import BACKLOG, BURST, RATE, EventPoster
from setpoint.reconcile.ports import Event, EventType
from setpoint.resources import DeploymentAutoscaling
from tests.virtual_time import Clock, now, run

SPEC = {"target": {"modelId": "m", "deployment": "d"}, "autoscaling": {"maxReplica": 3}}
TOLD = Event(EventType.WARNING, "RemoteUnreachable", "nobody there")


class Kube(KubeApi):
    """An API server that takes every Event within a moment."""

    def __init__(self) -> None:
        self.posted: list[tuple[float, str, str]] = []

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0.005)
        assert path == f"/api/v1/namespaces/{body['metadata']['namespace']}/events"
        self.posted.append((now(), body["involvedObject"]["namespace"], body["involvedObject"]["name"]))
        return {}


def resource(namespace: str, number: int) -> DeploymentAutoscaling:
    """Return a resource of a namespace."""
    metadata = {"name": f"r{number}", "namespace": namespace, "uid": f"{namespace}-{number}"}
    return DeploymentAutoscaling.from_body({"metadata": metadata, "spec": SPEC})


def play(*told: tuple[str, int], then: tuple[tuple[str, int], ...] = ()) -> list[tuple[float, str, str]]:
    """Tell of so many resources of each namespace, and a second later of some more; return when each Event was posted."""

    async def scene() -> list[tuple[float, str, str]]:
        kube = Kube()
        poster = EventPoster(kube, Clock())
        posting = asyncio.create_task(poster.run())
        for wave in (told, then):
            for namespace, count in wave:
                for number in range(count):
                    poster.post(resource(namespace, number), TOLD)
            await asyncio.sleep(1)
        await poster.drain(600)
        posting.cancel()
        return kube.posted

    return run(scene())


def test_thousands_of_events_of_one_namespace_cost_another_one_turn() -> None:
    posted = play(("crowd", 3500), then=(("neighbour", 1),))
    (moment,) = [moment for moment, namespace, _ in posted if namespace == "neighbour"]
    assert moment < 1.1


def test_a_namespace_that_tells_too_much_loses_its_own_events() -> None:
    posted = play(("crowd", 10 * BACKLOG), ("neighbour", 300))
    told = Counter(namespace for _, namespace, _ in posted)
    assert told == {"crowd": BACKLOG / 2, "neighbour": 300}


def test_so_many_namespaces_that_tell_too_much_leave_places_for_one_more() -> None:
    crowds = [(f"crowd-{number}", 10 * BACKLOG) for number in range(9)]
    posted = play(*crowds, ("neighbour", 1))
    told = Counter(namespace for _, namespace, _ in posted)
    assert told["neighbour"] == 1
    assert all(told[name] for name, _ in crowds)
    assert sum(told.values()) <= BACKLOG


def test_events_are_posted_at_a_bounded_rate_in_the_order_of_their_namespace() -> None:
    posted = play(("a", 200))
    assert [name for _, _, name in posted] == [f"r{number}" for number in range(200)]
    assert posted[-1][0] >= 199 / RATE


def test_a_resource_that_told_too_much_tells_again_after_a_while() -> None:
    async def scene() -> int:
        kube = Kube()
        poster = EventPoster(kube, Clock())
        posting = asyncio.create_task(poster.run())
        for _ in range(2 * BURST):
            poster.post(resource("a", 1), TOLD)
        await poster.drain(60)
        await asyncio.sleep(301)
        poster.post(resource("a", 1), TOLD)
        await poster.drain(60)
        posting.cancel()
        return len(kube.posted)

    assert run(scene()) == BURST + 1


def test_the_end_waits_for_what_is_queued_but_not_for_ever() -> None:
    async def scene() -> tuple[float, int]:
        kube = Kube()
        poster = EventPoster(kube, Clock())
        posting = asyncio.create_task(poster.run())
        for number in range(500):
            poster.post(resource("a", number), TOLD)
        await poster.drain(1.0)
        posting.cancel()
        return now(), len(kube.posted)

    ended, posted = run(scene())
    assert 1.0 <= ended < 1.1
    assert 30 < posted < 60
