"""What an organisation has at Baseten: models with deployments and environments, chains with environments."""

from dataclasses import dataclass, field
from typing import TypeVar

from tests.simulators.api import RefusedError, Reply
from tests.simulators.baseten.settings import Converging
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    ChainSpec,
    DeploymentSpec,
    DeploymentStatus,
    EnvironmentSpec,
    ModelSpec,
    Options,
    PromotionStatus,
    WorldSpec,
)

Thing = TypeVar("Thing")

BUILDING: frozenset[DeploymentStatus] = frozenset({"BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING"})
PROMOTING: frozenset[PromotionStatus] = frozenset({"RELEASING", "RAMPING_UP", "RAMPING_DOWN", "PAUSED"})


@dataclass(slots=True)
class Deployment:
    """A deployment of a model."""

    id: str
    name: str
    model_id: str
    production: bool
    development: bool
    status: DeploymentStatus
    settings: Converging
    environment: str | None = None


@dataclass(slots=True)
class Promotion:
    """A promotion that is under way, or the last one when it has failed."""

    candidate: Deployment
    status: PromotionStatus
    percent: int

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status in PROMOTING


@dataclass(slots=True)
class Environment:
    """An environment of a model."""

    name: str
    model_id: str
    settings: Converging
    current: Deployment | None
    restricted: bool
    promotion: Promotion | None = None
    schedule_id: str | None = None

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
    team: str
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
        )

    def add_environment(self, spec: EnvironmentSpec) -> None:
        """Add an environment."""
        current = None if spec.current is None else found(self.deployments, spec.current, "deployment")
        self.environments[spec.name] = Environment(
            spec.name, self.id, Converging(spec.settings), current, spec.restricted
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


@dataclass(slots=True)
class Chainlet:
    """A chainlet in an environment of a chain."""

    name: str
    status: DeploymentStatus
    settings: Converging


@dataclass(slots=True)
class ChainEnvironment:
    """An environment of a chain."""

    name: str
    chain_id: str
    restricted: bool
    chainlets: dict[str, Chainlet] = field(default_factory=dict)
    promoting: bool = False

    def add_chainlet(self, spec: ChainletSpec) -> None:
        """Add a chainlet."""
        self.chainlets[spec.name] = Chainlet(spec.name, spec.status, Converging(spec.settings))


@dataclass(slots=True)
class Chain:
    """A chain."""

    id: str
    name: str
    team: str
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
        self.models: dict[str, Model] = {}
        self.chains: dict[str, Chain] = {}

    def seed(self, spec: WorldSpec) -> None:
        """Replace everything."""
        self.models, self.chains = {}, {}
        for model in spec.models:
            self.add_model(model)
        for chain in spec.chains:
            self.add_chain(chain)

    def add_model(self, spec: ModelSpec) -> None:
        """Add a model, instead of one with the same id."""
        model = Model(spec.id, spec.name, spec.team)
        for deployment in spec.deployments:
            model.add_deployment(deployment)
        for environment in spec.environments:
            model.add_environment(environment)
        self.models[spec.id] = model

    def add_chain(self, spec: ChainSpec) -> None:
        """Add a chain, instead of one with the same id."""
        chain = Chain(spec.id, spec.name, spec.team)
        for environment in spec.environments:
            chain.add_environment(environment)
        self.chains[spec.id] = chain

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
