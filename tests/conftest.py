"""Fixtures that every test can ask for, tables that tests fill, and how tests are dealt out to workers."""

import pytest

from tests.controlplane.fixtures import controlplane, namespace
from tests.e2e.faults import table as faults
from tests.e2e.transitions import table as transitions
from tests.simulators.fixtures import baseten, baseten_process, bifrost, bifrost_process
from tests.tables import TABLES, Table, noted, pytest_runtest_logreport, pytest_terminal_summary

__all__ = [
    "baseten",
    "baseten_process",
    "bifrost",
    "bifrost_process",
    "controlplane",
    "namespace",
    "noted",
    "pytest_runtest_logreport",
    "pytest_terminal_summary",
]

TABLES["faults"] = Table("faults", faults.text, "FAULTS_TABLE")
TABLES["transitions"] = Table("transitions", transitions.text, "TRANSITIONS_TABLE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module in one worker, because they share an operator; of the transitions, those of all modules."""
    for item in items:
        module = item.nodeid.partition("::")[0]
        folder = module.rpartition("/")[0]
        item.add_marker(pytest.mark.xdist_group(folder if folder.endswith("/transitions") else module))
