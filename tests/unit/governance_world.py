"""A gateway and a cluster in memory, under virtual time: the simulator's own rows and rules behind the real client.

Whatever the operator sends is held against what it may do: it changes only what the spec manages, forgets nothing that was
spent, and deletes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any, Literal

import httpx

from setpoint.reconcile.controller import Controller
from setpoint.reconcile.gate import Gate
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.ports import ClusterUnavailable, Event, Handle, Key, ResourceGone
from setpoint.reconcile.turns import Lane
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources import ModelConfigGovernance
from setpoint.resources.common import Managed, Origin, OriginConnection, StatusBase
from tests.simulators.api import Reply, answer
from tests.simulators.bifrost.auth import BifrostApi
from tests.simulators.bifrost.control import BifrostCommands
from tests.simulators.bifrost.routes import table
from tests.simulators.bifrost.specs import DEFAULT_WORLD, GLOBAL_ROW, Generation, Options, RowSpec
from tests.simulators.bifrost.world import World as Rows
from tests.unit.finalizers import Finalizers, identity
from tests.virtual_time import START, Clock

MODEL, PROVIDER = "gpt-4o", "openai"
KIND = "ModelConfigGovernance"

Fault = Literal["lost", "timeout", "500", "locked"]


WORDS = {"500": "out of order", "locked": "Failed to update model config: database is locked"}


class Gateway(httpx.AsyncBaseTransport):
    """The simulator's handlers, without a socket."""

    def __init__(self, generation: Generation) -> None:
        self._rows = Rows(Options(generation=generation))
        self.commands = BifrostCommands(BifrostApi(mode="open", keys=[], rate=10**6), self._rows)
        self.commands.seed(DEFAULT_WORLD)
        self._table = table(self._rows)
        self.requests: list[tuple[float, str, str]] = []
        self.faults: list[Fault] = []
        self.before_write: Callable[[], object] = lambda: None
        self.after_write: Callable[[object], None] = lambda _: None
        self.on_answer: Callable[[], None] = lambda: None
        self.slow: dict[str, float] = {}
        """Seconds that requests to a path take."""

    @property
    def generation(self) -> Generation:
        """The generation of the API."""
        return self._rows.options.generation

    def become(self, **options: Any) -> None:
        """Change how the gateway behaves from now on."""
        self.commands.set_options(options)

    def mine(self) -> RowSpec | None:
        """Return the only row of the identity, or None."""
        found = self.commands.find(MODEL, PROVIDER)
        assert len(found) <= 1, "there is never a second row"
        return self.commands.state(found[0]["id"]) if found else None

    def foreign(self) -> list[dict[str, Any]]:
        """Return all other rows."""
        return [row for row in self.commands.rows() if (row["model_name"], row.get("provider")) != (MODEL, PROVIDER)]

    def count(self, *methods: str) -> int:
        """Return how many requests of these methods came."""
        return sum(method in methods for _, method, _ in self.requests)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request as the simulator does."""
        await asyncio.sleep(0.001)
        method, path = request.method, request.url.path
        self.requests.append((asyncio.get_running_loop().time(), method, path))
        body = await request.aread()
        await asyncio.sleep(self.slow.get(path, 0.0))
        writes = method != "GET"
        fault = self.faults.pop(0) if writes and self.faults else None
        if fault == "timeout":
            raise httpx.ReadTimeout("no answer")
        if fault in WORDS:
            return _response(Reply(500, {"error": {"message": WORDS[fault]}}))
        before = self.before_write() if writes else None
        reply = answer(self._table, method, path, body)
        if writes:
            self.after_write(before)
        if fault == "lost":
            raise httpx.ReadError("the answer was lost")
        self.on_answer()
        return _response(reply)


def _response(reply: Reply) -> httpx.Response:
    return httpx.Response(reply.status, headers=dict(reply.headers), stream=httpx.ByteStream(reply.encoded()))


class Cluster(Finalizers):
    """The controller's view, reporter and connections."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.objects: dict[Key, dict[str, Any]] = {}
        self.endpoint: str | None = "https://gateway"
        """Where the connection leads to."""
        self.way: OriginConnection | None = None
        """Which connection it is."""
        self.status_writes = 0
        self.events: list[Event] = []
        self.lost_status = False
        """The next statuses do not arrive, as those of a process that dies."""
        self.on_status: Callable[[Key], None] = lambda _: None
        self.client = self._connect()
        self.gate: Gate[Key] = Gate()

    def _connect(self) -> Bifrost:
        return Bifrost.connect(
            url="https://gateway",
            credential=Credential.none(),
            requests_per_second=1000,
            timeout=30,
            limits=Limits(),
            transport=self.gateway,
        )

    def restarted(self) -> None:
        """Forget what a process remembers."""
        self.client, self.gate = self._connect(), Gate()

    def get(self, key: Key) -> Managed | None:
        body = self.objects.get(key)
        return None if body is None else ModelConfigGovernance.from_body(body)

    def identity(self, key: Key) -> tuple[str, int] | None:
        return identity(self.objects, key)

    def lane(self, key: Key) -> Lane:
        return Lane("group", "connection")

    def bare(self, key: Key) -> Managed | None:
        return self.get(key)

    async def confirm(self, key: Key) -> Managed | None:
        return self.get(key)

    async def status(self, resource: Managed, status: StatusBase) -> None:
        key = Key(resource.kind(), resource.metadata.namespace, resource.metadata.name)
        if key not in self.objects:
            raise ResourceGone("gone")
        if self.lost_status:
            raise ClusterUnavailable("the process is dead")
        if self.objects[key]["status"] != status.dump():
            self.objects[key]["status"] = status.dump()
            self.status_writes += 1
            self.on_status(key)

    def event(self, resource: Managed, event: Event) -> None:
        self.events.append(event)

    def place(self, resource: Managed) -> str | None:
        return self.endpoint

    def origin(self, resource: Managed) -> Origin | None:
        return None if self.endpoint is None else Origin(endpoint=self.endpoint, connection=self.way)

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        raise NotImplementedError

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        return Handle(
            "Connection bifrost", self.client, self.gate, Origin(endpoint=self.endpoint or "", connection=self.way)
        )

    def add(self, name: str, *, model: str = MODEL, age: int = 0, **spec: Any) -> Key:
        """Create a resource that is so many seconds older than the world."""
        key = Key(KIND, "ns", name)
        created = (START - timedelta(seconds=age)).isoformat()
        self.objects[key] = {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": name,
                "generation": 1,
                "creationTimestamp": created,
            },
            "spec": {"modelName": model, "provider": PROVIDER, "interval": "1m", **spec},
            "status": {"observedGeneration": -1},
        }
        return key

    def edit(self, key: Key, parts: dict[str, Any]) -> None:
        """Replace the managed parts of a spec."""
        body = self.objects[key]
        kept = {name: value for name, value in body["spec"].items() if name not in {"budget", "budgets", "rateLimit"}}
        generation = body["metadata"]["generation"] + 1
        metadata = {**body["metadata"], "generation": generation}
        self.objects[key] = {**body, "metadata": metadata, "spec": {**kept, **parts}}

    def ready(self, key: Key) -> tuple[str, str]:
        """Return status and reason of the Ready condition."""
        conditions = self.objects[key]["status"].get("conditions", [])
        return next(((entry["status"], entry["reason"]) for entry in conditions if entry["type"] == "Ready"), ("", ""))


@asynccontextmanager
async def operator(cluster: Cluster) -> AsyncIterator[Controller]:
    """Run a controller that has just started and was told of all resources."""
    cluster.restarted()
    clock = Clock()
    controller = Controller(
        view=cluster,
        reporter=cluster,
        reconcilers={KIND: GovernanceReconciler(cluster, clock)},
        clock=clock,
        random=Random(7),
        workers=4,
    )
    task = asyncio.create_task(controller.run())
    controller.loaded(cluster.objects)
    try:
        yield controller
    finally:
        controller.stop()
        await task
        await cluster.client.aclose()


__all__ = ["GLOBAL_ROW", "KIND", "MODEL", "Cluster", "Fault", "Gateway", "operator"]
