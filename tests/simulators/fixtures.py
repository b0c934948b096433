"""The pytest fixtures that hand out the simulators; tests/conftest.py imports them."""

from collections.abc import Iterator

import pytest

from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator


@pytest.fixture(scope="session")
def baseten_process() -> Iterator[BasetenSimulator]:
    """A running simulator of Baseten's management API, one for all tests."""
    with BasetenSimulator.start() as simulator:
        yield simulator


@pytest.fixture
def baseten(baseten_process: BasetenSimulator) -> BasetenSimulator:
    """The simulator as it was at its start: its default world, the key `test-key`, no faults, an empty journal."""
    baseten_process.reset()
    return baseten_process


@pytest.fixture(scope="session")
def bifrost_process() -> Iterator[BifrostSimulator]:
    """A running simulator of a Bifrost gateway, one for all tests."""
    with BifrostSimulator.start() as simulator:
        yield simulator


@pytest.fixture
def bifrost(bifrost_process: BifrostSimulator) -> BifrostSimulator:
    """The simulator as it was at its start: generation 2, its default world, open, no faults, an empty journal."""
    bifrost_process.reset()
    return bifrost_process
