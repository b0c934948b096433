"""The pytest fixtures that hand out the simulators; tests/conftest.py imports them."""

from collections.abc import Iterator

import pytest

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
