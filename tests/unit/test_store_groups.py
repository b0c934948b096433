"""What the store tells of resources and their connections, without an API server."""

from typing import Any, cast

import pytest

from setpoint.cluster.api import KubeApi
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import Key, LoopClock
from setpoint.reconcile.turns import Lane
from tests.virtual_time import run


def made() -> Store:
    """Return an empty store that asks nobody."""
    return Store(cast("KubeApi", None), LoopClock())


def put_connection(store: Store, namespace: str, name: str, *, second: int = 0, uid: str = "") -> None:
    """Show a Connection of a namespace, or a ClusterConnection of none."""
    kind = "Connection" if namespace else "ClusterConnection"
    created = f"2026-01-01T00:00:{second:02}Z"
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"u-{name}", "creationTimestamp": created}
    remote = {"url": "https://example.com", "apiKeySecretRef": {"name": "s", "key": "k", "namespace": "x"}}
    store.put_connection({"kind": kind, "metadata": metadata, "spec": {"baseten": remote}})


def put(store: Store, namespace: str, connection: str) -> Key:
    """Show a resource that refers to a connection."""
    metadata: dict[str, Any] = {"name": connection, "namespace": namespace, "uid": f"{namespace}-{connection}"}
    spec = {
        "connectionRef": {"name": connection},
        "target": {"modelId": "m", "deployment": "d"},
        "autoscaling": {"maxReplica": 3},
    }
    key, _ = store.put("DeploymentAutoscaling", {"metadata": {**metadata, "resourceVersion": "1"}, "spec": spec})
    return key


def test_connections_of_a_namespace_are_one_group_and_each_cluster_connection_is_another() -> None:
    async def scene() -> None:
        store = made()
        for namespace, name in (("a", "one"), ("a", "two"), ("b", "one"), ("", "shared"), ("", "other")):
            put_connection(store, namespace, name)
        lanes = {
            (namespace, name): store.lane(put(store, namespace, name))
            for namespace in ("a", "b")
            for name in ("one", "shared", "other", "missing")
        }
        lanes["a", "two"] = store.lane(put(store, "a", "two"))
        assert lanes["a", "one"].group == lanes["a", "two"].group == lanes["a", "missing"].group == "a"
        assert lanes["b", "one"].group == lanes["b", "missing"].group == "b"
        assert lanes["a", "one"] != lanes["a", "two"]
        assert lanes["a", "shared"] == lanes["b", "shared"]
        assert len({lanes["a", "shared"].group, lanes["a", "other"].group, "a", "b"}) == 4
        assert lanes["a", "missing"] == Lane("a", None)

    run(scene())


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_the_age_of_connections_does_not_depend_on_the_order_in_which_they_are_shown(order: tuple[int, ...]) -> None:
    store = made()
    ages = [("a", 1, "z"), ("b", 2, "m"), ("c", 2, "n"), ("d", 3, "a")]
    for number in order:
        name, second, uid = ages[number]
        put_connection(store, "ns", name, second=second, uid=uid)
    put_connection(store, "other", "x", second=0)

    def older() -> dict[str, int]:
        return {key.name: store.older(one) for key, one in store.connections().items() if key.namespace == "ns"}

    assert older() == {"a": 0, "b": 1, "c": 2, "d": 3}
    put_connection(store, "ns", "b", second=2, uid="m")
    assert older() == {"a": 0, "b": 1, "c": 2, "d": 3}, "a change of the spec makes it no younger"
    put_connection(store, "ns", "a", second=9, uid="new")
    assert older() == {"b": 0, "c": 1, "d": 2, "a": 3}, "another one of the same name does"
    store.drop_connection("Connection", "ns", "b")
    store.drop_connection("Connection", "ns", "b")
    assert older() == {"c": 0, "d": 1, "a": 2}
