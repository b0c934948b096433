"""The test's end of the Baseten simulator."""

from collections.abc import Sequence
from typing import Self, overload

from tests.simulators.baseten.settings import Values
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainEnvironmentTarget,
    ChainletSpec,
    ChainletTarget,
    ChainSpec,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentTarget,
    EnvironmentShape,
    EnvironmentSpec,
    EnvironmentTarget,
    ErrorShape,
    ModelSpec,
    PromotionStatus,
    Target,
    TeamSpec,
    WorldSpec,
)
from tests.simulators.handle import Simulator, options


class BasetenSimulator(Simulator):
    """A simulator of Baseten's management API in a process of its own."""

    MODULE = "tests.simulators.baseten"

    @classmethod
    def start(
        cls,
        *,
        rate: int | None = None,
        converge: float | None = None,
        keys: Sequence[str] = (),
        port: int | None = None,
    ) -> Self:
        """Start one; the key is `test-key` unless others are given, the port a free one."""
        given = options({"rate": rate, "converge": converge, "port": port})
        return cls.launch(*given, *(f"--key={key}" for key in keys))

    def seed(self, world: WorldSpec) -> None:
        """Replace all teams, models and chains."""
        self.command("seed", world=world)

    def add_team(self, *, id: str, name: str, default: bool = False) -> None:  # noqa: A002  # the API's word
        """Add a team, instead of one with the same id."""
        self.command("add_team", spec=TeamSpec(id=id, name=name, default=default))

    def add_model(
        self,
        *,
        id: str,  # noqa: A002  # the API's word
        name: str,
        deployments: Sequence[DeploymentSpec] = (),
        environments: Sequence[EnvironmentSpec] = (),
        team: str = "default",
    ) -> None:
        """Add a model, instead of one with the same id."""
        spec = ModelSpec(id=id, name=name, deployments=list(deployments), environments=list(environments), team=team)
        self.command("add_model", spec=spec)

    def rename_model(self, model: str, name: str) -> None:
        """Give a model another name; its id and all it has stay."""
        self.command("rename_model", model=model, name=name)

    def recreate_model(self, model: str, new: str) -> None:
        """Delete a model and make one of its name anew at once: as it was added, with the new id.

        The ids of its deployments are new as well: `d-free` of a model that becomes `m-2` is `m-2-d-free` then.
        """
        self.command("recreate_model", model=model, new=new)

    def remove_model(self, model: str) -> None:
        """Remove a model."""
        self.command("remove_model", model=model)

    def add_deployment(self, model: str, spec: DeploymentSpec) -> None:
        """Add a deployment to a model."""
        self.command("add_deployment", model=model, spec=spec)

    def remove_deployment(self, model: str, deployment: str) -> None:
        """Remove a deployment, from its environment too."""
        self.command("remove_deployment", model=model, deployment=deployment)

    def add_environment(self, model: str, spec: EnvironmentSpec) -> None:
        """Add an environment to a model."""
        self.command("add_environment", model=model, spec=spec)

    def remove_environment(self, model: str, environment: str) -> None:
        """Remove an environment of a model; its deployment stays."""
        self.command("remove_environment", model=model, environment=environment)

    def add_chain(
        self,
        *,
        id: str,  # noqa: A002  # the API's word
        name: str,
        environments: Sequence[ChainEnvironmentSpec] = (),
        team: str = "default",
    ) -> None:
        """Add a chain, instead of one with the same id."""
        self.command("add_chain", spec=ChainSpec(id=id, name=name, environments=list(environments), team=team))

    def rename_chain(self, chain: str, name: str) -> None:
        """Give a chain another name; its id and all it has stay."""
        self.command("rename_chain", chain=chain, name=name)

    def recreate_chain(self, chain: str, new: str) -> None:
        """Delete a chain and make one of its name anew at once: as it was added, with the new id."""
        self.command("recreate_chain", chain=chain, new=new)

    def remove_chain(self, chain: str) -> None:
        """Remove a chain."""
        self.command("remove_chain", chain=chain)

    def add_chain_environment(self, chain: str, spec: ChainEnvironmentSpec) -> None:
        """Add an environment to a chain."""
        self.command("add_chain_environment", chain=chain, spec=spec)

    def add_chainlet(self, chain: str, environment: str, spec: ChainletSpec) -> None:
        """Add a chainlet to an environment of a chain."""
        self.command("add_chainlet", chain=chain, environment=environment, spec=spec)

    def remove_chainlet(self, chain: str, environment: str, chainlet: str) -> None:
        """Remove a chainlet from an environment of a chain."""
        self.command("remove_chainlet", chain=chain, environment=environment, chainlet=chainlet)

    @overload
    def set_settings(self, values: Values, *, model: str, deployment: str) -> None: ...
    @overload
    def set_settings(self, values: Values, *, model: str, environment: str) -> None: ...
    @overload
    def set_settings(self, values: Values, *, chain: str, environment: str, chainlet: str) -> None: ...
    def set_settings(self, values: Values, **where: str) -> None:
        """Change values at once, as somebody else would; an environment's deployment follows."""
        self.command("set_settings", target=_target(where), values=values)

    @overload
    def settings(self, *, model: str, deployment: str) -> Values | None: ...
    @overload
    def settings(self, *, model: str, environment: str) -> Values | None: ...
    @overload
    def settings(self, *, chain: str, environment: str, chainlet: str) -> Values | None: ...
    def settings(self, **where: str) -> Values | None:
        """Return the values in force now, None where nothing was deployed yet."""
        values: Values | None = self.command("settings", target=_target(where))
        return values

    def set_deployment_status(
        self, model: str, deployment: str, status: DeploymentStatus, *, replicas: int | None = None
    ) -> None:
        """Change a deployment's status and its active replicas, which follow from the status where none are given.

        The end of a build applies what was queued.
        """
        self.command("set_deployment_status", model=model, deployment=deployment, status=status, replicas=replicas)

    def set_chainlet_status(
        self, chain: str, environment: str, chainlet: str, status: DeploymentStatus, *, replicas: int | None = None
    ) -> None:
        """Change a chainlet's status and active replicas; the end of a build applies what was queued."""
        where = {"chain": chain, "environment": environment, "chainlet": chainlet}
        self.command("set_chainlet_status", **where, status=status, replicas=replicas)

    def start_promotion(
        self,
        model: str,
        environment: str,
        deployment: str,
        *,
        status: PromotionStatus = "RELEASING",
        percent: int = 0,
        settings: Values | None = None,
    ) -> None:
        """Start to promote a deployment, or change how far the promotion is.

        The settings are changes that come with it: they are the environment's for good when it succeeds.
        """
        self.command(
            "start_promotion",
            model=model,
            environment=environment,
            deployment=deployment,
            status=status,
            percent=percent,
            settings=settings or {},
        )

    def push(self, model: str, environment: str, spec: DeploymentSpec, settings: Values | None = None) -> None:
        """Add a deployment and start to promote it, as a push to an environment does, with settings or without."""
        self.add_deployment(model, spec)
        self.start_promotion(model, environment, spec.id, settings=settings)

    def finish_promotion(self, model: str, environment: str, *, succeeded: bool = True) -> None:
        """End a promotion: the deployment gets the environment's settings, with what was queued.

        The one it replaces is scaled to zero, deactivated or kept, as the environment's promotion settings say.
        """
        self.command("finish_promotion", model=model, environment=environment, succeeded=succeeded)

    def start_chain_promotion(
        self, chain: str, environment: str, *, status: PromotionStatus = "RELEASING", percent: int = 0
    ) -> None:
        """Start to promote a chain to one of its environments, or change how far the promotion is."""
        self.command("start_chain_promotion", chain=chain, environment=environment, status=status, percent=percent)

    def finish_chain_promotion(self, chain: str, environment: str, *, succeeded: bool = True) -> None:
        """End a chain's promotion, which applies what was queued."""
        self.command("finish_chain_promotion", chain=chain, environment=environment, succeeded=succeeded)

    def set_schedule(self, model: str, environment: str, schedule_id: str | None, values: Values | None = None) -> None:
        """Open the window of one of the platform's own schedules, or with None as its id close the one that is open.

        What it overrides changes on the deployment that serves and in the applied state; the environment's own settings
        stay, and come back when the window closes.
        """
        where = {"model": model, "environment": environment}
        if schedule_id is None:
            self.command("close_schedule", **where)
        else:
            self.command("open_schedule", **where, schedule=schedule_id, values=values or {})

    @overload
    def set_restricted(self, *, restricted: bool = True, model: str, environment: str) -> None: ...
    @overload
    def set_restricted(self, *, restricted: bool = True, chain: str, environment: str) -> None: ...
    def set_restricted(self, *, restricted: bool = True, **where: str) -> None:
        """Forbid to change an environment, or allow it again."""
        target = EnvironmentTarget(**where) if "model" in where else ChainEnvironmentTarget(**where)
        self.command("set_restricted", target=target, restricted=restricted)

    def set_converge(self, seconds: float) -> None:
        """Set the seconds after which a read shows what is written from now on."""
        self.command("set_options", changes={"converge": seconds})

    def set_environment_shape(self, shape: EnvironmentShape) -> None:
        """Choose what answers the update of an environment.

        `new` is the environment with status and message, as since August 2026; `old` these alone, as before; `bare` the
        environment itself; `wrapped` the environment in its field, without what is deprecated beside it.
        """
        self.command("set_options", changes={"environment_shape": shape})

    def set_error_shape(self, shape: ErrorShape) -> None:
        """Choose the form of refusals.

        `code` has a code and a text in `message`; `details` tells in `details` what was wrong; `errors` is a list of
        errors; `control plane` has the code in `error`.
        """
        self.command("set_options", changes={"error_shape": shape})

    def set_strict_development(self, *, strict: bool = True) -> None:
        """Choose whether development deployments refuse changes of their replicas."""
        self.command("set_options", changes={"strict_development": strict})

    def set_max_replica_cap(self, cap: int | None) -> None:
        """Set the organisation's limit of replicas."""
        self.command("set_options", changes={"max_replica_cap": cap})


def _target(where: dict[str, str]) -> Target:
    if "deployment" in where:
        return DeploymentTarget(**where)
    return ChainletTarget(**where) if "chainlet" in where else EnvironmentTarget(**where)
