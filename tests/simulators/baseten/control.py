"""Commands that change what an organisation has and how the API behaves, past the API itself."""

from collections.abc import Callable
from typing import Any

from tests.simulators.api import Api
from tests.simulators.baseten import writes
from tests.simulators.baseten.settings import Converging, Values
from tests.simulators.baseten.specs import (
    DEFAULT_WORLD,
    ChainEnvironmentSpec,
    ChainEnvironmentTarget,
    ChainletSpec,
    ChainletTarget,
    ChainSpec,
    DeploymentSpec,
    DeploymentStatus,
    DeploymentTarget,
    EnvironmentSpec,
    EnvironmentTarget,
    ModelSpec,
    Options,
    PromotionStatus,
    Target,
    TeamSpec,
    WorldSpec,
)
from tests.simulators.baseten.world import Progress, Promotion, Schedule, World
from tests.simulators.control import ApiCommands, Command


class BasetenCommands:
    """The commands of this simulator."""

    def __init__(self, api: Api, world: World) -> None:
        self._api = api
        self._world = world
        self._first_options = world.options

    def all(self) -> dict[str, Command]:
        """Return the commands by name."""
        own: list[Callable[..., Any]] = [
            self.reset,
            self.seed,
            self.add_team,
            self.add_model,
            self.rename_model,
            self.recreate_model,
            self.remove_model,
            self.add_deployment,
            self.remove_deployment,
            self.add_environment,
            self.remove_environment,
            self.add_chain,
            self.rename_chain,
            self.recreate_chain,
            self.remove_chain,
            self.add_chain_environment,
            self.add_chainlet,
            self.remove_chainlet,
            self.set_settings,
            self.settings,
            self.set_deployment_status,
            self.set_chainlet_status,
            self.start_promotion,
            self.finish_promotion,
            self.start_chain_promotion,
            self.finish_chain_promotion,
            self.open_schedule,
            self.close_schedule,
            self.set_restricted,
            self.set_options,
        ]
        return ApiCommands(self._api).all() | {command.__name__: command for command in own}

    def reset(self) -> None:
        """Go back to how it was at the start of the process."""
        self._api.reset()
        self._world.options = self._first_options
        self._world.seed(DEFAULT_WORLD)

    def seed(self, world: WorldSpec) -> None:
        """Replace everything there is."""
        self._world.seed(world)

    def add_team(self, spec: TeamSpec) -> None:
        """Add a team."""
        self._world.add_team(spec)

    def add_model(self, spec: ModelSpec) -> None:
        """Add a model."""
        self._world.add_model(spec)

    def rename_model(self, model: str, name: str) -> None:
        """Give a model another name."""
        self._world.rename_model(self._world.model(model), name)

    def recreate_model(self, model: str, new: str) -> None:
        """Delete a model and make one of its name anew, with other ids."""
        self._world.recreate_model(model, new)

    def remove_model(self, model: str) -> None:
        """Remove a model."""
        del self._world.models[self._world.model(model).id]

    def add_deployment(self, model: str, spec: DeploymentSpec) -> None:
        """Add a deployment to a model."""
        self._world.model(model).add_deployment(spec)

    def remove_deployment(self, model: str, deployment: str) -> None:
        """Remove a deployment, from environments and promotions too."""
        there = self._world.model(model)
        gone = there.deployments.pop(there.deployment(deployment).id)
        for environment in there.environments.values():
            if environment.current is gone:
                environment.current = None
            if environment.promotion is not None and environment.promotion.candidate is gone:
                environment.promotion = None

    def add_environment(self, model: str, spec: EnvironmentSpec) -> None:
        """Add an environment to a model."""
        self._world.model(model).add_environment(spec)

    def remove_environment(self, model: str, environment: str) -> None:
        """Remove an environment of a model; its deployment stays."""
        gone = self._world.environment(model, environment)
        del self._world.model(model).environments[environment]
        if gone.current is not None:
            gone.current.environment = None

    def add_chain(self, spec: ChainSpec) -> None:
        """Add a chain."""
        self._world.add_chain(spec)

    def rename_chain(self, chain: str, name: str) -> None:
        """Give a chain another name."""
        self._world.chain(chain).name = name

    def recreate_chain(self, chain: str, new: str) -> None:
        """Delete a chain and make one of its name anew, with another id."""
        self._world.recreate_chain(chain, new)

    def remove_chain(self, chain: str) -> None:
        """Remove a chain."""
        del self._world.chains[self._world.chain(chain).id]

    def add_chain_environment(self, chain: str, spec: ChainEnvironmentSpec) -> None:
        """Add an environment to a chain."""
        self._world.chain(chain).add_environment(spec)

    def add_chainlet(self, chain: str, environment: str, spec: ChainletSpec) -> None:
        """Add a chainlet to an environment."""
        self._world.chain_environment(chain, environment).add_chainlet(spec)

    def remove_chainlet(self, chain: str, environment: str, chainlet: str) -> None:
        """Remove a chainlet from an environment."""
        self._world.chain_environment(chain, environment).chainlets.pop(
            self._world.chainlet(chain, environment, chainlet).name
        )

    def set_settings(self, target: Target, values: Values) -> None:
        """Change values at once, as somebody else would; an environment's deployment follows."""
        self._settings(target).set(values)
        if isinstance(target, EnvironmentTarget):
            environment = self._world.environment(target.model, target.environment)
            if environment.current is not None:
                environment.current.settings.set(environment.passed_on(values))

    def settings(self, target: Target) -> Values | None:
        """Return the values in force now."""
        return self._settings(target).shown

    def set_deployment_status(
        self, model: str, deployment: str, status: DeploymentStatus, replicas: int | None
    ) -> None:
        """Change a deployment's status; the end of a build applies what was queued."""
        writes.set_deployment_status(self._world, self._world.model(model).deployment(deployment), status, replicas)

    def set_chainlet_status(
        self, chain: str, environment: str, chainlet: str, status: DeploymentStatus, replicas: int | None
    ) -> None:
        """Change a chainlet's status; the end of a build applies what was queued."""
        writes.set_chainlet_status(self._world, chain, environment, chainlet, status, replicas)

    def start_promotion(
        self, model: str, environment: str, deployment: str, *, status: PromotionStatus, percent: int, settings: Values
    ) -> None:
        """Start to promote a deployment, or change how far the promotion is."""
        candidate = self._world.model(model).deployment(deployment)
        promotion = Promotion(status, percent, candidate=candidate, settings=settings)
        writes.start_promotion(self._world.environment(model, environment), promotion)

    def finish_promotion(self, model: str, environment: str, *, succeeded: bool) -> None:
        """End a promotion."""
        writes.finish_promotion(self._world, self._world.environment(model, environment), succeeded=succeeded)

    def start_chain_promotion(self, chain: str, environment: str, *, status: PromotionStatus, percent: int) -> None:
        """Start the promotion of a chain, or change how far it is."""
        self._world.chain_environment(chain, environment).promotion = Progress(status, percent)

    def finish_chain_promotion(self, chain: str, environment: str, *, succeeded: bool) -> None:
        """End the promotion of a chain."""
        writes.finish_chain_promotion(self._world.chain_environment(chain, environment), succeeded=succeeded)

    def open_schedule(self, model: str, environment: str, schedule: str, values: Values) -> None:
        """Let one of the platform's own schedules override settings of the deployment that serves."""
        writes.open_window(self._world.environment(model, environment), Schedule(schedule, values))

    def close_schedule(self, model: str, environment: str) -> None:
        """End what a schedule overrides."""
        writes.close_window(self._world.environment(model, environment))

    def set_restricted(self, target: EnvironmentTarget | ChainEnvironmentTarget, *, restricted: bool) -> None:
        """Forbid to change an environment, or allow it again."""
        if isinstance(target, EnvironmentTarget):
            self._world.environment(target.model, target.environment).restricted = restricted
        else:
            self._world.chain_environment(target.chain, target.environment).restricted = restricted

    def set_options(self, changes: dict[str, Any]) -> None:
        """Change how the API behaves from now on."""
        self._world.options = Options.model_validate(self._world.options.model_dump() | changes)

    def _settings(self, target: Target) -> Converging:
        match target:
            case DeploymentTarget():
                return self._world.model(target.model).deployment(target.deployment).settings
            case EnvironmentTarget():
                return self._world.environment(target.model, target.environment).settings
            case ChainletTarget():
                return self._world.chainlet(target.chain, target.environment, target.chainlet).settings
