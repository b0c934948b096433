"""What an organisation has at Baseten: models with deployments and environments, chains with environments."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tests.simulators.api import RefusedError, Reply
from tests.simulators.baseten.settings import Converging, Value, Values, invalid
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    ChainSpec,
    Cleanup,
    DeploymentSpec,
    DeploymentStatus,
    EnvironmentSpec,
    ModelSpec,
    Options,
    PromotionStatus,
    TeamSpec,
    WorldSpec,
)

Thing = TypeVar("Thing")

BUILDING: frozenset[DeploymentStatus] = frozenset({"BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING"})
SERVING: frozenset[DeploymentStatus] = frozenset({"ACTIVE", "UPDATING"})
PROMOTING: frozenset[PromotionStatus] = frozenset({"RELEASING", "RAMPING_UP", "RAMPING_DOWN", "PAUSED"})


@dataclass(frozen=True, slots=True)
class Team:
    """A team, which has models and chains; names of these are unique within it."""

    id: str
    name: str
    default: bool


@dataclass(slots=True)
class Serving:
    """What serves requests, a deployment or a chainlet."""

    status: DeploymentStatus
    settings: Converging
    replicas: int | None = None
    """Active ones that a test has asked for."""

    @property
    def active_replicas(self) -> int:
        """How many replicas serve."""
        if self.replicas is not None:
            return self.replicas
        least = int((self.settings.shown or {}).get("min_replica") or 0)
        return max(1, least) if self.status in SERVING else 0


@dataclass(slots=True, kw_only=True)
class Deployment(Serving):
    """A deployment of a model."""

    id: str
    name: str
    model_id: str
    production: bool
    development: bool
    environment: str | None = None


@dataclass(slots=True)
class Progress:
    """How far a promotion is that is under way, or how the last one has ended."""

    status: PromotionStatus
    percent: int

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status in PROMOTING


@dataclass(slots=True, kw_only=True)
class Promotion(Progress):
    """The promotion of a deployment to an environment of its model."""

    candidate: Deployment
    settings: Values
    """Changes of the environment's settings, which stay when it succeeds."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One of the platform's own schedules; tests open and close its windows."""

    id: str
    settings: Values
    """What it overrides."""


@dataclass(slots=True)
class Environment:
    """An environment of a model."""

    name: str
    model_id: str
    settings: Converging
    current: Deployment | None
    restricted: bool
    cleanup: Cleanup
    promotion: Promotion | None = None
    schedules: dict[str, Schedule] = field(default_factory=dict)
    window: Schedule | None = None
    """The schedule whose window is open."""

    def passed_on(self, changes: Mapping[str, Value]) -> Values:
        """Return which changes of its settings reach its deployment: those that no open window overrides."""
        overridden = self.window.settings if self.window is not None else {}
        return {name: value for name, value in changes.items() if name not in overridden}

    @property
    def in_force(self) -> Values:
        """What its deployment has: its own settings, and what the open window overrides."""
        return (self.settings.shown or {}) | (self.window.settings if self.window is not None else {})

    @property
    def held(self) -> bool:
        """Whether writes wait."""
        promoting = self.promotion is not None and self.promotion.running
        return promoting or (self.current is not None and self.current.status in BUILDING)


@dataclass(slots=True)
class Model:
    """A model."""

    id: str
    name: str
    team: Team
    spec: ModelSpec
    """What it was made from."""
    deployments: dict[str, Deployment] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)

    def add_deployment(self, spec: DeploymentSpec) -> None:
        """Add a deployment."""
        self.deployments[spec.id] = Deployment(
            id=spec.id,
            name=spec.name or spec.id,
            model_id=self.id,
            production=spec.production,
            development=spec.development,
            status=spec.status,
            settings=Converging(spec.settings),
            replicas=spec.replicas,
        )

    def add_environment(self, spec: EnvironmentSpec) -> None:
        """Add an environment."""
        current = None if spec.current is None else found(self.deployments, spec.current, "deployment")
        self.environments[spec.name] = Environment(
            spec.name, self.id, Converging(spec.settings), current, spec.restricted, spec.cleanup
        )
        if current is not None:
            self.attach(current, spec.name)
            if current.settings.shown is not None:
                current.settings.set(spec.settings)

    def attach(self, deployment: Deployment, environment: str) -> None:
        """Make a deployment the one of an environment."""
        for other in self.deployments.values():
            if other.environment == environment:
                other.environment = None
        deployment.environment = environment
        if environment == "production":
            for other in self.deployments.values():
                other.production = other is deployment

    def deployment(self, which: str) -> Deployment:
        """Return a deployment by id or as `production` or `development`, or raise `RefusedError`."""
        match which:
            case "production":
                there = [deployment for deployment in self.deployments.values() if deployment.production]
            case "development":
                there = [deployment for deployment in self.deployments.values() if deployment.development]
            case _:
                there = [self.deployments[which]] if which in self.deployments else []
        if not there:
            raise missing("deployment", which)
        return there[0]


@dataclass(slots=True, kw_only=True)
class Chainlet(Serving):
    """A chainlet in an environment of a chain."""

    name: str


@dataclass(slots=True)
class ChainEnvironment:
    """An environment of a chain."""

    name: str
    chain_id: str
    restricted: bool
    chainlets: dict[str, Chainlet] = field(default_factory=dict)
    promotion: Progress | None = None
    generation: int = 1
    """Counts the deployments it has had."""

    @property
    def promoting(self) -> bool:
        """Whether a promotion is under way."""
        return self.promotion is not None and self.promotion.running

    def add_chainlet(self, spec: ChainletSpec) -> None:
        """Add a chainlet."""
        self.chainlets[spec.name] = Chainlet(
            name=spec.name, status=spec.status, settings=Converging(spec.settings), replicas=spec.replicas
        )


@dataclass(slots=True)
class Chain:
    """A chain."""

    id: str
    name: str
    team: Team
    spec: ChainSpec
    """What it was made from."""
    environments: dict[str, ChainEnvironment] = field(default_factory=dict)

    def add_environment(self, spec: ChainEnvironmentSpec) -> None:
        """Add an environment."""
        environment = ChainEnvironment(spec.name, self.id, spec.restricted)
        for chainlet in spec.chainlets:
            environment.add_chainlet(chainlet)
        self.environments[spec.name] = environment


class World:
    """Everything there is."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.teams: dict[str, Team] = {}
        self.models: dict[str, Model] = {}
        self.chains: dict[str, Chain] = {}

    def seed(self, spec: WorldSpec) -> None:
        """Replace everything."""
        self.teams, self.models, self.chains = {}, {}, {}
        for team in spec.teams:
            self.add_team(team)
        for model in spec.models:
            self.add_model(model)
        for chain in spec.chains:
            self.add_chain(chain)

    def add_team(self, spec: TeamSpec) -> Team:
        """Add a team, instead of one with the same id."""
        self.teams[spec.id] = team = Team(spec.id, spec.name, spec.default)
        return team

    def add_model(self, spec: ModelSpec) -> None:
        """Add a model, instead of one with the same id."""
        model = Model(spec.id, spec.name, self._team_named(spec.team), spec)
        for deployment in spec.deployments:
            model.add_deployment(deployment)
        for environment in spec.environments:
            model.add_environment(environment)
        self.models[spec.id] = model

    def add_chain(self, spec: ChainSpec) -> None:
        """Add a chain, instead of one with the same id."""
        chain = Chain(spec.id, spec.name, self._team_named(spec.team), spec)
        for environment in spec.environments:
            chain.add_environment(environment)
        self.chains[spec.id] = chain

    def rename_model(self, model: Model, name: str) -> None:
        """Give a model another name, or raise `RefusedError`; nothing else of it changes."""
        if any(other.name == name and other.team is model.team for other in self.models.values() if other is not model):
            raise invalid(f"name: team {model.team.name} has a model {name} already")
        model.name = name

    def recreate_model(self, model_id: str, new_id: str) -> None:
        """Delete a model and make one of its name anew, with other ids of everything and the settings of its start."""
        old = self.model(model_id)
        del self.models[model_id]
        deployments = [
            one.model_copy(update={"id": f"{new_id}-{one.id}", "name": one.name or one.id})
            for one in old.spec.deployments
        ]
        environments = [
            one.model_copy(update={"current": one.current and f"{new_id}-{one.current}"})
            for one in old.spec.environments
        ]
        made = {"id": new_id, "name": old.name, "deployments": deployments, "environments": environments}
        self.add_model(old.spec.model_copy(update=made))

    def recreate_chain(self, chain_id: str, new_id: str) -> None:
        """Delete a chain and make one of its name anew, with another id and the settings of its start."""
        old = self.chain(chain_id)
        del self.chains[chain_id]
        self.add_chain(old.spec.model_copy(update={"id": new_id, "name": old.name}))

    def team(self, team_id: str) -> Team:
        """Return a team, or raise `RefusedError`."""
        return found(self.teams, team_id, "team")

    def _team_named(self, name: str) -> Team:
        """Return the team of a name, which is made where there is none."""
        there = [team for team in self.teams.values() if team.name == name]
        made = TeamSpec(id=f"t-{re.sub(r'[^a-z0-9]+', '-', name.lower())}", name=name, default=name == "default")
        return there[0] if there else self.add_team(made)

    def model(self, model_id: str) -> Model:
        """Return a model, or raise `RefusedError`."""
        return found(self.models, model_id, "model")

    def environment(self, model_id: str, name: str) -> Environment:
        """Return an environment of a model, or raise `RefusedError`."""
        return found(self.model(model_id).environments, name, "environment")

    def chain(self, chain_id: str) -> Chain:
        """Return a chain, or raise `RefusedError`."""
        return found(self.chains, chain_id, "chain")

    def chain_environment(self, chain_id: str, name: str) -> ChainEnvironment:
        """Return an environment of a chain, or raise `RefusedError`."""
        return found(self.chain(chain_id).environments, name, "environment")

    def chainlet(self, chain_id: str, environment: str, name: str) -> Chainlet:
        """Return a chainlet, or raise `RefusedError`."""
        return found(self.chain_environment(chain_id, environment).chainlets, name, "chainlet")


def missing(kind: str, name: str) -> RefusedError:
    """Return the refusal for something that is not there; the API documents no body for it."""
    return RefusedError(Reply(404, {"code": "NOT_FOUND", "message": f"{kind} {name} does not exist"}))


def found(things: dict[str, Thing], name: str, kind: str) -> Thing:
    """Return one of the things, or raise `RefusedError`."""
    if name not in things:
        raise missing(kind, name)
    return things[name]
