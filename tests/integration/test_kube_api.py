"""How the operator and the plugin reach the API server."""

from collections.abc import AsyncIterator

import pytest

from setpoint.cluster import api
from setpoint.reconcile.ports import ClusterUnavailable
from tests.controlplane.plane import ControlPlane

pytestmark = pytest.mark.cluster

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(params=[False, True], ids=["operator", "plugin"])
async def kube(
    request: pytest.FixtureRequest, controlplane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[api.KubeApi, bool]]:
    """A client in an environment with a proxy that is not there."""
    monkeypatch.setenv("KUBECONFIG", str(controlplane.kubeconfig))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, NOBODY)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    connected = await api.connect(as_kubectl=request.param)
    yield connected, request.param
    await connected.aclose()


async def test_a_proxy_of_the_environment_counts_for_the_plugin_only(kube: tuple[api.KubeApi, bool]) -> None:
    connected, as_kubectl = kube
    if not as_kubectl:
        assert "gitVersion" in await connected.get("/version")
        return
    with pytest.raises(ClusterUnavailable, match="could not be reached"):
        await connected.get("/version")
