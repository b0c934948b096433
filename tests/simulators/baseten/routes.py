"""The paths of the management API that read and write autoscaling settings."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.simulators.api import Call, Errors, Handler, RefusedError, Reply, Table
from tests.simulators.baseten.settings import ChainletsBody, EnvironmentBody, ModelBody, SettingsBody, parse
from tests.simulators.baseten.shapes import (
    chain_environment_shape,
    chain_shape,
    deployment_shape,
    environment_shape,
    model_shape,
    team_shape,
)
from tests.simulators.baseten.specs import ErrorShape
from tests.simulators.baseten.world import World
from tests.simulators.baseten.writes import Outcome, write_chainlets, write_deployment, write_environment

ERRORS = Errors(
    unauthorized=Reply(401, {"code": "UNAUTHENTICATED", "message": "The API key is missing or not valid"}),
    not_found=Reply(404, {"code": "NOT_FOUND", "message": "There is no such path"}),
    not_allowed=Reply(405, {"code": "METHOD_NOT_ALLOWED", "message": "This path does not have this method"}),
    too_many={"error": "Rate limit exceeded. Please retry later."},
)
"""Only the body of 429 is known; the API documents no errors."""

_MESSAGES: dict[Outcome, str] = {
    "ACCEPTED": "The autoscaling settings are being updated.",
    "QUEUED": "The autoscaling settings will be updated once the deployment is ready.",
    "UNCHANGED": "The autoscaling settings are the same as before.",
}


def table(world: World) -> Table:
    """Return the handlers by path template and method."""
    reads = _Reads(world)
    writes = _Writes(world)
    handlers: dict[str, dict[str, Handler]] = {
        "/v1/teams": {"GET": reads.teams},
        "/v1/teams/{team_id}": {"GET": reads.team},
        "/v1/teams/{team_id}/models": {"GET": reads.team_models},
        "/v1/models": {"GET": reads.models},
        "/v1/models/{model_id}": {"GET": reads.model, "PATCH": writes.model},
        "/v1/models/{model_id}/deployments": {"GET": reads.deployments},
        **_deployment_paths("", "GET", reads.deployment),
        **_deployment_paths("/autoscaling_settings", "PATCH", writes.deployment),
        "/v1/models/{model_id}/environments": {"GET": reads.environments},
        "/v1/models/{model_id}/environments/{env_name}": {"GET": reads.environment, "PATCH": writes.environment},
        "/v1/chains": {"GET": reads.chains},
        "/v1/chains/{chain_id}": {"GET": reads.chain},
        "/v1/chains/{chain_id}/environments": {"GET": reads.chain_environments},
        "/v1/chains/{chain_id}/environments/{env_name}": {"GET": reads.chain_environment},
        "/v1/chains/{chain_id}/environments/{env_name}/chainlet_settings/autoscaling_settings": {
            "PATCH": writes.chainlets
        },
    }
    return {
        path: {method: _refusing(world, handler) for method, handler in methods.items()}
        for path, methods in handlers.items()
    }


def _refusing(world: World, handler: Handler) -> Handler:
    """Return a handler whose refusals have the form that is asked for."""

    def handle(call: Call) -> Reply:
        try:
            return handler(call)
        except RefusedError as refusal:
            reply = refusal.reply
            body = _refusal(reply.body["code"], reply.body["message"], world.options.error_shape)
            raise RefusedError(Reply(reply.status, body, reply.headers)) from None

    return handle


def _refusal(code: str, text: str, shape: ErrorShape) -> dict[str, Any]:
    """Return the body of a refusal; what the items of `details` and `errors` look like is not documented."""
    match shape:
        case "code":
            return {"code": code, "message": text}
        case "details":
            return {"code": code, "message": "The request was refused.", "details": [{"message": text}]}
        case "errors":
            return {"errors": [{"code": code, "message": text}]}
        case "control plane":
            return {"error": code, "message": text}


def _deployment_paths(suffix: str, method: str, handler: Callable[[Call, str], Reply]) -> dict[str, dict[str, Handler]]:
    """Return the three paths to a deployment: the API documents each as an endpoint of its own."""

    def by_id(call: Call) -> Reply:
        return handler(call, call.params["deployment_id"])

    def development(call: Call) -> Reply:
        return handler(call, "development")

    def production(call: Call) -> Reply:
        return handler(call, "production")

    base = "/v1/models/{model_id}/deployments"
    # The more general path comes last, because the first that fits is taken.
    return {
        f"{base}/development{suffix}": {method: development},
        f"{base}/production{suffix}": {method: production},
        f"{base}/{{deployment_id}}{suffix}": {method: by_id},
    }


class _Reads:
    def __init__(self, world: World) -> None:
        self._world = world

    def teams(self, call: Call) -> Reply:
        return Reply(200, {"teams": _named(call, map(team_shape, self._world.teams.values()))})

    def team(self, call: Call) -> Reply:
        return Reply(200, team_shape(self._world.team(call.params["team_id"])))

    def team_models(self, call: Call) -> Reply:
        team = self._world.team(call.params["team_id"])
        models = (model_shape(model) for model in self._world.models.values() if model.team is team)
        return Reply(200, {"models": _named(call, models)})

    def models(self, call: Call) -> Reply:
        return Reply(200, {"models": _named(call, map(model_shape, self._world.models.values()))})

    def model(self, call: Call) -> Reply:
        return Reply(200, model_shape(self._world.model(call.params["model_id"])))

    def deployments(self, call: Call) -> Reply:
        deployments = self._world.model(call.params["model_id"]).deployments.values()
        return Reply(200, {"deployments": _named(call, map(deployment_shape, deployments))})

    def deployment(self, call: Call, which: str) -> Reply:
        return Reply(200, deployment_shape(self._world.model(call.params["model_id"]).deployment(which)))

    def environments(self, call: Call) -> Reply:
        environments = self._world.model(call.params["model_id"]).environments.values()
        return Reply(200, {"environments": [environment_shape(environment) for environment in environments]})

    def environment(self, call: Call) -> Reply:
        return Reply(200, environment_shape(self._world.environment(call.params["model_id"], call.params["env_name"])))

    def chains(self, _: Call) -> Reply:
        return Reply(200, {"chains": [chain_shape(chain) for chain in self._world.chains.values()]})

    def chain(self, call: Call) -> Reply:
        return Reply(200, chain_shape(self._world.chain(call.params["chain_id"])))

    def chain_environments(self, call: Call) -> Reply:
        environments = self._world.chain(call.params["chain_id"]).environments.values()
        return Reply(200, {"environments": [chain_environment_shape(environment) for environment in environments]})

    def chain_environment(self, call: Call) -> Reply:
        environment = self._world.chain_environment(call.params["chain_id"], call.params["env_name"])
        return Reply(200, chain_environment_shape(environment))


class _Writes:
    def __init__(self, world: World) -> None:
        self._world = world

    def model(self, call: Call) -> Reply:
        body = parse(ModelBody, call.body)
        model = self._world.model(call.params["model_id"])
        if body.name is not None:
            self._world.rename_model(model, body.name)
        return Reply(200, model_shape(model))

    def deployment(self, call: Call, which: str) -> Reply:
        body = parse(SettingsBody, call.body)
        deployment = self._world.model(call.params["model_id"]).deployment(which)
        return _answer(write_deployment(self._world, deployment, body.changes()))

    def environment(self, call: Call) -> Reply:
        body = parse(EnvironmentBody, call.body)
        environment = self._world.environment(call.params["model_id"], call.params["env_name"])
        changes = body.autoscaling_settings.changes() if body.autoscaling_settings else {}
        reply = _answer(write_environment(self._world, environment, changes))
        now = environment_shape(environment)
        match self._world.options.environment_shape:
            case "new":
                return Reply(200, {"environment": now, **reply.body})
            case "old":
                return reply
            case "bare":
                return Reply(200, now)
            case "wrapped":
                return Reply(200, {"environment": now})

    def chainlets(self, call: Call) -> Reply:
        body = parse(ChainletsBody, call.body)
        outcome = write_chainlets(self._world, call.params["chain_id"], call.params["env_name"], body.updates)
        return _answer(outcome)


def _answer(outcome: Outcome) -> Reply:
    return Reply(200, {"status": outcome, "message": _MESSAGES[outcome]})


def _named(call: Call, things: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the things of exactly the name in the query, all where there is none in it."""
    name = call.query.get("name")
    return [thing for thing in things if name is None or thing["name"] == name]
