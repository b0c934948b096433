"""Somebody in another namespace who has done nothing: changes a spec again and again, and counts the seconds."""

import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from tests.e2e.stage import API, KEY, Object, connection, secret
from tests.security.kube import Kube
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.journal import JournalEntry
from tests.simulators.process import BasetenSimulator

PAUSE = 0.2
"""Seconds between a change that has arrived and the next one."""
LOOK = 0.02
VALUES = range(2, 9)
DEPLOYMENT = {"modelId": "m-greeter", "deployment": "d-free"}
NAME = "steady"


class Neighbour(ABC):
    """One resource at a healthy remote; changes come from a thread of their own."""

    KIND: str

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self.namespace = namespace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._change, daemon=True)
        self._failed: BaseException | None = None
        self._since: float | None = None
        self.seconds: list[float] = []
        """How long each change took from its acknowledgement to the remote."""

    @abstractmethod
    def manifests(self) -> list[Object]:
        """Return the resource and all it needs."""

    @abstractmethod
    def spec(self, value: int) -> dict[str, Any]:
        """Return what asks for a value."""

    @abstractmethod
    def last(self) -> int:
        """Return the number of the remote's latest request."""

    @abstractmethod
    def arrived(self, since: int) -> list[JournalEntry]:
        """Return the writes of this resource after that number."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._failed is not None and error is None:
            raise self._failed

    def stop(self) -> float:
        """Change nothing any more; return for how many seconds the last change has been on its way then."""
        self._over.set()
        self._thread.join()
        waited = self.waiting
        self._since = None
        return waited

    @property
    def waiting(self) -> float:
        """For how many seconds the last change has been on its way; 0 where there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _change(self) -> None:
        try:
            number = 0
            while not self._over.is_set():
                number += 1
                self._change_to(VALUES[number % len(VALUES)])
                self._over.wait(PAUSE)
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            self._failed = error

    def _change_to(self, value: int) -> None:
        before = self.last()
        acknowledged = self._kube.patch(self.KIND, self.namespace, NAME, {"spec": self.spec(value)})
        self._since = acknowledged
        while not (found := self.arrived(before)):
            if self._over.wait(LOOK):
                return
        self._since = None
        self.seconds.append(max(found[0].monotonic - acknowledged, 0.0))


class BasetenNeighbour(Neighbour):
    """Has a deployment, and a key of its own for it."""

    KIND = "DeploymentAutoscaling"

    def __init__(self, kube: Kube, namespace: str, baseten: BasetenSimulator) -> None:
        super().__init__(kube, namespace)
        self._baseten = baseten

    def manifests(self) -> list[Object]:
        """Return Secret, Connection and resource."""
        metadata = {"name": NAME, "namespace": self.namespace}
        spec = {"target": DEPLOYMENT, "interval": "30s", **self.spec(1)}
        return [
            secret("baseten", self.namespace, KEY),
            connection("baseten", self.namespace, self._baseten.url),
            {"apiVersion": API, "kind": self.KIND, "metadata": metadata, "spec": spec},
        ]

    def spec(self, value: int) -> dict[str, Any]:
        """Return the replicas."""
        return {"autoscaling": {"maxReplica": value}}

    def last(self) -> int:
        """Return the number of the latest request."""
        return self._baseten.last()

    def arrived(self, since: int) -> list[JournalEntry]:
        """Return the writes of the deployment."""
        return self._baseten.journal(since=since, method="PATCH", path_contains=f"/{DEPLOYMENT['deployment']}/")


class GatewayNeighbour(Neighbour):
    """Has a row of a gateway that lets in everybody, so that others may reach it, too."""

    KIND = "ModelConfigGovernance"

    def __init__(self, kube: Kube, namespace: str, bifrost: BifrostSimulator) -> None:
        super().__init__(kube, namespace)
        self._bifrost = bifrost

    def manifests(self) -> list[Object]:
        """Return Connection and resource."""
        spec = {"modelName": "neighbour", "provider": "openai", "interval": "30s", **self.spec(1)}
        return [
            gateway("bifrost", self.namespace, self._bifrost.gateway_url),
            governance(NAME, self.namespace, spec),
        ]

    def spec(self, value: int) -> dict[str, Any]:
        """Return the budget."""
        return {"budget": {"maxLimit": value, "resetDuration": "1M"}}

    def last(self) -> int:
        """Return the number of the latest request."""
        return self._bifrost.last()

    def arrived(self, since: int) -> list[JournalEntry]:
        """Return the writes of the row."""
        return self._bifrost.journal(since=since, method="PUT", path_contains="model-configs")


def gateway(name: str, namespace: str, url: str, auth: dict[str, Any] | None = None, **spec: Any) -> Object:
    """Return a Connection to a gateway."""
    remote = {"url": url, **({"auth": auth} if auth else {})}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API, "kind": "Connection", "metadata": metadata, "spec": {"bifrost": remote, **spec}}


def governance(name: str, namespace: str, spec: dict[str, Any]) -> Object:
    """Return a ModelConfigGovernance."""
    return {
        "apiVersion": API,
        "kind": "ModelConfigGovernance",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def autoscaling(name: str, namespace: str, target: dict[str, str], connection: str = "baseten", **spec: Any) -> Object:
    """Return a DeploymentAutoscaling through a Connection."""
    return {
        "apiVersion": API,
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "connectionRef": {"name": connection},
            "target": target,
            "autoscaling": {"maxReplica": 3},
            **spec,
        },
    }
