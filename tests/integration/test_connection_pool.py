"""How long connections are kept open, with Secrets from a real API server and a simulated remote."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from setpoint.cluster import api
from setpoint.cluster.connections import AFTERLIFE, IDLE, RETIRED_OF_ONE, RETIREMENT, ConnectionPool
from setpoint.cluster.secrets import Secrets
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import ConnectionNotAllowed, ConnectionNotFound, Key, LoopClock
from setpoint.remotes.errors import AuthenticationFailed, HostNotAllowed, RemoteUnreachable
from setpoint.remotes.hosts import AllowedHosts, place
from setpoint.remotes.limits import Limits
from setpoint.resources import DeploymentAutoscaling
from setpoint.resources.common import Origin
from tests.controlplane.plane import ControlPlane
from tests.e2e.stage import KEY, connection, secret
from tests.integration.test_pinned_addresses import addresses_of
from tests.simulators.faults import Delay
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually_async

pytestmark = pytest.mark.cluster

MOST = 3
"""Connections that a namespace may have."""


@pytest.fixture
async def kube(controlplane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[api.KubeApi]:
    """The operator's requests to the API server."""
    monkeypatch.setenv("KUBECONFIG", str(controlplane.kubeconfig))
    kube = await api.connect()
    yield kube
    await kube.aclose()


class Later(LoopClock):
    """A clock that can be put forward."""

    passed = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.passed


def resource_of(namespace: str, connection: str = "baseten") -> DeploymentAutoscaling:
    """Return a resource that uses a connection."""
    target = {"modelId": "m-greeter", "deployment": "d-free"}
    spec = {"connectionRef": {"name": connection}, "target": target, "autoscaling": {"maxReplica": 3}}
    return DeploymentAutoscaling.from_body({"metadata": {"name": "a", "namespace": namespace}, "spec": spec})


def deleted(resource: DeploymentAutoscaling, url: str) -> DeploymentAutoscaling:
    """Return the resource as it is while it is deleted, having been managed at a URL."""
    metadata = resource.metadata.model_copy(update={"deletion_timestamp": datetime.now(UTC)})
    status = resource.status.model_copy(update={"origin": Origin(endpoint=place(url), id="m-greeter/d-free")})
    return resource.model_copy(update={"metadata": metadata, "status": status})


def pool_of(kube: api.KubeApi, store: Store, clock: LoopClock, hosts: str = "http://127.0.0.1") -> ConnectionPool:
    """Return a pool that may reach the simulators."""
    return ConnectionPool(
        kube=kube,
        store=store,
        secrets=Secrets(kube, clock),
        limits=Limits(),
        hosts=AllowedHosts.parse(hosts),
        clock=clock,
        cluster_wide=True,
        connections_per_namespace=MOST,
    )


def opened_by_key(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, url: str
) -> tuple[Later, Store, ConnectionPool]:
    """Return a pool with its clock and store, and the connection baseten in it, whose Secret is there."""
    controlplane.apply(secret("baseten", namespace, KEY))
    clock = Later()
    store = Store(kube, clock)
    store.put_connection(connection("baseten", namespace, url))
    return clock, store, pool_of(kube, store, clock)


