"""Comes last in its folder, and looks whether anything was left out."""

import pytest

from tests.e2e.transitions import settings
from tests.e2e.transitions.leaves import leaves
from tests.e2e.transitions.table import REACHED

PLURALS = {
    "DeploymentAutoscaling": "deploymentautoscalings",
    "ChainAutoscaling": "chainautoscalings",
    "ModelConfigGovernance": "modelconfiggovernances",
    "Connection": "connections",
    "ClusterConnection": "clusterconnections",
}
WHOLE = {"set", "change", "lowest", "highest", "refused, reverted", "combined", "unset"}
"""What every setting of a remote thing goes through."""
FIXED = {"set", "immutable"}


def required(kind: str, path: str) -> set[str]:
    """Return what a field has to go through at least."""
    if "autoscaling." in path or (kind == "ModelConfigGovernance" and path in settings.governance()):
        return WHOLE
    if path.startswith("target.") or path in {"modelName", "provider", "scope", "scopeId"}:
        return FIXED
    if path == "modelConfigId":
        return {"set", "refused, reverted", "unset"}
    return {"set", "change"}


@pytest.mark.cluster_wide
@pytest.mark.parametrize("kind", PLURALS)
def test_every_field_of_the_crd_went_through_its_transitions(kind: str) -> None:
    missing = {
        path: sorted(lacking)
        for path in leaves(PLURALS[kind])
        if (lacking := required(kind, path) - REACHED[kind][path])
    }
    assert not missing, "run the whole folder: this test looks at what the others of it have reached"
