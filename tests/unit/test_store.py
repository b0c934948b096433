"""What is kept in memory of an object, however large its users make it."""

import hashlib
import json
from typing import Any, cast

import pytest

from setpoint.cluster.api import KubeApi
from setpoint.cluster.events import EventPoster
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import Key, LoopClock, ResourceGone
from setpoint.resources import Connection, DeploymentAutoscaling
from setpoint.resources.common import FINALIZER, REQUESTED_AT

KEY = Key(DeploymentAutoscaling.kind(), "ml", "a")
SPEC = {"target": {"modelId": "m", "deployment": "development"}, "autoscaling": {"maxReplica": 3}}
LONG = "x" * (255 * 1024)
OTHERS = [f"team-{number}.example.com/{'x' * 60}" for number in range(1000)]


class OneObject:
    """An API server that has one object, and knows the patches of finalizers."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body

    async def get(self, path: str) -> dict[str, Any]:
        del path
        return self.body

    async def json_patch(self, path: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        del path
        uid, version, change = changes
        metadata = self.body["metadata"]
        assert (uid["value"], version["value"]) == (metadata["uid"], metadata["resourceVersion"])
        assert (change["op"], change["path"]) == ("add", "/metadata/finalizers")
        newer = {"finalizers": change["value"], "resourceVersion": str(int(metadata["resourceVersion"]) + 1)}
        self.body = {**self.body, "metadata": {**metadata, **newer}}
        return self.body


def body_of(version: int = 1, **metadata: Any) -> dict[str, Any]:
    names = {"name": "a", "namespace": "ml", "uid": "u", "generation": 1, "resourceVersion": str(version)}
    return {"kind": KEY.kind, "metadata": {**names, **metadata}, "spec": SPEC, "status": {}}


def store_of(*bodies: dict[str, Any]) -> tuple[Store, OneObject]:
    kube = OneObject(bodies[-1])
    store = Store(cast("KubeApi", kube), LoopClock())
    for body in bodies:
        store.put(KEY.kind, body)
    return store, kube


def requested(value: str, version: int = 1) -> dict[str, Any]:
    return body_of(version, annotations={REQUESTED_AT: value, "example.com/other": LONG})


@pytest.mark.parametrize("length", [1, 128])
async def test_a_request_of_usual_length_is_known_by_its_words(length: int) -> None:
    store, _ = store_of(requested("é" * length))
    resource = store.get(KEY)
    assert resource is not None
    assert resource.requested_at == "é" * length


async def test_of_a_long_request_the_digest_is_kept() -> None:
    store, _ = store_of(requested(LONG))
    resource = store.get(KEY)
    assert resource is not None
    assert resource.requested_at == f"sha256:{hashlib.sha256(LONG.encode()).hexdigest()}"
    assert DeploymentAutoscaling.from_body(requested(LONG)).requested_at == resource.requested_at
    assert len(json.dumps(store.body(KEY))) < 1024
    assert store.put(KEY.kind, requested(LONG, 2)) == (KEY, False)
    assert store.put(KEY.kind, requested(f"{LONG}y", 3)) == (KEY, True), "another value asks for another look"


async def test_nothing_else_is_kept_that_users_may_make_large() -> None:
    large: dict[str, Any] = {
        "labels": {"a": LONG},
        "annotations": {"a": LONG},
        "managedFields": [{"fieldsV1": {"f:a": {LONG: {}}}}],
    }
    store, _ = store_of(body_of(**large, finalizers=[*OTHERS, FINALIZER]))
    assert len(json.dumps(store.body(KEY))) < 1024
    connection = {"baseten": {"apiKeySecretRef": {"name": "s", "key": "k"}}}
    metadata = {"name": "c", "namespace": "ml", "uid": "u", "resourceVersion": "1", "finalizers": OTHERS, **large}
    store.put_connection({"kind": Connection.kind(), "metadata": metadata, "spec": connection})
    [kept] = store.connections().values()
    assert len(kept.model_dump_json()) < 2048


@pytest.mark.parametrize("others", [OTHERS[:2], OTHERS])
async def test_the_finalizers_of_others_stay_however_many_there_are(others: list[str]) -> None:
    store, kube = store_of(body_of(finalizers=others))
    writer = StatusWriter(cast("KubeApi", kube), store, EventPoster(cast("KubeApi", kube), LoopClock()))
    resource = store.get(KEY)
    assert resource is not None
    await writer.hold(resource)
    assert kube.body["metadata"]["finalizers"] == [*others, FINALIZER]
    held = store.get(KEY)
    assert held is not None
    assert FINALIZER in held.metadata.finalizers
    await writer.hold(held)
    await writer.release(held)
    assert kube.body["metadata"]["finalizers"] == others


async def test_a_successor_of_the_same_name_keeps_its_finalizers() -> None:
    store, kube = store_of(body_of(finalizers=OTHERS))
    writer = StatusWriter(cast("KubeApi", kube), store, EventPoster(cast("KubeApi", kube), LoopClock()))
    resource = store.get(KEY)
    assert resource is not None
    kube.body = body_of(7, uid="another", finalizers=OTHERS)
    with pytest.raises(ResourceGone):
        await writer.hold(resource)
    assert kube.body["metadata"]["finalizers"] == OTHERS
