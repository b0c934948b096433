"""Fixtures of the integration tests."""

import pytest

from tests.controlplane.plane import ControlPlane
from tests.integration.manifests import ROOT


@pytest.fixture(scope="session")
def served(controlplane: ControlPlane) -> ControlPlane:
    """A control plane that serves the kinds."""
    controlplane.kubectl("apply", "-f", str(ROOT / "crds"))
    controlplane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    return controlplane
