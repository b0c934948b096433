"""Fixtures of the fault suite."""

from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.faults.ground import Ground, ground
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator


@pytest.fixture
def here(
    installed: ControlPlane, namespace: str, baseten: BasetenSimulator, bifrost: BifrostSimulator
) -> Iterator[Ground]:
    """A ground with an operator."""
    with ground(installed, namespace, baseten, bifrost) as opened:
        opened.start()
        yield opened
