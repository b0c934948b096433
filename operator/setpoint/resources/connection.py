"""Connection and ClusterConnection: where a remote API is, and which Secret opens it."""

import hashlib
import json
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from setpoint.resources.common import (
    READY_CONDITION,
    Column,
    Condition,
    Model,
    Name,
    Resource,
    duration_rules,
    exactly_one,
    parse_duration,
    rule,
    rules,
)

BASETEN_URL = "https://api.baseten.co"

_DIGEST = 12
"""Hexadecimal digits that tell the few credentials apart which one resource ever uses."""

Url = Annotated[
    str,
    Field(
        json_schema_extra=rules(
            rule(
                "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '' && "
                "!self.contains('@') && !self.contains('?') && !self.contains('#')",
                "url must start with http:// or https:// and a host, and have no user info, query or fragment",
            ),
            maxLength=512,
        )
    ),
]


class AuthScheme(StrEnum):
    """The word before the key in Baseten's Authorization header."""

    BEARER = "Bearer"
    API_KEY = "Api-Key"


class SecretKeyRef(Model):
    """One key of a Secret."""

    name: Annotated[Name, Field(description="Name of the Secret.")]
    key: Annotated[Name, Field(description="Key in the Secret's data.")]


class NamespacedSecretKeyRef(SecretKeyRef):
    """One key of a Secret of a named namespace."""

    namespace: Annotated[Name, Field(description="Namespace of the Secret.")]


class RateLimit(Model):
    """How fast the operator may call the remote API."""

    requests_per_second: Annotated[
        int,
        Field(
            ge=1,
            le=10000,
            description="Requests per second for each endpoint, as the API counts; "
            "Baseten's documented limit is 100 for each key and endpoint. Default: 80.",
        ),
    ] = 80


class ConnectionSpecBase(Model):
    """What both kinds of connection say about the calls."""

    rate_limit: Annotated[RateLimit, Field(description="How fast the remote API may be called.")] = RateLimit()
    timeout: Annotated[
        str,
        Field(
            json_schema_extra=duration_rules("1s", "5m", "timeout", "30s"),
            description="Longest wait for an answer, 1s to 5m. Default: 30s.",
        ),
    ] = "30s"

    @property
    def patience(self) -> timedelta:
        """The timeout as a length of time."""
        return parse_duration(self.timeout)


_ONE_REMOTE = rules(exactly_one("baseten", "bifrost", where="spec"))
_ONE_LOGIN = rules(
    rule(
        "(has(self.basic) ? 1 : 0) + (has(self.bearerSecretRef) ? 1 : 0) + (has(self.setupTokenSecretRef) ? 1 : 0) == 1",
        "exactly one of basic, bearerSecretRef and setupTokenSecretRef must be set in auth",
    )
)
_CA = "PEM bundle of certificate authorities to trust instead of the public ones."


class BasetenConnection(Model):
    """Baseten's management API."""

    url: Annotated[Url, Field(description=f"Base URL of the API. Default: {BASETEN_URL}.")] = BASETEN_URL
    auth_scheme: Annotated[
        AuthScheme, Field(description="Word before the key in the Authorization header. Default: Bearer.")
    ] = AuthScheme.BEARER
    api_key_secret_ref: Annotated[SecretKeyRef, Field(description="Where the API key is.")]


class BasicAuth(Model):
    """User and password."""

    username_secret_ref: Annotated[SecretKeyRef, Field(description="Where the user name is.")]
    password_secret_ref: Annotated[SecretKeyRef, Field(description="Where the password is.")]


class BifrostAuth(Model):
    """How to log in to a Bifrost gateway."""

    model_config = ConfigDict(json_schema_extra=_ONE_LOGIN)

    basic: Annotated[BasicAuth | None, Field(description="Dashboard user and password.")] = None
    bearer_secret_ref: Annotated[SecretKeyRef | None, Field(description="Session token or API key.")] = None
    setup_token_secret_ref: Annotated[SecretKeyRef | None, Field(description="Setup token (gateway 2.2.6+).")] = None


class BifrostConnection(Model):
    """A Bifrost AI gateway."""

    url: Annotated[Url, Field(description="Base URL of the gateway, with an optional path prefix.")]
    auth: Annotated[BifrostAuth | None, Field(description="How to log in; left out where the gateway is open.")] = None


class ConnectionSpec(ConnectionSpecBase):
    """Where a remote API is; exactly one of the remotes."""

    model_config = ConfigDict(json_schema_extra=_ONE_REMOTE)

    baseten: Annotated[BasetenConnection | None, Field(description="Baseten's management API.")] = None
    bifrost: Annotated[BifrostConnection | None, Field(description="A Bifrost AI gateway.")] = None
    ca_secret_ref: Annotated[SecretKeyRef | None, Field(description=_CA)] = None


class ClusterBasetenConnection(BasetenConnection):
    """Baseten's management API, with the Secret in a named namespace."""

    api_key_secret_ref: Annotated[NamespacedSecretKeyRef, Field(description="Where the API key is.")]


class ClusterBasicAuth(BasicAuth):
    """User and password in Secrets of named namespaces."""

    username_secret_ref: Annotated[NamespacedSecretKeyRef, Field(description="Where the user name is.")]
    password_secret_ref: Annotated[NamespacedSecretKeyRef, Field(description="Where the password is.")]


class ClusterBifrostAuth(BifrostAuth):
    """How to log in to a Bifrost gateway, with the Secrets in named namespaces."""

    model_config = ConfigDict(json_schema_extra=_ONE_LOGIN)

    basic: Annotated[ClusterBasicAuth | None, Field(description="Dashboard user and password.")] = None
    bearer_secret_ref: Annotated[NamespacedSecretKeyRef | None, Field(description="Session token or API key.")] = None
    setup_token_secret_ref: Annotated[
        NamespacedSecretKeyRef | None, Field(description="Setup token (gateway 2.2.6+).")
    ] = None


