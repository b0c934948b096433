"""Where the faults happen: one resource of each kind, an operator behind proxies, and an eye on what it says."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.controlplane.plane import ControlPlane
from tests.e2e import transcripts
from tests.e2e.faults import table
from tests.e2e.faults.proxy import HttpProxy, Rule, Seen, When
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import API, Object, Place, connection, secret
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

MODEL = "m-greeter"
PLURALS = {"das": "deploymentautoscalings", "cas": "chainautoscalings", "mcg": "modelconfiggovernances"}
KINDS = {"das": "DeploymentAutoscaling", "cas": "ChainAutoscaling", "mcg": "ModelConfigGovernance"}
NAME = "one"
SENTINEL = "sentinel-5f2b9c71e0d4a86b"
USER, PASSWORD = "admin", "sentinel-c03e77d1b95f2a48"
"""Key and password; they must be seen nowhere but at the remotes and in their Secrets."""
SECRETS = (SENTINEL, PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
"""In every form in which they are sent."""

STATUS = r"/{plural}/[^/]+/status"
FINALIZER = r"/{plural}/[^/?]+(\?|$)"
WRITES = {
    "das": ("PATCH", r"/deployments/d-free/autoscaling_settings"),
    "cas": ("PATCH", r"/chainlet_settings/autoscaling_settings"),
    "mcg": ("PUT", r"/model-configs/"),
}
"""How the one resource of each kind is written at its remote."""


class Ground(Place):
    """A namespace, its remotes and the proxies in between."""

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        *,
        baseten: BasetenSimulator,
        bifrost: BifrostSimulator,
        kube: HttpProxy,
        remotes: Mapping[str, HttpProxy],
    ) -> None:
        super().__init__(plane, namespace)
        self.baseten = baseten
        self.bifrost = bifrost
        self.kube = kube
        self.remotes = remotes
        self.operator: OperatorProcess | None = None
        self.deaths = 0
        self.lies: list[str] = []
        """Statuses that said Ready of what the remote did not have."""
        self.leaks: list[str] = []
        """Places where the key was seen."""

    def open(self) -> None:
        """Create the connections, through the proxies."""
        self.baseten.add_key(SENTINEL)
        self.bifrost.set_auth("basic", username=USER, password=PASSWORD)
        self.plane.apply(*self.secrets())
        self.connect(self.remotes["das"].url, self.remotes["mcg"].url)

    def connect(self, models: str, gateway: str) -> None:
        """Let the connections lead there, with a timeout a test can wait for."""
        login = {f"{name}SecretRef": {"name": "bifrost", "key": name} for name in ("username", "password")}
        spec = {"bifrost": {"url": gateway, "auth": {"basic": login}}, "timeout": "2s"}
        metadata = {"name": "bifrost", "namespace": self.namespace}
        self.plane.apply(
            connection("baseten", self.namespace, models, timeout="2s"),
            {"apiVersion": API, "kind": "Connection", "metadata": metadata, "spec": spec},
        )

    def secrets(self, key: str = SENTINEL, password: str = PASSWORD) -> tuple[Object, Object]:
        """Return the Secrets of both connections."""
        transcripts.hide(password)
        login = secret("bifrost", self.namespace, "") | {"stringData": {"username": USER, "password": password}}
        return secret("baseten", self.namespace, key), login

    def start(self) -> None:
        """Start the operator."""
        self.operator = OperatorProcess.start(self.plane, server=self.kube.url)

    def stop(self) -> None:
        """End the operator, if there is one."""
        if self.operator is not None:
            self._look_for_leaks(self.operator)
            self.operator.kill()
        self.operator = None

    def kill(self, _: Seen) -> None:
        """End the operator as SIGKILL does; the next one is started by whoever waits."""
        if self.operator is not None:
            self.operator.shoot()
        self.deaths += 1

    def revive(self) -> None:
        """Start another operator where the last one was killed."""
        if self.operator is not None and self.operator.ended:
            self._look_for_leaks(self.operator)
            self.operator.kill()
            self.start()

    def _look_for_leaks(self, operator: OperatorProcess) -> None:
        """Note every place where key or password can be seen."""
        shown = {"log": operator.log(), "arguments": " ".join(operator.arguments), **operator.surface()}
        for what in ("events", *PLURALS, "spconn"):
            shown[what] = self.plane.kubectl("get", what, "-n", self.namespace, "-o", "yaml").stdout
        self.leaks += [what for what, text in shown.items() if any(one in text for one in SECRETS)]

    def wait(self, done: Callable[[], Any], *, timeout: float = 180) -> None:
        """Wait for something, and start another operator each time one is killed meanwhile."""

        def reached() -> bool:
            self.revive()
            return bool(done())

        eventually(reached, timeout=timeout, interval=0.1)

    def arm(self, kind: str, what: str, when: When, *, skip: int = 0) -> str:
        """Let the operator be killed right before or after a side effect of a sort, some of which are spared first."""
        plural = PLURALS[kind]
        name = f"{kind}: {when} a {what}"
        if what == "remote write":
            method, path = WRITES[kind]
            self.remotes[kind].rules.append(Rule(name, method, re.compile(path), when, act=self.kill, skip=skip))
        else:
            pattern = (STATUS if what == "status write" else FINALIZER).format(plural=plural)
            self.kube.rules.append(Rule(name, "PATCH", re.compile(pattern), when, act=self.kill, skip=skip))
        return name

    def fired(self) -> list[str]:
        """Return the names of the rules that struck, in order."""
        return [*self.kube.fired, *(name for proxy in set_of(self.remotes) for name in proxy.fired)]

    def disarm(self) -> None:
        """Forget all rules."""
        for proxy in (self.kube, *set_of(self.remotes)):
            proxy.rules.clear()

    def apply(self, kind: str, value: int, **spec: Any) -> None:
        """Create or change the resource of a kind, so that the remote is to have that value."""
        manifest: Object = {"apiVersion": API, "kind": KINDS[kind], "spec": {**spec_of(kind, value), **spec}}
        self.plane.apply({**manifest, "metadata": {"name": NAME, "namespace": self.namespace}})

    def apply_all(self, value: int) -> None:
        """Create or change the resource of each kind."""
        for kind in PLURALS:
            self.apply(kind, value)

    def settled(self, value: int) -> None:
        """Wait until each kind has its value and says so."""
        self.wait(lambda: all(self.synced(kind, value) for kind in PLURALS))

    def held(self, fault: str, *, bound: int) -> None:
        """Hold what must hold after a fault, and note it."""
        assert self.lies == []
        for kind in PLURALS:
            assert self.writes(kind) <= bound
            table.held(fault, KINDS[kind], bound=bound)

    def remote(self, kind: str) -> float | None:
        """Return the value the remote has."""
        if kind == "das":
            settings = self.baseten.settings(model=MODEL, deployment="d-free")
            return settings["max_replica"] if settings else None
        if kind == "cas":
            settings = self.baseten.settings(chain="c-hello", environment="production", chainlet="RandInt")
            return settings["max_replica"] if settings else None
        rows = self.bifrost.find("gpt-4o", "openai")
        budgets = self.bifrost.state(rows[0]["id"]).budgets if rows else []
        return budgets[0].max_limit if budgets else None

    def synced(self, kind: str, value: int) -> bool:
        """Tell whether the newest generation is Ready and the remote has the value."""
        return self.condition(kind, NAME).get("status") == "True" and self.remote(kind) == value

    def writes(self, kind: str) -> int:
        """Return how many writes for a kind took effect or were refused at its remote."""
        method, path = WRITES[kind]
        journal = (self.bifrost if kind == "mcg" else self.baseten).journal(method=method)
        return sum(bool(re.search(path, entry.path)) for entry in journal)

    def watch_for_lies(self, seen: Seen) -> None:
        """Hold a status on its way against what the remote has right now."""
        found = re.search(r"/(\w+)/([^/]+)/status", seen.path)
        if seen.method != "PATCH" or found is None or found[1] not in PLURALS.values() or found[2] != NAME:
            return
        for operation in json.loads(seen.body):
            value = operation.get("value")
            listed = value if operation["path"] == "/status/conditions" else []
            if operation["path"] == "/status":
                listed = value.get("conditions", [])
            for one in listed:
                if one["type"] == "Ready" and one["status"] == "True":
                    self._hold(found[1], one["observedGeneration"])

    def _hold(self, plural: str, generation: int) -> None:
        kind = next(short for short, name in PLURALS.items() if name == plural)
        body = self.plane.get(kind, NAME, self.namespace)
        if body is None or body["metadata"]["generation"] != generation:
            return
        wanted = value_of(kind, body["spec"])
        there = self.remote(kind)
        if wanted != there:
            self.lies.append(f"{kind} generation {generation} was Ready with {there} instead of {wanted}")


def set_of(remotes: Mapping[str, HttpProxy]) -> list[HttpProxy]:
    """Return each proxy once."""
    return list({id(proxy): proxy for proxy in remotes.values()}.values())


def spec_of(kind: str, value: int) -> Object:
    """Return the spec that wants a value."""
    if kind == "das":
        return {"target": {"modelId": MODEL, "deployment": "d-free"}, "autoscaling": {"maxReplica": value}}
    if kind == "cas":
        chainlets = [{"name": "RandInt", "autoscaling": {"maxReplica": value}}]
        return {"target": {"chainId": "c-hello", "environment": "production"}, "chainlets": chainlets}
    budget = {"maxLimit": value, "resetDuration": "1M"}
    return {"modelName": "gpt-4o", "provider": "openai", "budget": budget}


def value_of(kind: str, spec: Object) -> int:
    """Return the value a spec wants."""
    if kind == "das":
        value: int = spec["autoscaling"]["maxReplica"]
    elif kind == "cas":
        value = spec["chainlets"][0]["autoscaling"]["maxReplica"]
    else:
        value = spec["budget"]["maxLimit"]
    return value


@contextmanager
def ground(
    plane: ControlPlane, namespace: str, baseten: BasetenSimulator, bifrost: BifrostSimulator
) -> Iterator[Ground]:
    """Open a ground without an operator yet; what is left in it goes at the end."""
    ca = str(plane.ca_file) if plane.ca_file is not None else None
    with (
        HttpProxy(plane.server, ca) as kube,
        HttpProxy(baseten.url) as models,
        HttpProxy(bifrost.gateway_url) as gateway,
    ):
        remotes = {"das": models, "cas": models, "mcg": gateway}
        here = Ground(plane, namespace, baseten=baseten, bifrost=bifrost, kube=kube, remotes=remotes)
        kube.inspect = here.watch_for_lies
        try:
            here.open()
            yield here
            here.stop()
            assert here.leaks == []
        finally:
            here.stop()
            for kind in PLURALS:
                if plane.get(kind, NAME, namespace) is not None:
                    none = '{"metadata":{"finalizers":null}}'
                    plane.kubectl("patch", kind, NAME, "-n", namespace, "--type=merge", "-p", none)
                    plane.kubectl("delete", kind, NAME, "-n", namespace, "--ignore-not-found")
