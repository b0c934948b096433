"""Fixtures of the end-to-end tests: one operator for all of them, one namespace for each."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import install_chart
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import GatewayStage, Stage
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import Generation
from tests.simulators.process import BasetenSimulator

INSTALL = os.environ.get("E2E_INSTALL", "cluster-wide")
"""As what the operator of most tests is installed: cluster-wide, or namespaced (`make e2e`)."""

POOL = 64
"""Namespaces of one module, which an operator for named namespaces has to be told beforehand."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, for an operator of named namespaces, what needs all of them."""
    if INSTALL == "namespaced":
        out = [item for item in items if item.get_closest_marker("cluster_wide")]
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.fixture
def reads_cluster_connections() -> bool:
    """Whether the operator may read what belongs to no namespace."""
    return INSTALL != "namespaced"


@pytest.fixture(scope="session")
def installed(controlplane: ControlPlane) -> ControlPlane:
    """A control plane with the chart in it, for all namespaces."""
    install_chart(controlplane, {})
    return controlplane


@pytest.fixture(scope="module")
def pool(request: pytest.FixtureRequest, installed: ControlPlane) -> Iterator[list[str]]:
    """Namespaces for tests, where the operator serves named ones; else none."""
    narrow = INSTALL == "namespaced" or getattr(request.module, "NAMESPACED", False)
    names = [f"narrow-{uuid.uuid4().hex[:8]}" for _ in range(POOL if narrow else 0)]
    if names:
        installed.apply(*({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names))
    yield list(names)
    if names:
        installed.kubectl("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@pytest.fixture
def namespace(namespace: str, pool: list[str]) -> str:
    """A namespace of the test's own."""
    return pool.pop() if pool else namespace


@pytest.fixture(scope="module")
def operator(installed: ControlPlane, pool: list[str]) -> Iterator[OperatorProcess]:
    """An operator for the tests of one module, run as the chart's Deployment says."""
    narrow = {"fullnameOverride": "narrow", "crds": {"install": False}, "namespaces": list(pool)}
    installation = install_chart(installed, narrow if pool else {})
    with OperatorProcess.start(installed, installation=installation) as running:
        yield running


@pytest.fixture
def stage(installed: ControlPlane, baseten: BasetenSimulator, namespace: str) -> Iterator[Stage]:
    """An empty namespace and the simulator in its first state; no connection yet."""
    yield Stage(installed, namespace, baseten)
    # The namespace goes later; what it holds must not write into the next test's simulator.
    for plural in ("deploymentautoscalings", "chainautoscalings"):
        installed.delete_all(plural, namespace)


@pytest.fixture
def gateway(installed: ControlPlane, bifrost: BifrostSimulator, namespace: str) -> Iterator[GatewayStage]:
    """An empty namespace and the simulated gateway in its first state; no connection yet."""
    yield GatewayStage(installed, namespace, bifrost)
    installed.delete_all("modelconfiggovernances", namespace)


@pytest.fixture(params=[1, 2, 3])
def generation(request: pytest.FixtureRequest, gateway: GatewayStage) -> Generation:
    """A generation of the gateway's API, which the gateway has from now on."""
    chosen: Generation = request.param
    gateway.bifrost.set_generation(chosen)
    return chosen
