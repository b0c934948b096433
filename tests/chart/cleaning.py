"""Takes Setpoint out of a cluster, for tests that install it as users do."""

from setpoint.resources import KINDS
from tests.controlplane.plane import ControlPlane

PLURALS = [f"{model.PLURAL}.setpoint.dev" for model in KINDS]
ROLES = ("setpoint", "setpoint-view", "setpoint-edit", "sp-view", "sp-edit")


def clean(plane: ControlPlane) -> None:
    """Take away all kinds of Setpoint and what belongs to the cluster.

    Raises:
        AssertionError: the cluster is not the tests' own; all resources would go with their kinds.
    """
    assert plane.owned, "takes the CRDs away, and all resources with them: never in a cluster that is not its own"
    plane.kubectl("delete", "crd", *PLURALS, "--ignore-not-found", timeout=120)
    plane.kubectl("delete", "clusterrole,clusterrolebinding", *ROLES, "--ignore-not-found")
