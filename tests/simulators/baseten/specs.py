"""Descriptions of the things a test puts into the simulator, shared by the simulator and the tests."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from tests.simulators.baseten.settings import Values

DeploymentStatus: TypeAlias = Literal[
    "BUILDING",
    "DEPLOYING",
    "DEPLOY_FAILED",
    "LOADING_MODEL",
    "ACTIVE",
    "UNHEALTHY",
    "BUILD_FAILED",
    "BUILD_STOPPED",
    "DEACTIVATING",
    "INACTIVE",
    "FAILED",
    "UPDATING",
    "SCALED_TO_ZERO",
    "WAKING_UP",
]
PromotionStatus: TypeAlias = Literal[
    "RELEASING", "RAMPING_UP", "RAMPING_DOWN", "PAUSED", "SUCCEEDED", "FAILED", "CANCELED"
]
Cleanup: TypeAlias = Literal["KEEP", "SCALE_TO_ZERO", "DEACTIVATE"]
"""What becomes of the deployment that a promotion has replaced."""
EnvironmentShape: TypeAlias = Literal["new", "old", "bare", "wrapped"]
"""What answers the update of an environment."""
ErrorShape: TypeAlias = Literal["code", "details", "errors", "control plane"]
"""Where a refusal has its code and its text."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeploymentSpec(_Spec):
    """A deployment of a model."""

    id: str
    name: str = ""
    """The id unless given."""
    status: DeploymentStatus = "ACTIVE"
    settings: Values | None = {}
    """What differs from the defaults; None while it was never deployed."""
    production: bool = False
    """The current deployment of an environment `production` is it anyway."""
    development: bool = False
    replicas: int | None = None
    """Active ones; None lets the status decide."""


class EnvironmentSpec(_Spec):
    """An environment of a model."""

    name: str
    current: str | None = None
    """Id of its deployment."""
    settings: Values = {}
    """What differs from the defaults; its deployment gets these values too, instead of its own."""
    restricted: bool = False
    cleanup: Cleanup = "SCALE_TO_ZERO"


class ModelSpec(_Spec):
    """A model."""

    id: str
    name: str
    deployments: list[DeploymentSpec] = []
    environments: list[EnvironmentSpec] = []
    team: str = "default"
    """Name of its team, which is made where there is none of it."""


class ChainletSpec(_Spec):
    """A chainlet in an environment of a chain."""

    name: str
    status: DeploymentStatus = "ACTIVE"
    settings: Values | None = {}
    """What differs from the defaults; None while it was never deployed."""
    replicas: int | None = None
    """Active ones; None lets the status decide."""


class ChainEnvironmentSpec(_Spec):
    """An environment of a chain."""

    name: str
    chainlets: list[ChainletSpec] = []
    restricted: bool = False


class ChainSpec(_Spec):
    """A chain."""

    id: str
    name: str
    environments: list[ChainEnvironmentSpec] = []
    team: str = "default"


class TeamSpec(_Spec):
    """A team."""

    id: str
    name: str
    default: bool = False


class WorldSpec(_Spec):
    """Everything an organisation has."""

    teams: list[TeamSpec] = []
    """Those of models and chains that are not among them are made."""
    models: list[ModelSpec] = []
    chains: list[ChainSpec] = []


class DeploymentTarget(_Spec):
    """Where the settings of a deployment are."""

    model: str
    deployment: str
    """Id, `production` or `development`."""


class EnvironmentTarget(_Spec):
    """Where the settings of a model's environment are."""

    model: str
    environment: str


class ChainEnvironmentTarget(_Spec):
    """An environment of a chain."""

    chain: str
    environment: str


class ChainletTarget(ChainEnvironmentTarget):
    """Where the settings of a chainlet are."""

    chainlet: str


Target: TypeAlias = DeploymentTarget | EnvironmentTarget | ChainletTarget


class Options(_Spec):
    """How the simulator behaves."""

    converge: float = 0.3
    """Seconds after which a read shows what was written; holds for writes from then on."""
    environment_shape: EnvironmentShape = "new"
    """Answer to the update of an environment: the status with the environment, as since August 2026, without it, as before,
    the environment alone, or in its field without the status, which is deprecated there."""
    strict_development: bool = True
    """Whether development deployments refuse changes of their replicas, which are fixed by the vendor's documents."""
    error_shape: ErrorShape = "code"
    """Form of a refusal."""
    max_replica_cap: int | None = None
    """The organisation's limit of replicas."""


DEFAULT_WORLD = WorldSpec(
    models=[
        ModelSpec(
            id="m-greeter",
            name="greeter",
            deployments=[
                DeploymentSpec(id="d-production", name="v2"),
                DeploymentSpec(id="d-staging", name="v3"),
                DeploymentSpec(id="d-free", name="v1"),
                DeploymentSpec(id="d-development", name="development", development=True),
            ],
            environments=[
                EnvironmentSpec(name="production", current="d-production"),
                EnvironmentSpec(name="staging", current="d-staging"),
            ],
        ),
    ],
    chains=[
        ChainSpec(
            id="c-hello",
            name="hello",
            environments=[
                ChainEnvironmentSpec(
                    name="production", chainlets=[ChainletSpec(name="HelloWorld"), ChainletSpec(name="RandInt")]
                ),
                ChainEnvironmentSpec(name="staging", chainlets=[ChainletSpec(name="HelloWorld")]),
            ],
        ),
    ],
)
"""What there is unless a test says otherwise; the chainlets are those of the API's examples."""