class ClusterBifrostConnection(BifrostConnection):
    """A Bifrost AI gateway, with the Secrets in named namespaces."""

    auth: Annotated[ClusterBifrostAuth | None, Field(description="How to log in; left out where it is open.")] = None


class LabelRequirement(Model):
    """One requirement of a label selector."""

    key: Annotated[Name, Field(description="Name of the label.")]
    operator: Annotated[
        str,
        Field(
            json_schema_extra={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
            description="In, NotIn, Exists or DoesNotExist.",
        ),
    ]
    values: Annotated[
        list[Name],
        Field(
            default_factory=list,
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="Values for In and NotIn.",
        ),
    ]

    def matches(self, labels: dict[str, str]) -> bool:
        """Tell whether labels meet the requirement, as Kubernetes defines it (NotIn also where the label is absent)."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(Model):
    """A Kubernetes label selector; all of its parts must match."""

    match_labels: Annotated[
        dict[str, str], Field(default_factory=dict, description="Labels that must be there with these values.")
    ]
    match_expressions: Annotated[
        list[LabelRequirement],
        Field(
            default_factory=list,
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
            description="Requirements that must all be met.",
        ),
    ]

    def matches(self, labels: dict[str, str]) -> bool:
        """Tell whether labels match; an empty selector matches everything, as everywhere in Kubernetes."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class ServedNamespaces(Model):
    """Namespaces whose resources may use a ClusterConnection: those named and those selected."""

    names: Annotated[
        list[Name],
        Field(
            default_factory=list,
            max_length=1024,
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="Namespaces by name.",
        ),
    ]
    selector: Annotated[
        LabelSelector | None,
        Field(description="Namespaces by their labels; {} selects all. Left out: none but those named."),
    ] = None


class ClusterConnectionSpec(ConnectionSpecBase):
    """Where a remote API is and which namespaces may use it; exactly one of the remotes."""

    model_config = ConfigDict(json_schema_extra=_ONE_REMOTE)

    baseten: Annotated[ClusterBasetenConnection | None, Field(description="Baseten's management API.")] = None
    bifrost: Annotated[ClusterBifrostConnection | None, Field(description="A Bifrost AI gateway.")] = None
    ca_secret_ref: Annotated[NamespacedSecretKeyRef | None, Field(description=_CA)] = None
    namespaces: Annotated[
        ServedNamespaces, Field(description="Namespaces whose resources may use this connection. Default: none.")
    ] = ServedNamespaces()


class ConnectionStatus(Model):
    """What is known of a connection, whether or not a resource uses it."""

    observed_generation: Annotated[
        int, Field(description="Generation of the spec that this status is about; -1 before the first one.")
    ] = -1
    resources: Annotated[int | None, Field(description="How many resources use this connection.")] = None
    remote_version: Annotated[
        str | None, Field(description="Release the remote says it is; Baseten's management API does not say.")
    ] = None
    conditions: Annotated[
        list[Condition],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
            description="Ready always; Reconciling and Stalled only while they are True.",
        ),
    ]

    @property
    def ready(self) -> bool:
        """Whether the remote answers and lets Setpoint in."""
        return any(one.type == "Ready" and one.status == "True" for one in self.conditions)


def credential_digest(spec: ConnectionSpec | ClusterConnectionSpec) -> str:
    """Return a short digest of what opens a remote: the kind of login, and which keys of which Secrets, not their values."""
    login = (
        {} if spec.baseten is None else spec.baseten.model_dump(mode="json", include={"api_key_secret_ref"}),
        {} if spec.bifrost is None else spec.bifrost.model_dump(mode="json", include={"auth"}),
    )
    return hashlib.sha256(json.dumps(login, sort_keys=True).encode()).hexdigest()[:_DIGEST]


_COLUMNS = (
    Column(name="Ready", json_path=f"{READY_CONDITION}.status"),
    Column(name="Baseten", json_path=".spec.baseten.url"),
    Column(name="Bifrost", json_path=".spec.bifrost.url"),
    Column(name="Resources", json_path=".status.resources", type="integer"),
    Column(name="Version", json_path=".status.remoteVersion", priority=1),
    Column(name="Reason", json_path=f"{READY_CONDITION}.reason", priority=1),
    Column(name="Message", json_path=f"{READY_CONDITION}.message", priority=1),
)


class Connection(Resource):
    """Where a remote API is, and which Secret of the same namespace opens it."""

    PLURAL: ClassVar[str] = "connections"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("spconn",)
    COLUMNS: ClassVar[tuple[Column, ...]] = _COLUMNS

    spec: Annotated[ConnectionSpec, Field(description="Where the remote API is.")]
    status: Annotated[ConnectionStatus, Field(description="What is; written by the operator.")] = ConnectionStatus()


class ClusterConnection(Resource):
    """Where a remote API is, for resources of the namespaces it serves."""

    PLURAL: ClassVar[str] = "clusterconnections"
    SHORT_NAMES: ClassVar[tuple[str, ...]] = ("spcconn",)
    SCOPE: ClassVar[str] = "Cluster"
    COLUMNS: ClassVar[tuple[Column, ...]] = _COLUMNS

    spec: Annotated[ClusterConnectionSpec, Field(description="Where the remote API is, and for whom.")]
    status: Annotated[ConnectionStatus, Field(description="What is; written by the operator.")] = ConnectionStatus()
