"""Fixtures of the end-to-end tests: one operator for all of them, one namespace for each."""

from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import OperatorProcess, install
from tests.e2e.stage import GatewayStage, Stage
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import Generation
from tests.simulators.process import BasetenSimulator


@pytest.fixture(scope="session")
def installed(controlplane: ControlPlane) -> ControlPlane:
    """A control plane with the CRDs and the operator's rights."""
    install(controlplane)
    return controlplane


@pytest.fixture(scope="module")
def operator(installed: ControlPlane) -> Iterator[OperatorProcess]:
    """An operator that serves all namespaces, for the tests of one module."""
    with OperatorProcess.start(installed) as running:
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
