"""What there is at the remote API, made for `deploy/samples`, and the manifests that are no samples."""

from typing import Any

from tests.e2e.process import ROOT
from tests.e2e.stage import API
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    ChainSpec,
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
    WorldSpec,
)

KEY = "only-for-the-demo-3f9c51"
"""The simulator's API key, of no value elsewhere; the demo treats it like a real one all the same."""

GATEWAY_TOKEN = "only-for-the-demo-71d2aa"  # noqa: S105 - of no value elsewhere, as above

GATEWAY_SAMPLE = str(ROOT / "deploy" / "samples" / "governance.yaml")

SAMPLES = tuple(str(ROOT / "deploy" / "samples" / f"{name}.yaml") for name in ("environment", "deployment", "chain"))

MODEL = "yqv4yjjq"
CANARY = "q8x4d2z"

WORLD = WorldSpec(
    models=[
        ModelSpec(
            id=MODEL,
            name="llama-3-70b",
            deployments=[
                DeploymentSpec(id="p2k7v5n", name="v1"),
                DeploymentSpec(id=CANARY, name="v2"),
                DeploymentSpec(id="d6h3w8r", name="development", development=True),
            ],
            environments=[EnvironmentSpec(name="production", current="p2k7v5n")],
        ),
    ],
    chains=[
        ChainSpec(
            id="abcd1234",
            name="hello",
            environments=[
                ChainEnvironmentSpec(
                    name="production", chainlets=[ChainletSpec(name="HelloWorld"), ChainletSpec(name="RandInt")]
                ),
            ],
        ),
    ],
)


def deployment_autoscaling(name: str, namespace: str, model_name: str, **autoscaling: int) -> dict[str, Any]:
    """Return a DeploymentAutoscaling for a model's production environment."""
    return {
        "apiVersion": API,
        "kind": "DeploymentAutoscaling",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"target": {"modelName": model_name, "environment": "production"}, "autoscaling": autoscaling},
    }
