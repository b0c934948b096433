"""DeploymentAutoscaling: one deployment or environment of a Baseten model."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from setpoint.reconcile.base import ANY_TIME, Reconciler
from setpoint.reconcile.outcome import Attempt, Observation, Part, Written
from setpoint.reconcile.ports import Handle
from setpoint.remotes.baseten import Baseten, Deployment, Environment
from setpoint.remotes.errors import InvalidSettings, RemoteError, TargetNotFound
from setpoint.resources.autoscaling import AutoscalingBaseline, AutoscalingSettings
from setpoint.resources.common import Drift, StatusBase
from setpoint.resources.deployment_autoscaling import (
    DeploymentAutoscaling,
    DeploymentAutoscalingStatus,
    ResolvedDeployment,
)
from setpoint.resources.serving import DeploymentServing

FIXED_REPLICAS = (
    "a development deployment has 0 to 1 replicas, fixed by the platform: "
    "leave minReplica and maxReplica out, or manage an environment"
)
"""What is said where the API refuses replicas of a development deployment, in words of its own."""

_NAMED = frozenset({"development", "production"})


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """A deployment (by `development`, `production` or its id) or an environment of a model, by ids."""

    model_id: str
    deployment: str | None
    environment: str | None
    deployment_id: str | None = None
    """Id of the deployment, once it was read."""
    by_name: bool = False
    """The model was looked up by its name, which may be someone else's by now."""


