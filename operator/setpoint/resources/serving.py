"""Whether anything serves behind settings that hold, as Baseten's lists tell it of deployments and chainlets.

Settings can be right while nothing serves: a build fails, or the platform deactivates a deployment that had no traffic for
two weeks. Setpoint changes nothing about that; it shows it.
"""

from typing import Annotated

from pydantic import Field

from setpoint.resources.common import Model, Serving

NOT_SERVING = frozenset({"INACTIVE", "BUILD_FAILED", "BUILD_STOPPED", "DEPLOY_FAILED", "FAILED", "UNHEALTHY"})
"""States in which nothing serves and that do not pass by themselves. SCALED_TO_ZERO is none: a request wakes it up."""

STATES = NOT_SERVING | {
    "BUILDING",
    "DEPLOYING",
    "LOADING_MODEL",
    "ACTIVE",
    "DEACTIVATING",
    "UPDATING",
    "SCALED_TO_ZERO",
    "WAKING_UP",
}
"""All states that Baseten documents."""

UNKNOWN = "UNKNOWN"
"""What stands for a state that is missing, or no word as Baseten's are."""

NAMED = 10
"""Chainlets named in one sentence."""

_State = Annotated[
    str,
    Field(
        description="State in Baseten's word, such as ACTIVE, SCALED_TO_ZERO or BUILD_FAILED; UNKNOWN where it gives none."
    ),
]
_Replicas = Annotated[
    int | None, Field(description="Replicas that are active now; absent where Baseten does not tell.")
]


class DeploymentServing(Serving):
    """The deployment that serves, or should."""

    deployment_id: Annotated[
        str, Field(description="Id of the deployment; of an environment, the one that is current there.")
    ]
    status: _State
    active_replicas: _Replicas = None

    @property
    def failed(self) -> str | None:
        """The deployment and its state, where that means that nothing serves; else None."""
        return f"deployment {self.deployment_id} is {self.status}" if self.status in NOT_SERVING else None


class ChainletServing(Model):
    """One managed chainlet of the chain deployment that serves, or should."""

    name: Annotated[str, Field(description="Name of the chainlet.")]
    status: _State
    active_replicas: _Replicas = None


class ChainServing(Serving):
    """The chain deployment that is current in the environment, with the chainlets that the spec names."""

    deployment_id: Annotated[str, Field(description="Id of the chain deployment that is current in the environment.")]
    status: _State
    chainlets: Annotated[
        list[ChainletServing],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            description="The chainlets of the spec that the chain deployment has.",
        ),
    ]

    @property
    def failed(self) -> str | None:
        """The chainlets, or the chain deployment as a whole, whose state means that they do not serve; else None."""
        failing = [f"chainlet {one.name} is {one.status}" for one in self.chainlets if one.status in NOT_SERVING]
        if not failing:
            whole = f"chain deployment {self.deployment_id} is {self.status}"
            return whole if self.status in NOT_SERVING else None
        more = f" and {len(failing) - NAMED} more" if len(failing) > NAMED else ""
        return f"{', '.join(failing[:NAMED])}{more} (chain deployment {self.deployment_id})"
