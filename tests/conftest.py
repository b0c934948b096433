"""Fixtures that every test can ask for, tables that tests fill, and how tests are dealt out to workers."""

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped] # it has no types
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # as above

from tests.controlplane.fixtures import controlplane, namespace
from tests.e2e.faults import table as faults
from tests.e2e.transcripts import pytest_runtest_makereport
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
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
]

TABLES["faults"] = Table("faults", faults.text, "FAULTS_TABLE")
TABLES["transitions"] = Table("transitions", transitions.text, "TRANSITIONS_TABLE")


class ByModule(LoadScopeScheduling):  # type: ignore[misc] # as above
    """Keeps the tests of a module in one worker, because they share an operator; of the transitions, those of all modules."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = module.rpartition("/")[0]
        return folder if folder.endswith("/transitions") else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """Deal the tests out."""
    return ByModule(config, log)
