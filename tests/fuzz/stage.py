"""The real controller, reconcilers, clients, store and status writer under virtual time; API server and remotes in memory."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Any

from setpoint.cluster import api
from setpoint.cluster.events import EventPoster
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.chain_autoscaling import ChainReconciler
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.deployment_autoscaling import DeploymentReconciler
from setpoint.reconcile.gate import Gate
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.ports import Event, Handle, Key, ResourceGone
from setpoint.remotes.baseten import Baseten
from setpoint.remotes.bifrost import Bifrost
from setpoint.remotes.credential import Credential
from setpoint.remotes.limits import Limits
from setpoint.resources import MANAGED_KINDS, Managed
from setpoint.resources.common import Origin
from tests.fuzz.remote import Remote
from tests.fuzz.schema import allows, kept, part_schema, spec_schema
from tests.simulators.baseten import routes as baseten_routes
from tests.simulators.baseten.specs import DEFAULT_WORLD as MODELS
from tests.simulators.baseten.specs import Options
from tests.simulators.baseten.world import World as Models
from tests.simulators.bifrost import routes as bifrost_routes
from tests.simulators.bifrost.specs import DEFAULT_WORLD as ROWS
from tests.simulators.bifrost.specs import Generation
from tests.simulators.bifrost.specs import Options as GatewayOptions
from tests.simulators.bifrost.world import World as Rows
from tests.virtual_time import Clock

SECRET = "S3cr3t-k3y-0f-th3-r3mot3"  # noqa: S105 - what must not be seen anywhere

_MODELS = {model.kind(): model for model in MANAGED_KINDS}
_SPECS = {model.kind(): spec_schema(model) for model in MANAGED_KINDS}
_STATUSES = {model.kind(): part_schema(model, "status") for model in MANAGED_KINDS}


class Kube(api.KubeApi):
    """An API server that keeps objects and takes patches of their status as far as the schema allows them."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.versions = 1
        self.strict = True
        """Whether the schema is held against what is written."""
        self.on_status: Callable[[dict[str, Any]], None] = lambda _: None

    async def get(self, path: str) -> dict[str, Any]:
        """Return an object."""
        if path not in self.kept:
            raise ResourceGone(path)
        return self.kept[path]

    async def json_patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """Change a status, or the finalizers."""
        if not path.endswith("/status"):
            return self._held(path, operations)
        body = self.kept[path.removesuffix("/status")]
        status = dict(body.get("status") or {})
        for operation in json.loads(json.dumps(operations, ensure_ascii=False, allow_nan=False).encode()):
            *_, name = operation["path"].split("/")
            if operation["op"] == "add":
                status = operation["value"] if name == "status" else {**status, name: operation["value"]}
            elif operation["op"] == "remove":
                del status[name]
        schema = _STATUSES[body["kind"]]
        if self.strict and (kept(schema, status) != status or not allows(schema, status)):
            raise AssertionError(f"the schema does not allow {status}")
        self.versions += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.versions)}
        changed = {**body, "metadata": metadata, "status": status}
        self.kept[path.removesuffix("/status")] = changed
        self.on_status(changed)
        return changed

    def _held(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        [finalizers] = [one["value"] for one in operations if one["path"] == "/metadata/finalizers"]
        self.versions += 1
        metadata = {**self.kept[path]["metadata"], "resourceVersion": str(self.versions), "finalizers": finalizers}
        self.kept[path] = {**self.kept[path], "metadata": metadata}
        return self.kept[path]


class Events(EventPoster):
    """Keeps Events instead of posting them."""

    def __init__(self, kube: api.KubeApi, clock: Clock) -> None:
        super().__init__(kube, clock)
        self.told: list[Event] = []

    def post(self, resource: Managed, event: Event) -> None:
        """Keep an Event."""
        self.told.append(event)


class Stage:
    """A cluster and its remotes."""

    def __init__(self, generation: Generation = 2) -> None:
        self.models = Models(Options(converge=0))
        self.models.seed(MODELS)
        self.rows = Rows(GatewayOptions(generation=generation))
        self.rows.seed(ROWS)
        self.baseten_api = Remote(baseten_routes.table(self.models))
        self.bifrost_api = Remote(bifrost_routes.table(self.rows))
        self.kube = Kube()
        self.clock = Clock()
        self.store = Store(self.kube, self.clock)
        self.events = Events(self.kube, self.clock)
        common: dict[str, Any] = {"requests_per_second": 1000, "timeout": 30, "limits": Limits()}
        common["credential"] = Credential.authorization("Bearer", SECRET)
        self._baseten = Baseten.connect(url="https://api", transport=self.baseten_api, **common)
        self._bifrost = Bifrost.connect(url="https://gateway", transport=self.bifrost_api, **common)
        self._gates: dict[str, Gate[Key]] = {"https://api": Gate(), "https://gateway": Gate()}

    def add(self, kind: str, spec: dict[str, Any], name: str = "case") -> Key:
        """Create a resource as the API server would keep it."""
        key = Key(kind, "ns", name)
        metadata = {"name": name, "namespace": "ns", "uid": f"{kind}-{name}", "generation": 1, "resourceVersion": "1"}
        body = {"kind": kind, "metadata": {**metadata, "creationTimestamp": "2026-01-01T00:00:00Z"}}
        body |= {"spec": kept(_SPECS[kind], spec), "status": {"observedGeneration": -1}}
        self.kube.kept[api.item(_MODELS[kind], "ns", name)] = body
        self.store.put(kind, body)
        return key

    def status(self, key: Key) -> dict[str, Any]:
        """Return the status of a resource, as the API server has it."""
        status: dict[str, Any] = self.kube.kept[api.item(_MODELS[key.kind], key.namespace, key.name)]["status"]
        return status

    def remote(self, key: Key) -> Remote:
        """Return the API behind a kind."""
        return self.bifrost_api if key.kind == "ModelConfigGovernance" else self.baseten_api

    def conditions(self, key: Key) -> dict[str, tuple[str, str]]:
        """Return status and reason of each condition."""
        listed = self.status(key).get("conditions", [])
        return {entry["type"]: (entry["status"], entry["reason"]) for entry in listed}

    # the reconcilers' connections
    def place(self, resource: Managed) -> str:
        """Return where the API is."""
        return "https://gateway" if resource.kind() == "ModelConfigGovernance" else "https://api"

    def origin(self, resource: Managed) -> Origin:
        """Return the same as a status keeps it."""
        return Origin(endpoint=self.place(resource))

    async def baseten(self, resource: Managed, *, fresh: bool = False) -> Handle[Baseten]:
        """Return the only connection to Baseten."""
        return Handle("Connection baseten", self._baseten, self._gates["https://api"], Origin(endpoint="https://api"))

    async def bifrost(self, resource: Managed, *, fresh: bool = False) -> Handle[Bifrost]:
        """Return the only connection to a gateway."""
        return Handle(
            "Connection bifrost", self._bifrost, self._gates["https://gateway"], Origin(endpoint="https://gateway")
        )

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Controller]:
        """Run a controller that has just started and was told of all resources."""
        controller = Controller(
            view=self.store,
            reporter=StatusWriter(self.kube, self.store, self.events),
            reconcilers={
                "DeploymentAutoscaling": DeploymentReconciler(self, self.clock),
                "ChainAutoscaling": ChainReconciler(self, self.clock),
                "ModelConfigGovernance": GovernanceReconciler(self, self.clock),
            },
            clock=self.clock,
            random=Random(7),
            workers=2,
        )
        task = asyncio.create_task(controller.run())
        controller.loaded(key for model in MANAGED_KINDS for key in self.store.known(model.kind()))
        try:
            yield controller
        finally:
            controller.stop()
            await task
            await self._baseten.aclose()
            await self._bifrost.aclose()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect what is logged, with tracebacks."""
    handler, root = _Kept(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


__all__ = ["SECRET", "Stage", "logged"]
