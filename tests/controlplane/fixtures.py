"""The pytest fixtures that hand out the control plane; tests/conftest.py imports them."""

import uuid
from collections.abc import Iterator

import pytest
from _pytest.capture import CaptureManager

from tests.controlplane.plane import ControlPlane


@pytest.fixture(scope="session")
def controlplane(pytestconfig: pytest.Config) -> Iterator[ControlPlane]:
    """A running control plane, one for all tests."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert isinstance(capture, CaptureManager)
    # A first start builds for minutes, which must be seen to be waited for.
    with capture.global_and_fixture_disabled():
        plane = ControlPlane.start()
    with plane:
        yield plane


@pytest.fixture
def namespace(controlplane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    controlplane.kubectl("create", "namespace", name)
    yield name
    controlplane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
