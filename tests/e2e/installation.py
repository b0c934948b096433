"""How the operator is run: exactly what a Deployment says, be it the one of deploy/ or the chart's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml

from tests.chart.helm import NAMESPACE, Object, only, rendered
from tests.controlplane.plane import ControlPlane

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installation:
    """The ServiceAccount, environment and arguments of a Deployment."""

    namespace: str
    serviceaccount: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...]

    @classmethod
    def of(cls, deployment: Mapping[str, Any]) -> Self:
        """Read a Deployment."""
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        return cls(
            namespace=deployment["metadata"]["namespace"],
            serviceaccount=pod["serviceAccountName"],
            environment={one["name"]: one["value"] for one in container["env"]},
            arguments=tuple(container["args"]),
        )


@cache
def of_deploy() -> Installation:
    """Return the installation of deploy/."""
    text = (ROOT / "deploy" / "operator" / "deployment.yaml").read_text(encoding="utf-8")
    return Installation.of(yaml.safe_load(text))


def install_chart(plane: ControlPlane, values: Mapping[str, Any]) -> Installation:
    """Put what the chart makes into the cluster, but for what runs pods, and return how the operator is run."""
    found = rendered(values)
    apply_all(plane, [one for one in found if one["kind"] not in {"Deployment", "PodDisruptionBudget"}])
    return Installation.of(only(found, "Deployment"))


def apply_all(plane: ControlPlane, found: Sequence[Object]) -> None:
    """Apply objects, and wait until the kinds among them are served."""
    plane.kubectl("create", "namespace", NAMESPACE, check=False)
    plane.apply(*found)
    crds = [f"crd/{one['metadata']['name']}" for one in found if one["kind"] == "CustomResourceDefinition"]
    if crds:
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
