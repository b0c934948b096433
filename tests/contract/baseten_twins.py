"""For each operation of the simulator the call of the vendor's own client, the SDK `baseten`, that does the same.

One operation has none: `GET /v1/chains/{chain_id}/environments`. The SDK calls it, but takes its answer for environments of
a model, because both lists have one name in the vendor's document; its own class for one environment of a chain reads the
items here. The SDK has no list of a team's chains; whoever needs it filters the list of all chains by `team_name`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote

from baseten.client import managementapi as sdk
from pydantic import BaseModel
from pydantic_core import to_json

from tests.simulators.journal import JournalEntry

Body = TypeVar("Body", bound=BaseModel)


class ChainEnvironments(BaseModel):
    """The answer that the SDK has no class for."""

    environments: list[sdk.ChainEnvironment]


@dataclass(frozen=True, slots=True)
class Given:
    """What a request was sent with."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, entry: JournalEntry) -> "Given":
        """Return it of a request in the journal."""
        path, _, query = entry.path.partition("?")
        pairs = zip(entry.template.split("/"), path.split("/"), strict=True)
        params = {name.strip("{}"): unquote(value) for name, value in pairs if name.startswith("{")}
        return cls(params, dict(parse_qsl(query)), entry.body)

    def request(self, model: type[Body]) -> Body:
        """Return the body as the SDK's class for it, which refuses what it does not know."""
        return strictly(model, self.body)

    def narrowed(self, model: type[Body]) -> Body:
        """Return the query as the SDK's class for it."""
        return strictly(model, dict(self.query))


def strictly(model: type[Body], value: object) -> Body:
    """Return a value as an instance of one of the SDK's classes.

    Nothing is converted, and nothing may be there that the class does not know.
    """
    return model.model_validate_json(to_json(value), strict=True, extra="forbid")


Twin: TypeAlias = Callable[[sdk.ApiClient, Given], BaseModel]


def _chain_environments(api: sdk.ApiClient, given: Given) -> BaseModel:
    response = api._http_client.get(f"/v1/chains/{given.params['chain_id']}/environments")
    return ChainEnvironments.model_validate_json(response.content)


_DEPLOYMENTS = "/v1/models/{model_id}/deployments"
_ENVIRONMENT = "/v1/models/{model_id}/environments/{env_name}"
_CHAIN_ENVIRONMENT = "/v1/chains/{chain_id}/environments/{env_name}"

TWINS: Mapping[tuple[str, str], Twin] = {
    ("GET", "/v1/teams"): lambda api, given: api.get_teams(params=given.narrowed(sdk.GetTeamsParams)),
    ("GET", "/v1/teams/{team_id}"): lambda api, given: api.get_teams_team_id(**given.params),
    ("GET", "/v1/teams/{team_id}/models"): lambda api, given: api.get_teams_models(
        **given.params, params=given.narrowed(sdk.GetTeamsModelsParams)
    ),
    ("GET", "/v1/models"): lambda api, given: api.get_models(params=given.narrowed(sdk.GetModelsParams)),
    ("GET", "/v1/models/{model_id}"): lambda api, given: api.get_models_model_id(**given.params),
    ("PATCH", "/v1/models/{model_id}"): lambda api, given: api.patch_models(
        **given.params, request=given.request(sdk.UpdateModelRequest)
    ),
    ("GET", _DEPLOYMENTS): lambda api, given: api.get_models_deployments(
        **given.params, params=given.narrowed(sdk.GetModelsDeploymentsParams)
    ),
    ("GET", f"{_DEPLOYMENTS}/development"): lambda api, given: api.get_models_deployments_development(**given.params),
    ("GET", f"{_DEPLOYMENTS}/production"): lambda api, given: api.get_models_deployments_production(**given.params),
    ("GET", f"{_DEPLOYMENTS}/{{deployment_id}}"): lambda api, given: api.get_models_deployments_deployment_id(
        **given.params
    ),
    ("PATCH", f"{_DEPLOYMENTS}/development/autoscaling_settings"): lambda api, given: (
        api.patch_models_deployments_development_autoscaling_settings(
            **given.params, request=given.request(sdk.UpdateAutoscalingSettings)
        )
    ),
    ("PATCH", f"{_DEPLOYMENTS}/production/autoscaling_settings"): lambda api, given: (
        api.patch_models_deployments_production_autoscaling_settings(
            **given.params, request=given.request(sdk.UpdateAutoscalingSettings)
        )
    ),
    ("PATCH", f"{_DEPLOYMENTS}/{{deployment_id}}/autoscaling_settings"): lambda api, given: (
        api.patch_models_deployments_autoscaling_settings(
            **given.params, request=given.request(sdk.UpdateAutoscalingSettings)
        )
    ),
    ("GET", "/v1/models/{model_id}/environments"): lambda api, given: api.get_models_environments(**given.params),
    ("GET", _ENVIRONMENT): lambda api, given: api.get_models_environments_env_name(**given.params),
    ("PATCH", _ENVIRONMENT): lambda api, given: api.patch_models_environments(
        **given.params, request=given.request(sdk.UpdateEnvironmentRequest)
    ),
    ("GET", "/v1/chains"): lambda api, _: api.get_chains(),
    ("GET", "/v1/chains/{chain_id}"): lambda api, given: api.get_chains_chain_id(**given.params),
    ("GET", "/v1/chains/{chain_id}/environments"): _chain_environments,
    ("GET", _CHAIN_ENVIRONMENT): lambda api, given: api.get_chains_environments_env_name(**given.params),
    ("PATCH", f"{_CHAIN_ENVIRONMENT}/chainlet_settings/autoscaling_settings"): lambda api, given: (
        api.patch_chains_environments_chainlet_settings_autoscaling_settings(
            **given.params, request=given.request(sdk.UpdateChainletEnvironmentAutoscalingSettingsRequest)
        )
    ),
}
