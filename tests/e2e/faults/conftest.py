"""Fixtures of the fault suite, and its table after the tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.faults import table
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write it where FAULTS_TABLE says."""
    if not table.ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.write(table.text().partition("\n\n")[2])
    place = os.environ.get("FAULTS_TABLE")
    if place:
        Path(place).write_text(table.text(), encoding="utf-8")
