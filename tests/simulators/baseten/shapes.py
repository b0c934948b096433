"""The objects the API answers with, field by field as in the Baseten management API reference and its official client."""

from typing import Any

from tests.simulators.baseten.settings import Value, Values
from tests.simulators.baseten.specs import Cleanup
from tests.simulators.baseten.world import (
    Chain,
    ChainEnvironment,
    Chainlet,
    Deployment,
    Environment,
    Model,
    Progress,
    Schedule,
    Team,
)

Json = dict[str, Any]

_CREATED = "2026-01-15T09:30:00.000Z"

_INSTANCE_TYPE: Json = {
    "id": "1x4",
    "name": "1x4 - 1 vCPU, 4 GiB RAM",
    "memory_limit_mib": 4096,
    "millicpu_limit": 1000,
    "gpu_count": 0,
    "gpu_type": None,
    "gpu_memory_limit_mib": None,
}

_BACKPRESSURE: Json = {"policy": None}

_WEEKDAYS = ["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"]


def team_shape(team: Team) -> Json:
    """Return a team."""
    return {"id": team.id, "name": team.name, "default": team.default, "created_at": _CREATED}


def model_shape(model: Model) -> Json:
    """Return a model."""
    ids = list(model.deployments.values())
    return {
        "id": model.id,
        "created_at": _CREATED,
        "name": model.name,
        "deployments_count": len(ids),
        "production_deployment_id": next((item.id for item in ids if item.production), None),
        "development_deployment_id": next((item.id for item in ids if item.development), None),
        "instance_type_name": _INSTANCE_TYPE["name"],
        "team_name": model.team.name,
    }


def deployment_shape(deployment: Deployment) -> Json:
    """Return a deployment of a model."""
    return {
        "id": deployment.id,
        "created_at": _CREATED,
        "name": deployment.name,
        "model_id": deployment.model_id,
        "is_production": deployment.production,
        "is_development": deployment.development,
        "status": deployment.status,
        "active_replica_count": deployment.active_replicas,
        "autoscaling_settings": deployment.settings.shown,
        "instance_type_name": _INSTANCE_TYPE["name"],
        "environment": deployment.environment,
        "labels": None,
        "region": None,
        "request_backpressure_settings": _BACKPRESSURE,
    }


def environment_shape(environment: Environment) -> Json:
    """Return an environment of a model."""
    promotion = environment.promotion
    return {
        "name": environment.name,
        "created_at": _CREATED,
        "model_id": environment.model_id,
        "current_deployment": environment.current and deployment_shape(environment.current),
        "candidate_deployment": promotion and deployment_shape(promotion.candidate),
        "in_progress_promotion": promotion and _progress_shape(promotion),
        "autoscaling_settings": environment.settings.shown,
        "autoscaling_schedules": _schedules_shape(environment),
        "promotion_settings": _promotion_settings(environment.cleanup),
        "instance_type": _INSTANCE_TYPE,
        "request_backpressure_settings": _BACKPRESSURE,
        "traffic_routing": None,
    }


def chain_shape(chain: Chain) -> Json:
    """Return a chain."""
    return {
        "id": chain.id,
        "created_at": _CREATED,
        "name": chain.name,
        "deployments_count": len(chain.environments),
        "team_name": chain.team.name,
    }


def chain_environment_shape(environment: ChainEnvironment) -> Json:
    """Return an environment of a chain."""
    current = environment.generation
    return {
        "name": environment.name,
        "created_at": _CREATED,
        "chain_id": environment.chain_id,
        "promotion_settings": _promotion_settings("SCALE_TO_ZERO"),
        "chainlet_settings": [
            {
                "chainlet_name": chainlet.name,
                "autoscaling_settings": chainlet.settings.shown,
                "instance_type": _INSTANCE_TYPE,
            }
            for chainlet in environment.chainlets.values()
        ],
        "current_deployment": _chain_deployment_shape(environment, current),
        "candidate_deployment": environment.promotion and _chain_deployment_shape(environment, current + 1),
        "in_progress_promotion": environment.promotion and _progress_shape(environment.promotion),
    }


def _progress_shape(promotion: Progress) -> Json:
    return {
        "status": promotion.status,
        "percent_traffic_to_new_version": promotion.percent,
        "error_message": "the candidate did not become ready" if promotion.status == "FAILED" else None,
        "rolling_deploy": True,
    }


def _promotion_settings(cleanup: Cleanup) -> Json:
    return {
        "redeploy_on_promotion": False,
        "rolling_deploy": True,
        "promotion_cleanup_strategy": cleanup,
        "rolling_deploy_config": {
            "rolling_deploy_strategy": "REPLICA",
            "max_surge_percent": 25,
            "max_unavailable_percent": 0,
            "stabilization_time_seconds": 0,
            "replica_overhead_percent": 0,
        },
        "ramp_up_while_promoting": False,
        "ramp_up_duration_seconds": 600,
    }


def _schedules_shape(environment: Environment) -> Json:
    current, window = environment.current, environment.window
    serving = None if current is None else current.settings.shown
    zone = {"timezone": "UTC"} if environment.schedules else {}
    return {
        **zone,
        "schedules": [_schedule_shape(schedule, environment) for schedule in environment.schedules.values()],
        "applied_state": serving and {"schedule_id": window and window.id, "autoscaling_settings": serving},
    }


def _schedule_shape(schedule: Schedule, environment: Environment) -> Json:
    own: Values = environment.settings.shown or {}

    def replicas(name: str) -> Value:
        return schedule.settings.get(name, own[name])

    overrides: Values = {name: schedule.settings.get(name) for name in own}
    overrides |= {name: replicas(name) for name in ("min_replica", "max_replica")}
    return {
        "id": schedule.id,
        "name": schedule.id,
        "enabled": True,
        "autoscaling_settings": overrides,
        "cadence": "DAILY",
        "weekdays": _WEEKDAYS,
        "start_hour": 0,
        "start_minute": 0,
        "end_hour": 23,
        "end_minute": 59,
    }


def _chain_deployment_shape(environment: ChainEnvironment, generation: int) -> Json:
    current = generation == environment.generation
    return {
        "id": f"{environment.chain_id}-{environment.name}-{generation}",
        "created_at": _CREATED,
        "chain_id": environment.chain_id,
        "environment": environment.name if current else None,
        "chainlets": [_chainlet_shape(chainlet, generation) for chainlet in environment.chainlets.values()],
        "status": "ACTIVE" if current else "DEPLOYING",
    }


def _chainlet_shape(chainlet: Chainlet, generation: int) -> Json:
    return {
        "id": f"chainlet-{chainlet.name}-{generation}",
        "name": chainlet.name,
        "autoscaling_settings": chainlet.settings.shown,
        "instance_type_name": _INSTANCE_TYPE["name"],
        "active_replica_count": chainlet.active_replicas,
        "status": chainlet.status,
    }
