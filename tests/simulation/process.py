"""One operator process: the real parts from the watch's events to the remotes' clients, and how it may die."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from setpoint.cluster.api import KubeApi
from setpoint.cluster.audit import Audit
from setpoint.cluster.connections import ConnectionPool
from setpoint.cluster.handlers import connection_shown, shown
from setpoint.cluster.load import load
from setpoint.cluster.secrets import Secrets
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.chain_autoscaling import ChainReconciler
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.deployment_autoscaling import DeploymentReconciler
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.ports import ClusterUnavailable, Connections, Event, Key, LoopClock
from setpoint.remotes.hosts import AllowedHosts, place
from setpoint.remotes.limits import Limits
from setpoint.resources import Managed
from tests.simulation.apiserver import ApiServer
from tests.simulation.remotes import GATEWAYS, PLATFORMS, Fault, Remotes, Request, Wire
from tests.virtual_time import moment

ROUND = 60.0
"""Seconds between two times at which connections are let go of that are not there any more."""

WORKERS = 4

KubeFault = str | None
"""`before` (refused), `after` (applied, and the answer lost) or None."""


class Clock(LoopClock):
    """Virtual time, with a date that the machine's owner may change."""

    def __init__(self, story: "Surroundings") -> None:
        self._story = story

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return moment() + self._story.clock_is_off


class Fate:
    """When a process dies: at so many side effects from now, or when somebody ends it."""

    def __init__(self) -> None:
        self.dead = asyncio.Event()
        self.steps_left: int | None = None
        self.where = ""

    def step(self, where: str) -> None:
        """Come to a side effect; dying there is as final as SIGKILL: nothing of this process happens any more."""
        self.breathe()
        if self.steps_left is None:
            return
        self.steps_left -= 1
        if self.steps_left <= 0:
            self.where = where
            self.dead.set()
            raise asyncio.CancelledError

    def breathe(self) -> None:
        """Do nothing, unless dead."""
        if self.dead.is_set():
            raise asyncio.CancelledError


class Kube(KubeApi):
    """The operator's requests, to the API server in memory."""

    def __init__(
        self, server: ApiServer, random: Random, fate: Fate, fault: Callable[[str], KubeFault], *, age: float = 0.0
    ) -> None:
        self.namespace = "setpoint-system"
        self._server = server
        self._random = random
        self._fate = fate
        self._fault = fault
        self._age = age
        """Seconds since what it lists was so."""

    async def get(self, path: str) -> dict[str, Any]:
        """Return an object."""
        await self._way("GET")
        return self._server.get(path)

    async def json_patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """Change an object."""
        what = "a status write" if path.endswith("/status") else "a finalizer change"
        await self._way("PATCH", before=True)
        self._fate.step(f"before {what}")
        fault = self._fault("PATCH")
        if fault == "before":
            raise ClusterUnavailable("the API server answered 500")
        body = self._server.patch(path, operations)
        self._fate.step(f"after {what}")
        if fault == "after":
            raise ClusterUnavailable("the answer was lost")
        return body

    async def _way(self, method: str, *, before: bool = False) -> None:
        await asyncio.sleep(self._random.uniform(0.001, 0.05))
        self._fate.breathe()
        if not before and self._fault(method) is not None:
            raise ClusterUnavailable("the API server answered 503")

    async def _items(self, path: str, label_selector: str | None, accept: str) -> AsyncIterator[dict[str, Any]]:
        await self._way("LIST")
        for body in self._server.listed(path, age=self._age):
            yield body


class Pool(ConnectionPool):
    """The operator's connections, with wires instead of a network."""

    def __init__(self, story: "Surroundings", fate: Fate, store: Store, kube: Kube, clock: Clock) -> None:
        super().__init__(
            kube=kube,
            store=store,
            secrets=Secrets(kube, clock),
            limits=Limits(),
            hosts=AllowedHosts.parse(",".join((*PLATFORMS, *GATEWAYS))),
            clock=clock,
            cluster_wide=False,
            connections_per_namespace=100,
        )
        self._story = story
        self._fate = fate

    def is_open(self, key: Key, endpoint: str) -> bool:
        """Tell whether there is a client of a connection that leads there."""
        entry = self._baseten.get(key) or self._bifrost.get(key)
        connection = entry.connection if entry is not None else None
        return connection is not None and place(self.url(connection)) == endpoint

    async def _handle(self, entries: Any, connection: Any, url: str, connect: Any, credential: Any, **how: Any) -> Any:
        wired = partial(self._wired, connect)
        return await super()._handle(entries, connection, url, wired, credential, **how)

    def _wired(self, connect: Callable[..., Any], *, url: str, check: object, **how: Any) -> Any:
        # What a name resolves to is nobody's business where there is no network.
        del check
        wire = Wire(
            self._story.remotes,
            place(url),
            self._story.random,
            step=self._fate.step,
            fault=self._story.remote_fault,
            carried_out=self._story.written,
        )
        return connect(url=url, check=None, transport=wire, **how)


