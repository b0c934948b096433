"""The table after the tests."""

import os
from pathlib import Path

import pytest

from tests.e2e.transitions import table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and write it where TRANSITIONS_TABLE says."""
    if not table.REACHED:
        return
    terminalreporter.section("transitions")
    terminalreporter.write(table.text().partition("\n## ")[2])
    place = os.environ.get("TRANSITIONS_TABLE")
    if place:
        Path(place).write_text(table.text(), encoding="utf-8")