async def test_a_connection_that_is_gone_serves_what_goes_with_it_and_is_closed_then(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    clock, store, pool = opened_by_key(kube, controlplane, namespace, baseten.url)
    resource = resource_of(namespace)
    handle = await pool.baseten(resource)
    await pool.keep(store.connections().keys())
    assert (await pool.baseten(resource)).client is handle.client

    store.drop_connection("Connection", namespace, "baseten")
    await pool.keep(())
    with pytest.raises(ConnectionNotFound):
        await pool.baseten(resource)
    going = deleted(resource, baseten.url)
    assert (await pool.baseten(going)).client is handle.client
    assert pool.place(going) == place(baseten.url)
    with pytest.raises(ConnectionNotFound):
        await pool.baseten(deleted(resource, "http://127.0.0.1:1"))

    clock.passed = AFTERLIFE - 5
    assert (await pool.baseten(going)).client is handle.client
    clock.passed = AFTERLIFE + 2
    await pool.keep(())
    with pytest.raises(ConnectionNotFound):
        await pool.baseten(going)
    await handle.client.probe()
    clock.passed += RETIREMENT + 1
    await pool.keep(())
    with pytest.raises(RemoteUnreachable):
        await handle.client.environment("m-greeter", "production")
    await pool.aclose()


async def test_a_secret_that_is_gone_does_not_keep_what_goes_from_being_restored(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    clock, store, pool = opened_by_key(kube, controlplane, namespace, baseten.url)
    resource = resource_of(namespace)
    handle = await pool.baseten(resource)
    await asyncio.to_thread(controlplane.kubectl, "delete", "secret", "baseten", "-n", namespace)
    clock.passed = 61.0
    with pytest.raises(ConnectionNotFound):
        await pool.baseten(resource)
    assert (await pool.baseten(deleted(resource, baseten.url))).client is handle.client

    # A process that has just started has nothing open.
    fresh = pool_of(kube, store, clock)
    with pytest.raises(ConnectionNotFound):
        await fresh.baseten(deleted(resource, baseten.url))
    await pool.aclose()
    await fresh.aclose()


def opened(pool: ConnectionPool, namespace: str, name: str = "baseten") -> bool:
    """Tell whether the client of a connection is open."""
    return pool._baseten[Key("Connection", namespace, name)].client is not None


async def test_a_client_that_nobody_uses_is_closed_and_opened_again_when_it_is_wanted(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    clock, store, pool = opened_by_key(kube, controlplane, namespace, baseten.url)
    there = store.connections().keys()
    resource = resource_of(namespace)
    first = await pool.baseten(resource)
    first.gate.close(Key("DeploymentAutoscaling", namespace, "a"), AuthenticationFailed("refused"), clock.monotonic())
    clock.passed += IDLE - 5
    await pool.keep(there)
    assert opened(pool, namespace)

    baseten.inject(Delay(seconds=None), count=1)
    hung = asyncio.create_task(first.client.probe())
    await eventually_async(lambda: asyncio.to_thread(lambda: len(baseten.journal()) > 0))
    clock.passed += IDLE + 5
    await pool.keep(there)
    assert opened(pool, namespace), "a request is under way"
    hung.cancel()
    await asyncio.wait({hung})
    await pool.keep(there)
    assert opened(pool, namespace), "it was used a moment ago"
    clock.passed += IDLE + 5
    await pool.keep(there)
    assert not opened(pool, namespace)
    with pytest.raises(RemoteUnreachable):
        await first.client.probe()

    second = await pool.baseten(resource)
    await second.client.probe()
    assert second.gate is first.gate, "what is known of the credential stays"
    with pytest.raises(AuthenticationFailed):
        second.gate.enter(Key("DeploymentAutoscaling", namespace, "b"), first.gate._probe_due - 1)
    await pool.aclose()


async def test_a_probe_leaves_no_client_open_that_no_resource_uses(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    _, store, pool = opened_by_key(kube, controlplane, namespace, baseten.url)
    key, made = next(iter(store.connections().items()))
    for _ in range(2):
        await pool.probe(key, made, fresh=False)
        assert not opened(pool, namespace)

    # Others may be there while it is tried.
    baseten.inject(Delay(seconds=None), count=1)
    known = len(baseten.journal())
    trying = asyncio.create_task(pool.probe(key, made, fresh=False))
    await eventually_async(lambda: asyncio.to_thread(lambda: len(baseten.journal()) > known))
    await pool.keep(store.connections().keys())
    assert opened(pool, namespace)
    handle = await pool.baseten(resource_of(namespace))
    trying.cancel()
    await asyncio.wait({trying})
    assert opened(pool, namespace)
    await handle.client.environment("m-greeter", "production")
    await pool.probe(key, made, fresh=False)
    assert opened(pool, namespace)
    await pool.aclose()


async def test_what_goes_together_with_its_connection_and_secret_is_restored_by_a_client_that_is_opened_again(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    clock, store, pool = opened_by_key(kube, controlplane, namespace, baseten.url)
    resource = resource_of(namespace)
    await pool.baseten(resource)
    clock.passed += IDLE + 5
    await pool.keep(store.connections().keys())
    assert not opened(pool, namespace)
    await asyncio.to_thread(controlplane.kubectl, "delete", "secret", "baseten", "-n", namespace)
    store.drop_connection("Connection", namespace, "baseten")
    await pool.keep(())
    handle = await pool.baseten(deleted(resource, baseten.url))
    await handle.client.environment("m-greeter", "production")
    await pool.aclose()


async def test_a_connection_beyond_the_bound_takes_nothing_and_its_resources_are_told(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    controlplane.apply(secret("s", namespace, KEY))
    clock = Later()
    store = Store(kube, clock)
    pool = pool_of(kube, store, clock)
    ref = {"apiKeySecretRef": {"name": "s", "key": "api-key"}}
    for number in range(MOST + 1):
        body = connection(f"c{number}", namespace, baseten.url, baseten=ref)
        created = {"uid": f"u{number}", "creationTimestamp": f"2026-01-01T00:00:0{number}Z"}
        store.put_connection({**body, "metadata": {**body["metadata"], **created}})
    for number in range(MOST):
        await pool.baseten(resource_of(namespace, f"c{number}"))
    before = controlplane.request_count(resource="secrets", verbs=("get",), group="")
    last = resource_of(namespace, f"c{MOST}")
    with pytest.raises(
        ConnectionNotAllowed,
        match=rf"Connection c{MOST} is not used: namespace {namespace} has {MOST} older Connections, which are all that one "
        r"namespace may have \(the operator's SETPOINT_CONNECTIONS_PER_NAMESPACE\)",
    ):
        await pool.baseten(last)
    assert Key("Connection", namespace, f"c{MOST}") not in pool._baseten
    assert controlplane.request_count(resource="secrets", verbs=("get",), group="") == before
    store.drop_connection("Connection", namespace, "c0")
    await pool.baseten(last)
    await pool.aclose()


async def test_connections_that_change_or_go_all_the_time_keep_few_clients(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    controlplane.apply(secret("s", namespace, KEY))
    clock = Later()
    store = Store(kube, clock)
    pool = pool_of(kube, store, clock)
    ref = {"apiKeySecretRef": {"name": "s", "key": "api-key"}}
    for number in range(20):
        store.put_connection(connection("baseten", namespace, baseten.url, baseten=ref, timeout=f"{number + 1}s"))
        newest = await pool.baseten(resource_of(namespace))
    await pool.keep(store.connections().keys())
    assert len(pool._retired) <= RETIRED_OF_ONE
    await newest.client.probe()

    for number in range(20):
        store.put_connection(connection(f"c{number}", namespace, baseten.url, baseten=ref))
        newest = await pool.baseten(resource_of(namespace, f"c{number}"))
        store.drop_connection("Connection", namespace, f"c{number}")
        clock.passed += 1
        await pool.keep(store.connections().keys())
    assert len(pool._baseten) <= MOST + 1
    assert len(pool._retired) <= RETIRED_OF_ONE
    going = deleted(resource_of(namespace, "c19"), baseten.url)
    assert (await pool.baseten(going)).client is newest.client
    await pool.aclose()


async def test_an_open_gateway_is_another_account_for_each_namespace(kube: api.KubeApi) -> None:
    clock = Later()
    store = Store(kube, clock)
    pool = pool_of(kube, store, clock)
    for namespace, name in (("one", "a"), ("one", "b"), ("two", "a")):
        spec = {"bifrost": {"url": "http://127.0.0.1:1"}}
        store.put_connection({"kind": "Connection", "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    accounts = [
        (await pool._open_bifrost(made, made.spec.bifrost, fresh=False)).client._http._allowance._account
        for made in store.connections().values()
        if made.spec.bifrost is not None
    ]
    assert accounts[0] is accounts[1], "a namespace is one caller"
    assert accounts[0] is not accounts[2]
    await pool.aclose()


def cluster_connection(url: str, secret_namespace: str, served: str) -> dict[str, Any]:
    """Return an administrator's connection of the same name to the same place."""
    reference = {"name": "baseten", "key": "api-key", "namespace": secret_namespace}
    return {
        "kind": "ClusterConnection",
        "metadata": {"name": "baseten", "uid": "cluster"},
        "spec": {"baseten": {"url": url, "apiKeySecretRef": reference}, "namespaces": {"names": [served]}},
    }


async def test_what_goes_keeps_to_the_connection_that_found_it(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    """Otherwise what a connection of one's own found would be put back with the administrators' key."""
    controlplane.apply(secret("baseten", namespace, KEY))
    clock = Later()
    store = Store(kube, clock)
    store.put_connection(connection("baseten", namespace, baseten.url))
    store.put_connection(cluster_connection(baseten.url, namespace, namespace))
    pool = pool_of(kube, store, clock)
    resource = resource_of(namespace)
    own = (await pool.baseten(resource)).origin
    status = resource.status.model_copy(update={"origin": own.model_copy(update={"id": "m-greeter/d-free"})})
    going = deleted(resource, baseten.url).model_copy(update={"status": status})

    store.drop_connection("Connection", namespace, "baseten")
    await pool.keep(())
    assert (await pool.baseten(going)).origin == own, "it is still open"
    clock.passed = AFTERLIFE + 2
    await pool.keep(())
    fallback = (await pool.baseten(going)).origin
    assert fallback.endpoint == own.endpoint
    assert fallback.connection is not None
    assert fallback.connection.kind == "ClusterConnection"
    assert not own.leads_to(fallback)
    await pool.aclose()


async def test_a_rotated_key_is_the_same_credential_and_another_key_of_the_secret_is_not(
    kube: api.KubeApi, controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator
) -> None:
    controlplane.apply(secret("baseten", namespace, KEY))
    clock = Later()
    store = Store(kube, clock)
    body = connection("baseten", namespace, baseten.url)
    store.put_connection(body)
    pool = pool_of(kube, store, clock)
    resource = resource_of(namespace)
    before = await pool.baseten(resource)
    controlplane.apply(secret("baseten", namespace, "rotated"))
    after = await pool.baseten(resource, fresh=True)
    assert after.client is not before.client
    assert after.origin == before.origin

    spec = {**body["spec"], "baseten": {**body["spec"]["baseten"], "apiKeySecretRef": {"name": "other", "key": "k"}}}
    store.put_connection({**body, "spec": spec})
    there = pool.origin(resource)
    assert there is not None
    assert there.endpoint == before.origin.endpoint
    assert not before.origin.leads_to(there)
    await pool.aclose()


@pytest.mark.parametrize("kind", ["Connection", "ClusterConnection"])
async def test_no_connection_leads_to_this_machine_unless_it_is_listed(
    kube: api.KubeApi,
    controlplane: ControlPlane,
    namespace: str,
    baseten: BasetenSimulator,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controlplane.apply(secret("baseten", namespace, KEY))
    addresses_of(monkeypatch, "gateway.example", "127.0.0.1")
    port = baseten.url.rpartition(":")[2]
    # A list has the name for plain http, by a wildcard, so that only what it leads to is left to be judged.
    body = connection("baseten", namespace, f"http://gateway.example:{port}")
    if kind == "ClusterConnection":
        body["kind"] = kind
        body["spec"]["baseten"]["apiKeySecretRef"]["namespace"] = namespace
        body["spec"]["namespaces"] = {"names": [namespace]}
        del body["metadata"]["namespace"]
    clock = LoopClock()
    store = Store(kube, clock)
    store.put_connection(body)
    (key,) = store.connections()
    told = {}
    for listed in (f"http://*.example:{port}", f"http://*.example:{port},127.0.0.1"):
        pool = pool_of(kube, store, clock, listed)
        try:
            await pool.probe(key, store.connections()[key], fresh=False)
            told[listed] = "connected"
        except HostNotAllowed as error:
            told[listed] = str(error)
            assert baseten.journal() == []
        await pool.aclose()
    refused, allowed = told.values()
    assert "host gateway.example leads to" in refused
    assert "an address of this machine or its link" in refused
    assert f"adds gateway.example:{port} itself" in refused
    assert allowed == "connected"
