"""The operator's own settings: environment variables `SETPOINT_*`, or flags of `setpoint run`, which win."""

import os
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from setpoint.remotes import addresses
from setpoint.remotes.commons import LARGEST_ANSWER
from setpoint.remotes.hosts import AllowedHosts

PREFIX = "SETPOINT_"
DEFAULT_HOSTS = "api.baseten.co,*.svc,*.svc.cluster.local"

# The kubelet sets such variables for every Service of the namespace; one named setpoint-… must not stop the operator.
_SERVICE_VARIABLE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$")
_ADDRESS = re.compile(r"^(\[[0-9a-fA-F:]+\]|[^\s:\[\]]*):([0-9]{1,5})$")
_NAMESPACE = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


class SettingsError(Exception):
    """A setting is unknown or has a value that cannot be used; `str()` says which and why."""


class Settings(BaseSettings):
    """How the operator runs; see the README for what each setting means to its user."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    namespaces: Annotated[str, Field(description="namespaces to serve, separated by commas; empty: all")] = ""
    allowed_hosts: Annotated[
        str,
        Field(
            description="hosts that connections may reach: name, *.suffix or address, each with an optional :port (left "
            "out: the usual one, and inside the cluster any); "
            "plain http only to in-cluster hosts and to entries that begin with http://"
        ),
    ] = DEFAULT_HOSTS
    cluster_cidrs: Annotated[
        str, Field(description="ranges of the cluster's pods and Services, where names of Services may lead")
    ] = addresses.PRIVATE
    leader_elect: Annotated[
        bool, Field(description="of several replicas only the holder of a Lease works; the others stand by")
    ] = True
    lease_namespace: Annotated[str, Field(description="namespace of the Lease; empty: the operator's own")] = ""
    metrics_address: Annotated[str, Field(description="address of /metrics; empty: not served")] = ":8080"
    health_address: Annotated[str, Field(description="address of /healthz and /readyz")] = ":8081"
    workers: Annotated[int, Field(ge=1, le=512, description="resources of one connection looked at at once")] = 32
    largest_answer: Annotated[
        int, Field(ge=1, le=256, description="MiB of a list from a remote API that are read; more is an error")
    ] = LARGEST_ANSWER
    connections_per_namespace: Annotated[
        int,
        Field(ge=0, le=10000, description="Connections of one namespace that are used, the oldest; the others say so"),
    ] = 100
    shard: Annotated[str, Field(description="serve only resources whose label sharding.setpoint.dev/key is this")] = ""
    dry_run: Annotated[bool, Field(description="treat every resource as if its mode were Observe")] = False
    log_format: Annotated[
        Literal["auto", "json", "text"], Field(description="json, text, or auto: text on a terminal, else json")
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="debug, info, warning or error")
    ] = "info"

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("namespaces")
    @classmethod
    def _are_namespaces(cls, value: str) -> str:
        for name in _listed(value):
            if not _NAMESPACE.match(name):
                raise ValueError(f"{name!r} is not the name of a namespace")
        return value

    @field_validator("lease_namespace")
    @classmethod
    def _is_namespace(cls, value: str) -> str:
        if value and not _NAMESPACE.match(value):
            raise ValueError(f"{value!r} is not the name of a namespace")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        AllowedHosts.parse(value)
        return value

    @field_validator("cluster_cidrs")
    @classmethod
    def _are_ranges(cls, value: str) -> str:
        addresses.networks(value)
        return value

    @field_validator("health_address", "metrics_address")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name == "metrics_address":
            return value
        found = _ADDRESS.match(value)
        if found is None or int(found[2]) > 65535:  # noqa: PLR2004 - the highest port
            raise ValueError(f"{value!r} is not an address such as :8081 or 127.0.0.1:8081")
        return value

    @field_validator("shard")
    @classmethod
    def _is_label_value(cls, value: str) -> str:
        if not _LABEL_VALUE.match(value):
            raise ValueError(f"{value!r} is not the value of a label")
        return value

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """The namespaces to serve; empty for all."""
        return tuple(dict.fromkeys(_listed(self.namespaces)))

    @property
    def hosts(self) -> AllowedHosts:
        """The hosts that connections may reach, and what they may lead to."""
        return AllowedHosts.parse(self.allowed_hosts, self.cluster_cidrs)

    @property
    def json_logs(self) -> bool:
        """Whether logs are JSON."""
        return self.log_format == "json" or (self.log_format == "auto" and not sys.stderr.isatty())


def load(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from flags and the environment.

    Raises:
        SettingsError: a setting is unknown or cannot be used.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(
        name
        for name in environment
        if name.startswith(PREFIX) and name not in known and not _SERVICE_VARIABLE.search(name)
    )
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"{PREFIX}{str(first['loc'][0]).upper()}"
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
