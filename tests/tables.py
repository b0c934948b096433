"""Tables that tests fill, for people: printed after the tests, whichever worker they ran in, and kept where a variable says.

A row travels as a property of its test's report, which is the only thing that comes back from a worker.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table by name, how it is written, and the variable that says where to."""

    name: str
    text: Callable[[list[Row]], str]
    variable: str


TABLES: dict[str, Table] = {}
_noted: list[tuple[str, Row]] = []
_arrived: dict[str, list[Row]] = {}


def note(table: str, **row: Any) -> None:
    """Add a row on behalf of the test that runs."""
    _noted.append((table, row))


@pytest.fixture(autouse=True)
def noted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Send a test's rows with its report."""
    yield
    request.node.user_properties += _noted
    _noted.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take the rows of a test that has ended."""
    if report.when == "teardown":
        for name, row in report.user_properties:
            if name in TABLES and isinstance(row, dict):
                _arrived.setdefault(name, []).append(row)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables, and write those that somebody wants to keep."""
    for name, rows in _arrived.items():
        text = TABLES[name].text(rows)
        terminalreporter.section(name)
        terminalreporter.write(text)
        place = os.environ.get(TABLES[name].variable)
        if place:
            Path(place).write_text(text, encoding="utf-8")
