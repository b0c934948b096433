"""One namespace with a connection to a simulator, and short words for what tests do in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.controlplane.plane import ControlPlane
from tests.e2e import transcripts
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.journal import JournalEntry
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

API = "setpoint.dev/v1alpha1"
REQUESTED_AT = "reconcile.setpoint.dev/requestedAt"
KEY = "test-key"

Object = dict[str, Any]


def connection(name: str, namespace: str, url: str, **spec: Any) -> Object:
    """Return a Connection whose Secret has the same name."""
    ref = {"name": name, "key": "api-key"}
    return {
        "apiVersion": API,
        "kind": "Connection",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"baseten": {"url": url, "apiKeySecretRef": ref, **spec.pop("baseten", {})}, **spec},
    }


def secret(name: str, namespace: str, key: str) -> Object:
    """Return a Secret with an API key."""
    transcripts.hide(key)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {"api-key": key},
    }


@dataclass(frozen=True)
class Place:
    """A namespace of a cluster."""

    plane: ControlPlane
    namespace: str

    def get(self, kind: str, name: str) -> Object:
        """Return an object that is there."""
        found = self.plane.get(kind, name, self.namespace)
        assert found is not None, f"{kind} {name} is not there"
        return found

    def condition(self, kind: str, name: str, type_: str = "Ready") -> Object:
        """Return a condition of the newest generation, or an empty object."""
        found = self.get(kind, name)
        status = found.get("status", {})
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return {}
        return next((entry for entry in status.get("conditions", []) if entry["type"] == type_), {})

    def until(self, kind: str, name: str, reason: str, *, timeout: float = 60) -> Object:
        """Wait until Ready of the newest generation has this reason, and return the object."""

        def reached() -> Object | None:
            condition = self.condition(kind, name)
            seen.append(f"{condition.get('reason')}: {condition.get('message')}")
            return self.get(kind, name) if condition.get("reason") == reason else None

        seen: list[str] = []
        try:
            return eventually(reached, timeout=timeout, interval=0.1)
        except AssertionError:
            raise AssertionError(f"{kind} {name} never became {reason}; it was {dict.fromkeys(seen)}") from None

    def patch(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Change the spec of a resource."""
        self.plane.kubectl("patch", kind, name, "-n", self.namespace, "--type=merge", "-p", json.dumps({"spec": spec}))

    def request(self, kind: str, name: str, value: str) -> None:
        """Ask for a reconcile now."""
        self.plane.kubectl("annotate", kind, name, "-n", self.namespace, "--overwrite", f"{REQUESTED_AT}={value}")

    def handled(self, kind: str, name: str, value: str, *, timeout: float = 60) -> Object:
        """Wait until a request was handled, and return the object."""

        def done() -> Object | None:
            found = self.get(kind, name)
            return found if found.get("status", {}).get("lastHandledReconcileAt") == value else None

        return eventually(done, timeout=timeout, interval=0.1)

    def events(self, name: str) -> list[tuple[str, str, str]]:
        """Return type, reason and message of every Event about a resource."""
        return [
            (item["type"], item["reason"], item["message"])
            for item in self.plane.items("events", self.namespace)
            if item["involvedObject"]["name"] == name
        ]

    def _apply(self, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        metadata = {"name": name, "namespace": self.namespace}
        self.plane.apply({"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec})


@dataclass(frozen=True)
class Stage(Place):
    """A namespace and a simulated Baseten."""

    baseten: BasetenSimulator

    def open(self, key: str = KEY, **spec: Any) -> None:
        """Create the default connection and its Secret."""
        self.plane.apply(
            secret("baseten", self.namespace, key), connection("baseten", self.namespace, self.baseten.url, **spec)
        )

    def das(self, name: str, target: Mapping[str, str], autoscaling: Mapping[str, Any], **spec: Any) -> None:
        """Apply a DeploymentAutoscaling."""
        self._apply("DeploymentAutoscaling", name, {"target": target, "autoscaling": autoscaling, **spec})

    def cas(
        self, name: str, target: Mapping[str, str], chainlets: Mapping[str, Mapping[str, Any]], **spec: Any
    ) -> None:
        """Apply a ChainAutoscaling."""
        named = [{"name": chainlet, "autoscaling": values} for chainlet, values in chainlets.items()]
        self._apply("ChainAutoscaling", name, {"target": target, "chainlets": named, **spec})

    def writes(self) -> list[JournalEntry]:
        """Return all writes that arrived at the remote API."""
        return self.baseten.journal(method="PATCH")


@dataclass(frozen=True)
class GatewayStage(Place):
    """A namespace and a simulated Bifrost gateway."""

    bifrost: BifrostSimulator

    def open(self, name: str = "bifrost", auth: Mapping[str, Any] | None = None, **spec: Any) -> None:
        """Create a connection to the gateway, without a Secret."""
        remote = {"url": self.bifrost.gateway_url, **({"auth": auth} if auth else {})}
        metadata = {"name": name, "namespace": self.namespace}
        self.plane.apply(
            {"apiVersion": API, "kind": "Connection", "metadata": metadata, "spec": {"bifrost": remote, **spec}}
        )

    def mcg(self, name: str, model: str, provider: str | None = "openai", **spec: Any) -> None:
        """Apply a ModelConfigGovernance."""
        identity = {"modelName": model, **({"provider": provider} if provider is not None else {})}
        self._apply("ModelConfigGovernance", name, {**identity, **spec})

    def writes(self) -> list[JournalEntry]:
        """Return all writes that arrived at the gateway."""
        return [entry for entry in self.bifrost.journal() if entry.method in {"POST", "PUT", "DELETE"}]

    def lists(self) -> int:
        """Return how often all rows were read."""
        return self.bifrost.count(method="GET", template_contains="model-configs")