class Surroundings:
    """What a process finds around it; the story fills it in."""

    server: ApiServer
    remotes: Remotes
    random: Random
    clock_is_off: timedelta

    def remote_fault(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with a request to a remote."""
        raise NotImplementedError

    def kube_fault(self, method: str) -> KubeFault:
        """Return what goes wrong with a request to the API server."""
        raise NotImplementedError

    def written(self, request: Request) -> None:
        """Hear of a write that a remote carried out."""
        raise NotImplementedError

    def told(self, resource: Managed, event: Event) -> None:
        """Hear of an Event."""
        raise NotImplementedError


class Events:
    """Where Events go."""

    def __init__(self, story: Surroundings, fate: Fate) -> None:
        self._story = story
        self._fate = fate

    def post(self, resource: Managed, event: Event) -> None:
        """Tell the story."""
        if not self._fate.dead.is_set():
            self._story.told(resource, event)


class Process:
    """An operator process from its start to its end."""

    def __init__(self, story: Surroundings, *, stale: float = 0.0) -> None:
        self._story = story
        self.fate = Fate()
        kube = Kube(story.server, story.random, self.fate, story.kube_fault)
        self._lists = Kube(story.server, story.random, self.fate, story.kube_fault, age=stale)
        clock = Clock(story)
        self.store = Store(kube, clock)
        self.pool = Pool(story, self.fate, self.store, kube, clock)
        self.controller = self._controller(kube, self.pool, clock)
        self.audit = Audit(
            kube=kube,
            store=self.store,
            controller=self.controller,
            clock=clock,
            namespaces=(),
            label_selector=None,
        )
        self.cut = False
        """The watch shows nothing while this is set, and lists when it is not any more."""
        self.seeing = asyncio.Event()
        """The watch has begun."""
        self._tasks: list[asyncio.Task[None]] = []
        self.working: asyncio.Task[None] | None = None

    def _controller(self, kube: Kube, connections: Connections, clock: Clock) -> Controller:
        reconcilers: Mapping[str, Reconciler[Any, Any, Any, Any]] = {
            "DeploymentAutoscaling": DeploymentReconciler(connections, clock),
            "ChainAutoscaling": ChainReconciler(connections, clock),
            "ModelConfigGovernance": GovernanceReconciler(connections, clock),
        }
        return Controller(
            view=self.store,
            reporter=StatusWriter(kube, self.store, Events(self._story, self.fate)),  # type: ignore[arg-type] # has all that is used
            reconcilers=reconcilers,
            clock=clock,
            random=self._story.random,
            workers=WORKERS,
        )

    async def start(self) -> None:
        """List, look, watch."""
        self.working = asyncio.create_task(self.controller.run())
        also = (self._run(), self._watch_connections(), self._keep_connections(), self.audit.run())
        self._tasks = [self.working, *(asyncio.create_task(one) for one in also)]

    async def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await load(
                self._lists,
                self.store,
                self.controller,
                namespaces=(),
                label_selector=None,
                stopping=asyncio.Event(),
            )
            await self._watch()

    async def _watch(self) -> None:
        """Show lists first, then what happens, in order and a little late; a cut loses what happens meanwhile."""
        while True:
            await asyncio.sleep(self._story.random.uniform(0.01, 2))
            place = len(self._story.server.history)
            for key, body in self._story.server.objects.items():
                shown(key.kind, None, body, self.store, self.controller)
            self.seeing.set()
            while not self.cut:
                if place == len(self._story.server.history):
                    await self._story.server.news()
                    await asyncio.sleep(self._story.random.choice([0.01, 0.05, 0.2, 3.0]))
                    continue
                for change in self._story.server.history[place:]:
                    place += 1
                    shown(change.key.kind, change.type, change.body, self.store, self.controller)
            while self.cut:  # noqa: ASYNC110 - healed by the story, which says so to nobody
                await asyncio.sleep(0.5)

    async def _watch_connections(self) -> None:
        """Show what happens to connections, in order and a little late; this watch is never cut."""
        place = len(self._story.server.connection_history)
        while True:
            while place == len(self._story.server.connection_history):
                await self._story.server.news()
            await asyncio.sleep(self._story.random.choice([0.01, 0.05, 0.2, 3.0]))
            for change in self._story.server.connection_history[place:]:
                place += 1
                connection_shown(change.key.kind, change.type, change.body, self.store, self.controller)

    async def _keep_connections(self) -> None:
        while True:
            await self.pool.keep(self.store.connections().keys())
            await asyncio.sleep(ROUND)

    async def stop(self) -> None:
        """End as after SIGTERM: what is under way ends."""
        self.controller.stop()
        if self.working is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self.working
        await self.kill()

    async def kill(self) -> None:
        """End at once; nothing of this process happens any more."""
        self.fate.dead.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
