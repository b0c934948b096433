"""The operator of the chart for named namespaces, with Roles in these only, does what the cluster-wide one does.

`make e2e INSTALL=namespaced` runs the whole suite like that.
"""

from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation, install_chart
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage
from tests.e2e.test_behaviour import (
    test_drift_is_corrected_field_by_field_and_told,
    test_observe_reports_and_never_writes,
    test_suspend_stops_everything_and_resume_goes_on,
)
from tests.e2e.test_deletion import (
    test_nothing_keeps_a_resource_from_going,
    test_restore_puts_back_what_was_found_and_verifies_it,
)
from tests.e2e.test_documents import (
    test_chainlets_are_patched_in_one_batch_as_documented,
    test_development_deployment_is_patched_as_documented,
)
from tests.e2e.test_governance_document import test_the_documented_request_arrives_and_its_answer_comes_back

NAMESPACED = True
FREE = {"modelId": "m-greeter", "deployment": "d-free"}

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

__all__ = [
    "test_chainlets_are_patched_in_one_batch_as_documented",
    "test_development_deployment_is_patched_as_documented",
    "test_drift_is_corrected_field_by_field_and_told",
    "test_nothing_keeps_a_resource_from_going",
    "test_observe_reports_and_never_writes",
    "test_restore_puts_back_what_was_found_and_verifies_it",
    "test_suspend_stops_everything_and_resume_goes_on",
    "test_the_documented_request_arrives_and_its_answer_comes_back",
]


def serve(plane: ControlPlane, *namespaces: str) -> Installation:
    """Give an operator Roles in these namespaces, and return how it is run."""
    names = {"fullnameOverride": "half", "namespaces": list(namespaces)}
    return install_chart(plane, {**names, "crds": {"install": False}, "rbac": {"aggregate": False}})


@pytest.fixture
def half_served(installed: ControlPlane, pool: list[str]) -> Iterator[tuple[str, str, OperatorProcess]]:
    """An operator that serves a namespace, and one that has no Role yet; with the names of both."""
    served, unserved = pool.pop(), pool.pop()
    installation = serve(installed, served)
    names = {"SETPOINT_NAMESPACES": f"{unserved},{served}"}
    with OperatorProcess.start(installed, names, installation=installation) as operator:
        yield served, unserved, operator


def test_a_namespace_without_a_role_keeps_no_other_from_being_served_and_is_when_it_has_one(
    half_served: tuple[str, str, OperatorProcess], stage: Stage, installed: ControlPlane
) -> None:
    served, unserved, operator = half_served
    first, second = (Stage(installed, name, stage.baseten) for name in (served, unserved))
    first.open()
    first.das("free", FREE, {"maxReplica": 3})
    first.until("das", "free", "Synced")
    assert f"namespace {unserved} is not served" in operator.log()
    second.open()
    target = {"modelId": "m-greeter", "environment": "staging"}
    second.das("staging", target, {"maxReplica": 4})
    serve(installed, served, unserved)
    second.until("das", "staging", "Synced", timeout=60)
    # Its Role goes with the namespace, and the API server ends all watches.
    installed.kubectl("delete", "namespace", unserved)
    installed.crash_api_server()
    installed.start_api_server()
    first.das("free", FREE, {"maxReplica": 5})
    first.until("das", "free", "Synced", timeout=60)
    first.plane.delete_all("deploymentautoscalings", served)