class DeploymentReconciler(Reconciler[Baseten, DeploymentAutoscaling, AutoscalingSettings, DeploymentTarget]):
    """Keeps the autoscaling of deployments and environments at what the specs say."""

    async def connect(self, resource: DeploymentAutoscaling, *, fresh: bool) -> Handle[Baseten]:
        """Return the open connection of a resource."""
        return await self._connections.baseten(resource, fresh=fresh)

    def desired(self, resource: DeploymentAutoscaling) -> AutoscalingSettings:
        """Return the settings the spec wants."""
        return resource.spec.autoscaling

    def applied(self, status: StatusBase) -> AutoscalingSettings | None:
        """Return the settings the status says were last written or found in place."""
        return status.applied if isinstance(status, DeploymentAutoscalingStatus) else None

    def covers(self, applied: AutoscalingSettings, desired: AutoscalingSettings) -> bool:
        """Tell whether everything desired is among what was applied."""
        return not desired.differences(applied)

    def differences(self, desired: AutoscalingSettings, observed: AutoscalingSettings) -> list[Drift]:
        """Return the managed fields that the remote reports otherwise."""
        return desired.differences(observed)

    def differing(self, desired: AutoscalingSettings, drift: list[Drift]) -> AutoscalingSettings:
        """Return only those desired settings that the differences name."""
        return desired.only(drift)

    def manages(self, resource: DeploymentAutoscaling, target: DeploymentTarget | None) -> frozenset[Hashable]:
        """Return the deployment or environment, by model id."""
        spec, known = resource.spec.target, resource.status.target
        model_id = target.model_id if target is not None else _known_model(resource)
        if model_id is None:
            return frozenset()
        if spec.environment is not None:
            return frozenset({_environment(model_id, spec.environment)})
        # What production and development stand for may be another resource's by its id.
        ids = {spec.deployment}
        if target is not None and target.deployment_id is not None:
            ids.add(target.deployment_id)
        elif known is not None and known.deployment_id is not None:
            ids.add(known.deployment_id)
        return frozenset(("deployment", model_id, id_) for id_ in ids)

    def neighbourhood(self, resource: DeploymentAutoscaling, target: DeploymentTarget | None) -> Hashable | None:
        """Return the model's deployments: each has an id, and some are production or development, too."""
        model_id = target.model_id if target is not None else _known_model(resource)
        if model_id is None or resource.spec.target.environment is not None:
            return None
        return ("deployments", model_id)

    async def identify(self, client: Baseten, target: DeploymentTarget, *, not_before: float) -> DeploymentTarget:
        """Return the target with the id of its deployment.

        Raises:
            RemoteError: there is no such deployment, or the API could not tell.
        """
        if target.deployment not in _NAMED:
            return target
        deployment = await client.deployment(
            target.model_id, target.deployment or "", not_before=not_before, urgent=True
        )
        return replace(target, deployment_id=deployment.id)

    def shares(self, resource: DeploymentAutoscaling) -> Hashable:
        """Return the model and which of its lists is read."""
        target = resource.spec.target
        return ("model", target.model_id or (target.model_name, target.team), target.environment is None)

    async def resolve(self, client: Baseten, resource: DeploymentAutoscaling) -> DeploymentTarget:
        """Return the target by the remote API's ids.

        Raises:
            RemoteError: the model's name is unknown or ambiguous, or the API could not tell.
        """
        target = resource.spec.target
        if target.model_id is not None:
            return DeploymentTarget(target.model_id, target.deployment, target.environment)
        model_id = await client.model_id(target.model_name or "", target.team)
        return DeploymentTarget(model_id, target.deployment, target.environment, by_name=True)

    async def write(
        self, client: Baseten, target: DeploymentTarget, settings: AutoscalingSettings, attempt: Attempt
    ) -> Written[AutoscalingSettings, DeploymentTarget]:
        """Write settings of the deployment or environment."""
        model_id, urgent = target.model_id, attempt.urgent
        try:
            if target.environment is not None:
                answer = await client.update_environment(model_id, target.environment, settings, urgent=urgent)
            else:
                answer = await client.update_deployment(model_id, target.deployment or "", settings, urgent=urgent)
        except TargetNotFound:
            if target.by_name:
                client.forget_names()
            raise
        return Written(answer, target)

    async def read(
        self,
        client: Baseten,
        target: DeploymentTarget,
        desired: AutoscalingSettings,
        *,
        not_before: float,
        urgent: bool,
    ) -> tuple[DeploymentTarget, Observation[AutoscalingSettings]]:
        """Return the target with its deployment's id, and what the remote reports for the managed fields.

        A deployment that belongs to an environment is subject to what the platform does with that: while it is promoted, or
        while a schedule holds other values, a difference is none to be corrected.

        Raises:
            RemoteError: there is no such deployment or environment, or the API could not tell.
        """
        try:
            if target.environment is not None:
                environment = await client.environment(
                    target.model_id, target.environment, not_before=not_before, urgent=urgent
                )
                return target, Observation(
                    settings=_managed(environment.settings, desired),
                    promotion=environment.promotion,
                    schedule_id=environment.schedule_id,
                    current=_current(environment),
                    serving=_serving(environment),
                )
            deployment = await client.deployment(
                target.model_id, target.deployment or "", not_before=not_before, urgent=urgent
            )
            holder = await self._holder(client, target.model_id, deployment, not_before=not_before, urgent=urgent)
        except TargetNotFound:
            if target.by_name:
                client.forget_names()
            raise
        attached = deployment.attached
        return replace(target, deployment_id=deployment.id), Observation(
            settings=_managed(deployment.settings, desired),
            busy=not deployment.settled,
            promotion=holder.promotion if holder is not None else None,
            schedule_id=holder.schedule_id if holder is not None else None,
            part_of=Part(_environment(target.model_id, attached), f"environment {attached}") if attached else None,
            current=_current(holder) if holder is not None else None,
            serving=DeploymentServing(
                deployment_id=deployment.id, status=deployment.status, active_replicas=deployment.replicas
            ),
        )

    async def _holder(
        self, client: Baseten, model_id: str, deployment: Deployment, *, not_before: float, urgent: bool
    ) -> Environment | None:
        """Return the environment that a deployment belongs to; None where it belongs to none, or to one that is not listed."""
        if deployment.attached is None:
            return None
        try:
            return await client.environment(model_id, deployment.attached, not_before=not_before, urgent=urgent)
        except TargetNotFound as error:
            if error.status is not None:
                raise
            return None

    async def explain(
        self, client: Baseten, target: DeploymentTarget, desired: AutoscalingSettings, error: RemoteError
    ) -> RemoteError:
        """Return a clearer error where a write found nothing, or asked for replicas of a development deployment.

        The shared list tells what there is instead, and which deployment is the development deployment.
        """
        replicas = desired.min_replica is not None or desired.max_replica is not None
        try:
            match error:
                case TargetNotFound():
                    await self.read(client, target, desired, not_before=ANY_TIME, urgent=True)
                case InvalidSettings(status=400 | 422) if replicas and target.deployment is not None:
                    deployment = await client.deployment(target.model_id, target.deployment, urgent=True)
                    if deployment.development:
                        text = f"{error.message}; {FIXED_REPLICAS}"
                        return InvalidSettings(text, status=error.status, api_message=error.api_message)
        except TargetNotFound as clearer:
            return clearer
        except RemoteError:
            return error
        return error

    def title(self, target: DeploymentTarget) -> str:
        """Return model and deployment or environment."""
        return f"{target.model_id}/{target.environment or target.deployment}"

    def lacks_baseline(self, status: StatusBase, desired: AutoscalingSettings) -> bool:
        """Tell whether a managed field is not in the status's baseline."""
        return _baseline(status).lacks(desired)

    def baseline(
        self, status: StatusBase, found: AutoscalingSettings, desired: AutoscalingSettings
    ) -> AutoscalingBaseline:
        """Return the status's baseline with the managed fields it lacks, as they were found."""
        return _baseline(status).with_found(found, desired)

    def as_found(self, resource: DeploymentAutoscaling) -> DeploymentAutoscaling | None:
        """Return the resource as if its spec were its baseline."""
        settings = _baseline(resource.status).settings
        if not settings.to_wire():
            return None
        target = resource.spec.target
        known = resource.status.target
        if known is not None:
            # By its id, whatever the name means by now.
            target = target.model_copy(update={"model_name": None, "team": None, "model_id": known.model_id})
        spec = resource.spec.model_copy(update={"autoscaling": settings, "target": target})
        return resource.model_copy(update={"spec": spec})

    async def name_of_known(self, client: Baseten, resource: DeploymentAutoscaling) -> str | None:
        """Return the name under which the model is listed now that the status speaks of; None where it is gone."""
        known = resource.status.target
        return await client.model_name(known.model_id) if known is not None else None

    def spec_name(self, resource: DeploymentAutoscaling) -> str:
        """Return the model's name in the spec."""
        return f"modelName {resource.spec.target.model_name}"

    def stays(self, resource: DeploymentAutoscaling) -> str:
        """Return the fields that had no value, which the API cannot take away, or one that no spec could have."""
        return "; ".join(_baseline(resource.status).stays())

    def record(
        self,
        resource: DeploymentAutoscaling,
        status: StatusBase,
        *,
        target: DeploymentTarget,
        applied: AutoscalingSettings | None,
        observed: AutoscalingSettings | None,
    ) -> dict[str, Any]:
        """Return target, applied and observed as the status keeps them; only those whose value is known."""
        known = status.target if isinstance(status, DeploymentAutoscalingStatus) else None
        by_id = target.deployment if target.deployment not in _NAMED else None
        fields: dict[str, Any] = {
            "target": ResolvedDeployment(
                name=self.title(target),
                model_id=target.model_id,
                deployment_id=target.deployment_id or by_id or (known.deployment_id if known else None),
                environment=target.environment,
            )
        }
        if applied is not None:
            fields["applied"] = applied
        if observed is not None:
            fields["observed"] = observed
        return fields


def _known_model(resource: DeploymentAutoscaling) -> str | None:
    known = resource.status.target
    return resource.spec.target.model_id or (known.model_id if known is not None else None)


def _environment(model_id: str, name: str) -> Hashable:
    return ("environment", model_id, name)


def _baseline(status: StatusBase) -> AutoscalingBaseline:
    known = status.baseline if isinstance(status, DeploymentAutoscalingStatus) else None
    return known or AutoscalingBaseline()


def _current(environment: Environment) -> str | None:
    return environment.current.id if environment.current is not None else None


def _serving(environment: Environment) -> DeploymentServing | None:
    """Return the state of the deployment that is current in an environment; None where nothing was deployed to it yet."""
    current = environment.current
    if current is None:
        return None
    return DeploymentServing(deployment_id=current.id, status=current.status, active_replicas=current.replicas)


def _managed(settings: AutoscalingSettings | None, desired: AutoscalingSettings) -> AutoscalingSettings:
    """Return the managed part of what was read; a deployment that never ran reports no settings at all."""
    return (settings or AutoscalingSettings()).restricted_to(desired)
