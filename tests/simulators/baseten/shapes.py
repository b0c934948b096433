"""The objects the API answers with, field by field as in the Baseten management API reference."""

from typing import Any

from tests.simulators.baseten.world import Chain, ChainEnvironment, Chainlet, Deployment, Environment, Model

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

_PROMOTION_SETTINGS: Json = {
    "redeploy_on_promotion": False,
    "rolling_deploy": False,
    "promotion_cleanup_strategy": "SCALE_TO_ZERO",
    "rolling_deploy_config": None,
    "ramp_up_while_promoting": False,
    "ramp_up_duration_seconds": 600,
}


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
        "team_name": model.team,
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
        "active_replica_count": 1 if deployment.status == "ACTIVE" else 0,
        "autoscaling_settings": deployment.settings.shown,
        "instance_type_name": _INSTANCE_TYPE["name"],
        "environment": deployment.environment,
        "labels": None,
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
        "in_progress_promotion": promotion
        and {
            "status": promotion.status,
            "percent_traffic_to_new_version": promotion.percent,
            "error_message": None,
            "rolling_deploy": False,
        },
        "autoscaling_settings": environment.settings.shown,
        "autoscaling_schedules": {"applied_state": {"schedule_id": environment.schedule_id}},
        "promotion_settings": _PROMOTION_SETTINGS,
        "instance_type": _INSTANCE_TYPE,
    }


def chain_shape(chain: Chain) -> Json:
    """Return a chain."""
    return {
        "id": chain.id,
        "created_at": _CREATED,
        "name": chain.name,
        "deployments_count": len(chain.environments),
        "team_name": chain.team,
    }


def chain_environment_shape(environment: ChainEnvironment) -> Json:
    """Return an environment of a chain; unlike a model's it has no details of a promotion, only the candidate."""
    return {
        "name": environment.name,
        "created_at": _CREATED,
        "chain_id": environment.chain_id,
        "promotion_settings": _PROMOTION_SETTINGS,
        "chainlet_settings": [
            {
                "chainlet_name": chainlet.name,
                "autoscaling_settings": chainlet.settings.shown,
                "instance_type": _INSTANCE_TYPE,
            }
            for chainlet in environment.chainlets.values()
        ],
        "current_deployment": _chain_deployment_shape(environment, "current"),
        "candidate_deployment": _chain_deployment_shape(environment, "candidate") if environment.promoting else None,
    }


def _chain_deployment_shape(environment: ChainEnvironment, role: str) -> Json:
    return {
        "id": f"{environment.chain_id}-{environment.name}-{role}",
        "created_at": _CREATED,
        "chain_id": environment.chain_id,
        "environment": environment.name if role == "current" else None,
        "chainlets": [_chainlet_shape(chainlet) for chainlet in environment.chainlets.values()],
        "status": "ACTIVE" if role == "current" else "DEPLOYING",
    }


def _chainlet_shape(chainlet: Chainlet) -> Json:
    return {
        "id": f"chainlet-{chainlet.name}",
        "name": chainlet.name,
        "autoscaling_settings": chainlet.settings.shown,
        "instance_type_name": _INSTANCE_TYPE["name"],
        "active_replica_count": 1 if chainlet.status == "ACTIVE" else 0,
        "status": chainlet.status,
    }
