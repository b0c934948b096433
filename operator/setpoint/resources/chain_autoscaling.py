"""ChainAutoscaling: autoscaling of the chainlets of one environment of a Baseten chain."""

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
    rules,
)
from setpoint.resources.deployment_autoscaling import IMMUTABLE_TARGET, SERVING_COLUMN, EnvironmentName, team_needs
from setpoint.resources.serving import ChainServing

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}

MAX_CHAINLETS = 64
"""Chainlets in one resource at most; one write of the remote API carries them all."""


class ChainTarget(Model):
    """Which environment of which chain."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one("chainId", "chainName", where="spec.target"),
            team_needs("chainName", "chainId"),
            IMMUTABLE_TARGET,
        )
    )

    chain_id: Annotated[
        Identifier | None, Field(description="Id of the chain. Exactly one of chainId and chainName.")
    ] = None
    chain_name: Annotated[
        Name | None,
        Field(
            description="Name of the chain, which must be the only one of that name the credential can see, "
            "or the only one in the team."
        ),
    ] = None
    team: Annotated[
        Name | None,
        Field(description="Id or name of the team whose chainName is meant. Needed where several teams use the name."),
    ] = None
    environment: Annotated[EnvironmentName, Field(description="Name of the chain's environment, such as production.")]


class Chainlet(Model):
    """One chainlet and its settings."""

    name: Annotated[Name, Field(description="Name of the chainlet, as the chain's code names it.")]
    autoscaling: Annotated[
        AutoscalingSettings,
        Field(description="Settings to keep; at least one. A field left out or null is not managed."),
    ]


class ChainAutoscalingSpec(SpecBase):
    """What the autoscaling of the named chainlets should be."""

    target: Annotated[ChainTarget, Field(description="Which environment of which chain; immutable.")]
    chainlets: Annotated[
        list[Chainlet],
        Field(
            min_length=1,
            max_length=MAX_CHAINLETS,
            json_schema_extra=_BY_NAME,
            description="Chainlets to manage, 1 to 64, each named once. Chainlets not named here are not touched.",
        ),
    ]


class ResolvedChain(Model):
    """The target by the ids of the remote API."""

    name: Annotated[str, Field(description="Chain and environment, for people.")]
    chain_id: Annotated[str, Field(description="Id of the chain.")]
    environment: Annotated[str, Field(description="Name of the environment.")]


class ChainSettings(Model):
    """Settings of several chainlets."""

    chainlets: Annotated[
        list[Chainlet], Field(json_schema_extra=_BY_NAME, description="Settings, one entry per chainlet.")
    ]


class ChainletBaseline(Model):
    """What was found of one chainlet."""

    name: Annotated[str, Field(description="Name of the chainlet.")]
    autoscaling: Annotated[AutoscalingBaseline, Field(description="What was found before the first write.")]


class ChainBaseline(Model):
    """What was found before the first write."""

    chainlets: Annotated[
        list[ChainletBaseline], Field(json_schema_extra=_BY_NAME, description="Settings, one entry per chainlet.")
    ]


class Summary(Model):
    """The chainlets at a glance, in the order of the spec, for the columns of kubectl get."""

    min_replica: Annotated[str, Field(description="minReplica of each chainlet, joined by commas; - where unmanaged.")]
    max_replica: Annotated[str, Field(description="maxReplica of each chainlet, joined by commas; - where unmanaged.")]


class ChainAutoscalingStatus(StatusBase):
    """What the remote API has and how far it is from the spec."""

    target: Annotated[ResolvedChain | None, Field(description="Resolved ids of the target.")] = None
    summary: Annotated[Summary | None, Field(description="The spec at a glance.")] = None
    applied: Annotated[
        ChainSettings | None, Field(description="Settings this operator last wrote or found in place.")
    ] = None
    observed: Annotated[
        ChainSettings | None, Field(description="What the remote API reports for the managed fields.")
    ] = None
    serving: Annotated[
        ChainServing | None,
        Field(description="What serves behind the settings, or should; absent where Baseten does not tell."),
    ] = None
    baseline: Annotated[
        ChainBaseline | None,
        Field(description="What was found before the first write, to be put back; with deletionPolicy Restore only."),
    ] = None


class ChainAutoscaling(Managed):
    """Keeps the autoscaling of the chainlets of one chain environment at what the spec says."""

    PLURAL: ClassVar[str] = "chainautoscalings"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("cas",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        *Managed.COMMON_COLUMNS,
        Column(name="Min", json_path=".status.summary.minReplica"),
        Column(name="Max", json_path=".status.summary.maxReplica"),
        *Managed.DRIFT_COLUMNS,
        SERVING_COLUMN,
        *Managed.WIDE_COLUMNS,
    )

    spec: Annotated[ChainAutoscalingSpec, Field(description="What should be.")]
    status: Annotated[ChainAutoscalingStatus, Field(description="What is; written by the operator.")] = (
        ChainAutoscalingStatus()
    )
