"""Client of Baseten's management API: autoscaling settings of deployments, environments and chainlets.

Paths, bodies and status words are those of the Baseten management API reference. It documents no read of the settings
alone, so they are taken from the things that have them, and from lists where one request serves many resources: all
deployments of a model, all environments of a model, all chainlets of a chain's environment.

A write is accepted, not applied: a read right after it may still show the old values. Whoever verifies a write passes
the time its answer came as `not_before`.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from heapq import nsmallest
from typing import Any

import httpx

from setpoint.remotes.answers import Answer
from setpoint.remotes.baseten_shapes import ChainEnvironment, Deployment, Environment, Item, Running, items, written
from setpoint.remotes.commons import Commons
from setpoint.remotes.credential import Credential
from setpoint.remotes.errors import TargetNotFound
from setpoint.remotes.http import HttpApi
from setpoint.remotes.limits import Limits
from setpoint.remotes.meter import Meter
from setpoint.remotes.names import Listing, Named, Names
from setpoint.remotes.pinned import Check
from setpoint.remotes.shared import SharedReads
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.common import clean_message

__all__ = ["Baseten", "ChainEnvironment", "Deployment", "Environment", "Running"]

_MODELS = "/v1/models"
_CHAINS = "/v1/chains"
_TEAMS = "/v1/teams"
_MODELS_OF_TEAM = "/v1/teams/{team_id}/models"
_DEPLOYMENTS = "/v1/models/{model_id}/deployments"
_ENVIRONMENTS = "/v1/models/{model_id}/environments"
_CHAIN_ENVIRONMENT = "/v1/chains/{chain_id}/environments/{env_name}"

_NAMED_DEPLOYMENTS = frozenset({"development", "production"})
_SHOWN = 10
"""Things named in the message that one is missing."""


class Baseten:
    """Writes and reads autoscaling settings on one connection.

    Every method may raise any `RemoteError`. `urgent` requests go ahead of others at the limiter.
    """

    def __init__(self, http: HttpApi, reads: SharedReads) -> None:
        self._http = http
        self._reads = reads
        self._models = Names("model", partial(self._listing, _MODELS, "models"))
        self._chains = Names("chain", partial(self._listing, _CHAINS, "chains"))
        self._teams = Names("team", partial(self._listing, _TEAMS, "teams"))
        self._models_of: dict[Named, Names] = {}
        self._chains_of: dict[Named, Names] = {}

    @classmethod
    def connect(
        cls,
        *,
        url: str,
        credential: Credential,
        requests_per_second: int,
        timeout: float,
        limits: Limits,
        ca_pem: bytes | None = None,
        check: Check | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        meter: Meter | None = None,
        commons: Commons | None = None,
        owner: str = "",
    ) -> "Baseten":
        """Return a client; nothing is sent yet.

        `timeout` is the seconds a request may take, `ca_pem` replaces the public certificate authorities, `check`
        judges the addresses the host resolves to, `transport` stands in for the network, and `meter` is told of requests.
        `commons` is what the clients of the process share, and `owner` names those whose answers are accounted for together.

        Raises:
            ValueError: the URL cannot be used, or the bundle has no certificate or one that cannot be read.
        """
        http = HttpApi(
            "Baseten",
            url,
            credential,
            requests_per_second=requests_per_second,
            timeout=timeout,
            limits=limits,
            ca_pem=ca_pem,
            check=check,
            transport=transport,
            meter=meter,
            commons=commons,
            owner=owner,
        )
        return cls(http, SharedReads())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._http!r}>"

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, or waits for its turn."""
        return self._http.is_busy

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def probe(self) -> str | None:
        """Ask for the names of all models, which serves as a look whether the key works; the API tells no version."""
        await self._listing(_MODELS, "models", -math.inf)
        return None

    async def update_deployment(
        self, model_id: str, deployment: str, settings: AutoscalingSettings, *, urgent: bool
    ) -> Answer:
        """Write settings of a deployment: `development`, `production` or an id."""
        params = {"model_id": model_id}
        path = f"{_DEPLOYMENTS}/{{deployment_id}}/autoscaling_settings"
        if deployment in _NAMED_DEPLOYMENTS:
            path = f"{_DEPLOYMENTS}/{deployment}/autoscaling_settings"
        else:
            params["deployment_id"] = deployment
        return await self._write(path, params, settings.to_wire(), urgent=urgent)

    async def update_environment(
        self, model_id: str, environment: str, settings: AutoscalingSettings, *, urgent: bool
    ) -> Answer:
        """Write settings of an environment of a model; they outlast promotions."""
        params = {"model_id": model_id, "env_name": environment}
        body = {"autoscaling_settings": settings.to_wire()}
        return await self._write(f"{_ENVIRONMENTS}/{{env_name}}", params, body, urgent=urgent)

    async def update_chainlets(
        self, chain_id: str, environment: str, settings: Mapping[str, AutoscalingSettings], *, urgent: bool
    ) -> Answer:
        """Write settings of chainlets in an environment of a chain, all in one request and in the given order."""
        params = {"chain_id": chain_id, "env_name": environment}
        updates = [
            {"chainlet_name": name, "autoscaling_settings": chainlet.to_wire()} for name, chainlet in settings.items()
        ]
        path = f"{_CHAIN_ENVIRONMENT}/chainlet_settings/autoscaling_settings"
        return await self._write(path, params, {"updates": updates}, urgent=urgent)

    async def deployment(
        self, model_id: str, deployment: str, *, not_before: float | None = None, urgent: bool = False
    ) -> Deployment:
        """Return a deployment: `development`, `production` or an id.

        Raises:
            TargetNotFound: the model has no such deployment; the message names those there are.
        """
        deployments = await self._of_model(_DEPLOYMENTS, "deployments", "id", model_id, not_before, urgent=urgent)
        for item in deployments:
            if item.get(f"is_{deployment}") is True if deployment in _NAMED_DEPLOYMENTS else item["id"] == deployment:
                return Deployment.from_wire(item)
        there = _named(_called(item) for item in deployments)
        raise TargetNotFound(f"model {model_id} has no deployment {deployment}; it has {there}")

    async def environment(
        self, model_id: str, environment: str, *, not_before: float | None = None, urgent: bool = False
    ) -> Environment:
        """Return an environment of a model.

        Raises:
            TargetNotFound: the model has no such environment; the message names those there are.
        """
        environments = await self._of_model(_ENVIRONMENTS, "environments", "name", model_id, not_before, urgent=urgent)
        for item in environments:
            if item["name"] == environment:
                return Environment.from_wire(item)
        there = _named(str(item["name"]) for item in environments)
        raise TargetNotFound(f"model {model_id} has no environment {environment}; it has {there}")

    async def chain_environment(
        self, chain_id: str, environment: str, *, not_before: float | None = None, urgent: bool = False
    ) -> ChainEnvironment:
        """Return an environment of a chain with all of its chainlets.

        Raises:
            TargetNotFound: there is no such chain or environment.
        """

        async def read() -> ChainEnvironment:
            params = {"chain_id": chain_id, "env_name": environment}
            body = await self._http.request("GET", _CHAIN_ENVIRONMENT, params, urgent=urgent)
            return ChainEnvironment.from_wire(body, environment)

        try:
            return await self._reads.get(
                (_CHAIN_ENVIRONMENT, chain_id, environment), read, not_before=not_before, urgent=urgent
            )
        except TargetNotFound as error:
            if error.status is None:
                raise
            raise TargetNotFound(
                f"chain {chain_id} or its environment {environment} does not exist (or this key cannot see it)",
                status=error.status,
                api_message=error.api_message,
            ) from None

    async def model_id(self, name: str, team: str | None = None) -> str:
        """Return the id of the model with that name, in the team of that id or name if one is given.

        Raises:
            TargetNotFound: there is none, or no such team, or (AmbiguousName) there are several.
        """
        if team is None:
            return await self._models.id(name)
        of = await self._teams.find(team)
        read = partial(self._listing, _MODELS_OF_TEAM, "models", team_id=of.id)
        return await self._models_of.setdefault(of, Names("model", read, f" in team {of.name}")).id(name)

    async def chain_id(self, name: str, team: str | None = None) -> str:
        """Return the id of the chain with that name, in the team of that id or name if one is given.

        The API has no list of the chains of one team; the one of all chains tells the name of each one's team.

        Raises:
            TargetNotFound: there is none, or no such team, or (AmbiguousName) there are several.
        """
        if team is None:
            return await self._chains.id(name)
        of = await self._teams.find(team)
        read = partial(self._chains_listing, of.name)
        return await self._chains_of.setdefault(of, Names("chain", read, f" in team {of.name}")).id(name)

    async def model_name(self, model_id: str) -> str | None:
        """Return the name the model has by a list that is at most ten seconds old; None where it is gone."""
        return await self._models.name(model_id)

    async def chain_name(self, chain_id: str) -> str | None:
        """Return the name the chain has by a list that is at most ten seconds old; None where it is gone."""
        return await self._chains.name(chain_id)

    def forget_names(self) -> None:
        """Look names up anew from now on, because one has led to an id that does not exist any more."""
        for names in (self._models, self._chains, self._teams, *self._models_of.values(), *self._chains_of.values()):
            names.forget()

    async def _write(self, template: str, params: Mapping[str, str], body: Any, *, urgent: bool) -> Answer:
        answer = written(await self._http.request("PATCH", template, params, body, urgent=urgent))
        return Answer(*(clean_message(self._http.redact(text)) for text in (answer.status, answer.message)))

    async def _of_model(
        self, template: str, field: str, key: str, model_id: str, not_before: float | None, *, urgent: bool
    ) -> list[Item]:
        async def read() -> list[Item]:
            return await self._http.request_list(
                template, {"model_id": model_id}, partial(items, field=field, key=key), urgent=urgent
            )

        try:
            return await self._reads.get((template, model_id), read, not_before=not_before, urgent=urgent)
        except TargetNotFound as error:
            if error.status is None:
                raise
            raise TargetNotFound(
                f"model {model_id} does not exist (or this key cannot see it)",
                status=error.status,
                api_message=error.api_message,
            ) from None

    async def _listing(self, template: str, field: str, not_before: float, **params: str) -> Listing:
        async def read() -> Listing:
            def named(body: Any) -> Iterable[Named]:
                return (
                    Named(item["id"], name, team if isinstance(team := item.get("team_name"), str) else None)
                    for item in items(body, field, key="id")
                    if isinstance(name := item.get("name"), str)
                )

            return Listing(await self._http.request_list(template, params, named, urgent=True))

        key = (template, *params.values())
        return await self._reads.get(key, read, not_before=not_before, urgent=True)

    async def _chains_listing(self, team: str, not_before: float) -> Listing:
        listing = await self._listing(_CHAINS, "chains", not_before)
        return Listing(chain for chain in listing.by_id.values() if chain.team == team)


def _called(deployment: Item) -> str:
    name = deployment.get("name")
    return f"{deployment['id']} ({name})" if isinstance(name, str) else str(deployment["id"])


def _named(things: Iterable[str]) -> str:
    """Return the first few things for a message, in a steady order, and how many more there are."""
    names = list(things)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(nsmallest(_SHOWN, names))}{more}" if names else "none"
