"""How long connections are kept open, with Secrets from a real API server and a simulated remote."""

from collections.abc import AsyncIterator

import pytest

from setpoint.cluster import api
from setpoint.cluster.connections import RETIREMENT, ConnectionPool
from setpoint.cluster.secrets import Secrets
from setpoint.cluster.store import Store
from setpoint.reconcile.ports import LoopClock
from setpoint.remotes.errors import RemoteUnreachable
from setpoint.remotes.hosts import AllowedHosts
from setpoint.remotes.limits import Limits
from setpoint.resources import DeploymentAutoscaling
from tests.controlplane.plane import ControlPlane
from tests.e2e.stage import KEY, connection, secret
from tests.simulators.process import BasetenSimulator

pytestmark = pytest.mark.cluster


@pytest.fixture
async def kube(controlplane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[api.KubeApi]:
    """The operator's requests to the API server."""
    monkeypatch.setenv("KUBECONFIG", str(controlplane.kubeconfig))
    kube = await api.connect()
    yield kube
    await kube.aclose()


async def test_a_connection_that_is_gone_is_closed_when_its_last_requests_must_have_ended(
    kube: api.KubeApi,
    controlplane: ControlPlane,
    namespace: str,
    baseten: BasetenSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controlplane.apply(secret("baseten", namespace, KEY))
    clock, passed = LoopClock(), 0.0
    start = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: start + passed)
    store = Store(kube, clock)
    store.put_connection(connection("baseten", namespace, baseten.url))
    hosts = AllowedHosts.parse("127.0.0.1")
    pool = ConnectionPool(
        kube=kube,
        store=store,
        secrets=Secrets(kube, clock),
        limits=Limits(),
        hosts=hosts,
        clock=clock,
        cluster_wide=True,
    )
    target = {"modelId": "m-greeter", "deployment": "d-free"}
    resource = DeploymentAutoscaling.from_body(
        {
            "metadata": {"name": "a", "namespace": namespace},
            "spec": {"target": target, "autoscaling": {"maxReplica": 3}},
        }
    )
    handle = await pool.baseten(resource)
    await pool.keep(store.connections().keys())
    assert (await pool.baseten(resource)).client is handle.client

    await pool.keep(())
    await handle.client.probe()
    passed = RETIREMENT + 1
    await pool.keep(())
    with pytest.raises(RemoteUnreachable):
        await handle.client.environment("m-greeter", "production")
    await pool.aclose()
