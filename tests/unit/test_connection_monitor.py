"""Whose connections are tried while others do not answer, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from random import Random
from typing import Any

from setpoint.cluster.api import KubeApi
from setpoint.cluster.connections import ConnectionPool
from setpoint.cluster.events import EventPoster
from setpoint.cluster.monitor import AT_ONCE, ConnectionMonitor
from setpoint.cluster.secrets import Secrets
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import ConnectionNotAllowed, Key
from setpoint.remotes.errors import RemoteUnreachable
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.limits import Limits
from setpoint.resources import ClusterConnection, Connection
from tests.virtual_time import Clock, now, run

HANGS = 30.0
"""Seconds after which a try ends that gets no answer."""


class Kube(KubeApi):
    """An API server that takes every status."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}
        self.written: dict[str, float] = {}

    async def json_patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        await asyncio.sleep(0.005)
        body = self.bodies[path.removesuffix("/status")]
        for operation in operations:
            if operation["op"] != "test":
                body.setdefault("status", {})[operation["path"].rsplit("/", 1)[1]] = operation["value"]
        self.written.setdefault(body["metadata"]["name"], now())
        return body


class Pool(ConnectionPool):
    """Connections that answer at once, but for those that hang."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.tried: list[tuple[float, str]] = []
        self.hanging = {"hung"}
        """What the names begin with of those that hang."""

    async def probe(
        self, key: Key, connection: Connection | ClusterConnection, *, fresh: bool
    ) -> tuple[str | None, frozenset[Key]]:
        if not self.is_admitted(connection):
            raise ConnectionNotAllowed("too many")
        self.tried.append((now(), key.name))
        self.under_way[key.namespace] += 1
        self.most |= self.under_way
        try:
            if key.name.split("-")[0] in self.hanging:
                await asyncio.sleep(HANGS)
                raise RemoteUnreachable("no answer")
            await asyncio.sleep(0.05)
        finally:
            self.under_way[key.namespace] -= 1
        return None, frozenset()

    async def keep(self, there: Collection[Key]) -> None:
        pass


class Scene:
    """A monitor of connections that the test puts there."""

    def __init__(self, per_namespace: int = 10**4) -> None:
        clock = Clock()
        self.kube = Kube()
        self.store = Store(self.kube, clock)
        self.pool = Pool(
            kube=self.kube,
            store=self.store,
            secrets=Secrets(self.kube, clock),
            limits=Limits(),
            hosts=AllowedHosts.parse("example.com"),
            clock=clock,
            cluster_wide=True,
            connections_per_namespace=per_namespace,
        )
        reporter = StatusWriter(self.kube, self.store, EventPoster(self.kube, clock))
        controller = Controller(
            view=self.store, reporter=reporter, reconcilers={}, clock=clock, random=Random(1), workers=1
        )
        self.monitor = ConnectionMonitor(
            kube=self.kube, store=self.store, pool=self.pool, controller=controller, clock=clock, random=Random(1)
        )

    def put(self, namespace: str, name: str, *, second: int = 0, url: str = "https://example.com") -> None:
        """Create or change a Connection of a namespace, or a ClusterConnection of none."""
        kind, plural = ("Connection", "connections") if namespace else ("ClusterConnection", "clusterconnections")
        where = f"/namespaces/{namespace}" if namespace else ""
        path = f"/apis/setpoint.dev/v1alpha1{where}/{plural}/{name}"
        known = self.kube.bodies.get(path, {"metadata": {"generation": 0}})
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"{namespace}/{name}",
            "resourceVersion": "1",
            "generation": known["metadata"]["generation"] + 1,
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
        }
        spec = {"baseten": {"url": url, "apiKeySecretRef": {"name": "s", "key": "k", "namespace": "x"}}}
        body = self.kube.bodies[path] = {**known, "kind": kind, "metadata": metadata, "spec": spec}
        self.store.put_connection(body)
        self.monitor.changed()

    def drop(self, namespace: str, name: str) -> None:
        """Delete a Connection."""
        self.store.drop_connection("Connection", namespace, name)
        self.monitor.changed()

    def reason(self, namespace: str, name: str) -> str | None:
        """Return the reason of Ready."""
        connection = self.store.connection("Connection", namespace, name)
        assert connection is not None
        return next((one.reason for one in connection.status.conditions if one.type == "Ready"), None)


def play(scene: Callable[[Scene], Coroutine[Any, Any, None]], per_namespace: int = 10**4) -> None:
    """Run a scene with a monitor that looks after it."""

    async def whole() -> None:
        made = Scene(per_namespace)
        task = asyncio.create_task(made.monitor.run())
        await scene(made)
        assert not task.done()
        task.cancel()

    run(whole())


def test_a_new_connection_is_told_of_within_a_second_while_hundreds_of_a_namespace_hang() -> None:
    async def scene(made: Scene) -> None:
        for number in range(560):
            made.put("crowd", f"hung-{number}")
        await asyncio.sleep(3)
        assert made.pool.under_way["crowd"] == AT_ONCE // 4
        made.put("neighbour", "new")
        made.put("", "shared")
        await asyncio.sleep(1)
        assert made.reason("neighbour", "new") == "Connected"
        assert {"new", "shared"} <= made.kube.written.keys()
        await asyncio.sleep(560 / (AT_ONCE // 4) * HANGS * 1.2)
        assert len({name for _, name in made.pool.tried if name.startswith("hung")}) == 560, "each has its turn"
        assert made.pool.most["crowd"] == AT_ONCE // 4

    play(scene)


def test_a_connection_that_changes_while_it_waits_for_its_turn_is_tried_as_it_is_then() -> None:
    async def scene(made: Scene) -> None:
        for number in range(AT_ONCE):
            made.put("crowd", f"hung-{number}", second=1)
        await asyncio.sleep(1)
        made.put("crowd", "late", url="https://wrong.example.com")
        await asyncio.sleep(1)
        made.put("crowd", "late", url="https://example.com/right")
        made.put("crowd", "gone")
        await asyncio.sleep(1)
        made.drop("crowd", "gone")
        await asyncio.sleep(10 * HANGS)
        connection = made.store.connection("Connection", "crowd", "late")
        assert connection is not None
        assert connection.status.conditions[0].message == "https://example.com/right answers"
        assert connection.status.observed_generation == 2
        assert "gone" not in {name for _, name in made.pool.tried}

    play(scene)


def test_what_waits_for_no_remote_does_not_wait_for_those_that_hang() -> None:
    async def scene(made: Scene) -> None:
        for number in range(100):
            made.put("crowd", f"hung-{number}")
        await asyncio.sleep(1)
        made.put("crowd", "refused", second=1)
        await asyncio.sleep(1)
        assert made.reason("crowd", "refused") == "ConnectionNotAllowed"

    play(scene, per_namespace=100)


def test_a_connection_that_is_corrected_while_it_hangs_is_tried_at_once() -> None:
    async def scene(made: Scene) -> None:
        made.put("a", "hung", url="https://hangs.example.com")
        await asyncio.sleep(5)
        made.pool.hanging.clear()
        made.put("a", "hung")
        await asyncio.sleep(1)
        assert made.reason("a", "hung") == "Connected"
        assert made.pool.under_way["a"] == 0

    play(scene)


def test_a_connection_that_is_pushed_out_or_deleted_while_it_hangs_gives_its_seat_back() -> None:
    async def scene(made: Scene) -> None:
        made.put("a", "hung-2", second=2)
        made.put("a", "hung-1", second=1)
        await asyncio.sleep(1)
        made.put("a", "older")
        await asyncio.sleep(1)
        assert made.reason("a", "hung-2") == "ConnectionNotAllowed"
        made.drop("a", "hung-1")
        await asyncio.sleep(1)
        assert made.pool.under_way["a"] == 1
        assert [name for _, name in made.pool.tried].count("hung-2") == 2

    play(scene, per_namespace=2)


def test_a_connection_that_is_pushed_out_while_it_waits_for_its_turn_is_told_at_once() -> None:
    async def scene(made: Scene) -> None:
        for number in range(1, 21):
            made.put("a", f"hung-{number}", second=number)
        await asyncio.sleep(1)
        made.put("a", "older")
        await asyncio.sleep(1)
        assert made.reason("a", "hung-20") == "ConnectionNotAllowed"
        assert made.reason("a", "hung-19") is None

    play(scene, per_namespace=20)


def test_a_connection_that_is_new_goes_before_those_of_its_namespace_that_are_tried_once_more() -> None:
    async def scene(made: Scene) -> None:
        for number in range(2 * AT_ONCE):
            made.put("crowd", f"hung-{number}")
        await asyncio.sleep(2 * AT_ONCE / (AT_ONCE // 4) * HANGS + 2 * HANGS)
        made.put("crowd", "new")
        await asyncio.sleep(HANGS + 1)
        assert made.reason("crowd", "new") == "Connected"

    play(scene)


def test_a_connection_that_changes_all_the_time_is_no_reason_to_look_without_a_pause() -> None:
    async def scene(made: Scene) -> None:
        rounds = 0
        counted = made.store.connection_uses

        def count() -> Any:
            nonlocal rounds
            rounds += 1
            return counted()

        made.store.connection_uses = count  # type: ignore[method-assign]
        for number in range(1000):
            made.put("restless", "one", url=f"https://example.com/{number}")
            await asyncio.sleep(0.01)
        assert rounds < 60

    play(scene)


def test_of_many_connections_the_oldest_are_tried_and_the_next_one_when_one_goes() -> None:
    async def scene(made: Scene) -> None:
        for number in (4, 2, 0, 3, 1):
            made.put("a", f"c{number}", second=number)
        made.put("", "shared")
        made.put("b", "other")
        await asyncio.sleep(30)
        told = {name: made.reason("a", name) for name in ("c0", "c1", "c2", "c3", "c4")}
        refused = "ConnectionNotAllowed"
        assert told == {"c0": "Connected", "c1": "Connected", "c2": "Connected", "c3": refused, "c4": refused}
        assert made.reason("b", "other") == "Connected"
        assert {name for _, name in made.pool.tried} == {"c0", "c1", "c2", "other", "shared"}
        made.drop("a", "c1")
        await asyncio.sleep(1)
        assert made.reason("a", "c3") == "Connected"
        assert made.reason("a", "c4") == refused
        # One that comes back is the youngest.
        made.put("a", "c1", second=50)
        await asyncio.sleep(1)
        assert made.reason("a", "c1") == refused
        assert made.reason("a", "c3") == "Connected"

    play(scene, per_namespace=3)


def test_of_those_made_in_one_second_the_uid_decides() -> None:
    async def scene(made: Scene) -> None:
        for name in ("c", "a", "d", "b"):
            made.put("n", name)
        await asyncio.sleep(1)
        assert [made.reason("n", name) == "Connected" for name in "abcd"] == [True, True, False, False]

    play(scene, per_namespace=2)


def test_a_bound_of_none_leaves_only_what_administrators_make() -> None:
    async def scene(made: Scene) -> None:
        made.put("a", "one")
        made.put("", "shared")
        await asyncio.sleep(1)
        assert made.reason("a", "one") == "ConnectionNotAllowed"
        assert [name for _, name in made.pool.tried] == ["shared"]

    play(scene, per_namespace=0)
