"""What users write: one pydantic model per kind of the API group, and the generator that turns them into CRDs.

This floor knows nothing of Kubernetes clients, remote APIs or time. The models are the one source of `crds/*.yaml`,
of `kubectl explain` and of the types the other floors work with.
"""

from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.chain_autoscaling import ChainAutoscaling
from setpoint.resources.common import GROUP, VERSION, Condition, Managed, ObjectMeta, Resource
from setpoint.resources.connection import ClusterConnection, Connection
from setpoint.resources.deployment_autoscaling import DeploymentAutoscaling
from setpoint.resources.model_config_governance import ModelConfigGovernance

MANAGED_KINDS: tuple[type[Managed], ...] = (DeploymentAutoscaling, ChainAutoscaling, ModelConfigGovernance)
"""Kinds that manage something behind a remote API."""

CONNECTION_KINDS: tuple[type[Resource], ...] = (Connection, ClusterConnection)
"""Kinds that say where a remote API is."""

KINDS: tuple[type[Resource], ...] = (*MANAGED_KINDS, *CONNECTION_KINDS)
"""Every kind of the API group."""

__all__ = [
    "CONNECTION_KINDS",
    "GROUP",
    "KINDS",
    "MANAGED_KINDS",
    "VERSION",
    "AutoscalingSettings",
    "ChainAutoscaling",
    "ClusterConnection",
    "Condition",
    "Connection",
    "DeploymentAutoscaling",
    "Managed",
    "ModelConfigGovernance",
    "ObjectMeta",
    "Resource",
]
