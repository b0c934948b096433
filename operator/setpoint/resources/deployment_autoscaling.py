"""DeploymentAutoscaling: autoscaling of one Baseten deployment or environment."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from setpoint.resources.autoscaling import AutoscalingBaseline, AutoscalingSettings
from setpoint.resources.common import (
    Column,
    Identifier,
    Managed,
    Model,
    Name,
    SpecBase,
    StatusBase,
    exactly_one,
    rule,
    rules,
)
from setpoint.resources.serving import DeploymentServing

EnvironmentName = Annotated[
    str,
    Field(
        json_schema_extra=rules(
            rule(
                "self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')",
                "an environment's name consists of lower-case letters, digits and -, "
                "and starts and ends with a letter or digit",
            ),
            minLength=1,
            maxLength=128,
        )
    ),
]
"""Name of an environment; the pattern is that of the vendor's own code."""

IMMUTABLE_TARGET = rule(
    "self == oldSelf",
    "spec.target is immutable: delete this resource and create another one to manage something else",
)

SERVING_COLUMN = Column(name="Serving", json_path=".status.serving.status", priority=1)
"""Whether anything serves behind the settings, in Baseten's word."""


def team_needs(name: str, id_: str) -> dict[str, str]:
    """Return the CEL rule that a team is given with a name only: an id says by itself which thing is meant."""
    return rule(
        f"!has(self.team) || has(self.{name})",
        f"team says which team's {name} is meant: leave team out where {id_} is given",
    )


class DeploymentTarget(Model):
    """Which deployment or environment of which model."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one("modelId", "modelName", where="spec.target"),
            exactly_one("deployment", "environment", where="spec.target"),
            team_needs("modelName", "modelId"),
            IMMUTABLE_TARGET,
        )
    )

    model_id: Annotated[
        Identifier | None, Field(description="Id of the model. Exactly one of modelId and modelName.")
    ] = None
    model_name: Annotated[
        Name | None,
        Field(
            description="Name of the model, which must be the only one of that name the credential can see, "
            "or the only one in the team."
        ),
    ] = None
    team: Annotated[
        Name | None,
        Field(description="Id or name of the team whose modelName is meant. Needed where several teams use the name."),
    ] = None
    deployment: Annotated[
        Identifier | None,
        Field(
            description="development, production or the id of a deployment. Exactly one of deployment and environment. "
            "A development deployment has 0 to 1 replicas, fixed by the platform: leave minReplica and maxReplica out there."
        ),
    ] = None
    environment: Annotated[
        EnvironmentName | None,
        Field(
            description="Name of an environment. Its settings are applied to every deployment promoted to it, "
            "so it is the durable target."
        ),
    ] = None


class DeploymentAutoscalingSpec(SpecBase):
    """What the autoscaling of one deployment or environment should be."""

    target: Annotated[DeploymentTarget, Field(description="Which deployment or environment; immutable.")]
    autoscaling: Annotated[
        AutoscalingSettings,
        Field(description="Settings to keep; at least one. A field left out or null is not managed."),
    ]


class ResolvedDeployment(Model):
    """The target by the ids of the remote API."""

    name: Annotated[str, Field(description="Model and deployment or environment, for people.")]
    model_id: Annotated[str, Field(description="Id of the model.")]
    deployment_id: Annotated[str | None, Field(description="Id of the deployment.")] = None
    environment: Annotated[str | None, Field(description="Name of the environment.")] = None


class DeploymentAutoscalingStatus(StatusBase):
    """What the remote API has and how far it is from the spec."""

    target: Annotated[ResolvedDeployment | None, Field(description="Resolved ids of the target.")] = None
    applied: Annotated[
        AutoscalingSettings | None, Field(description="Settings this operator last wrote or found in place.")
    ] = None
    observed: Annotated[
        AutoscalingSettings | None, Field(description="What the remote API reports for the managed fields.")
    ] = None
    serving: Annotated[
        DeploymentServing | None,
        Field(description="What serves behind the settings, or should; absent where Baseten does not tell."),
    ] = None
    baseline: Annotated[
        AutoscalingBaseline | None,
        Field(description="What was found before the first write, to be put back; with deletionPolicy Restore only."),
    ] = None


class DeploymentAutoscaling(Managed):
    """Keeps the autoscaling of one Baseten deployment or environment at what the spec says."""

    PLURAL: ClassVar[str] = "deploymentautoscalings"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("das",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        *Managed.COMMON_COLUMNS,
        Column(name="Min", json_path=".spec.autoscaling.minReplica", type="integer"),
        Column(name="Max", json_path=".spec.autoscaling.maxReplica", type="integer"),
        *Managed.DRIFT_COLUMNS,
        SERVING_COLUMN,
        *Managed.WIDE_COLUMNS,
    )

    spec: Annotated[DeploymentAutoscalingSpec, Field(description="What should be.")]
    status: Annotated[DeploymentAutoscalingStatus, Field(description="What is; written by the operator.")] = (
        DeploymentAutoscalingStatus()
    )
