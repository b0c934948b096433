"""Resources in every state that the conditions know, as the API server shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from setpoint.reconcile import conditions
from setpoint.reconcile.conditions import Verdict
from setpoint.reconcile.ports import ConnectionNotAllowed, ConnectionNotFound
from setpoint.remotes import errors
from setpoint.resources import CONNECTION_KINDS, GROUP, VERSION, Resource
from setpoint.resources.common import Condition, Drift, Response

Object = dict[str, Any]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = "deployment production of model llama"
DRIFT = [Drift(field="maxReplica", desired=7, observed=5)]
ANSWER = Response(status="ACCEPTED", message="", time=NOW)

SPECS: Mapping[str, Object] = {
    "DeploymentAutoscaling": {
        "target": {"modelId": "m", "deployment": "production"},
        "autoscaling": {"maxReplica": 7},
    },
    "ChainAutoscaling": {
        "target": {"chainId": "c", "environment": "production"},
        "chainlets": [{"name": "A", "autoscaling": {"maxReplica": 7}}],
    },
    "ModelConfigGovernance": {"modelName": "gpt-4o", "budget": {"maxLimit": 100, "resetDuration": "1M"}},
    "Connection": {"baseten": {"apiKeySecretRef": {"name": "baseten", "key": "api-key"}}},
    "ClusterConnection": {"baseten": {"apiKeySecretRef": {"name": "baseten", "key": "api-key", "namespace": "ml"}}},
}


class Row(NamedTuple):
    """A row of the table in docs/gitops.md, and what the operator says then."""

    name: str
    verdict: Verdict
    managed: bool = True
    """Resources that manage something say so."""
    connection: bool = False
    """Connections say so."""


ROWS = (
    Row("Synced", conditions.synced(TARGET)),
    Row("Applying", conditions.applying(ANSWER, DRIFT)),
    Row("Queued", conditions.queued(ANSWER)),
    Row("Promoting", conditions.promoting("DEPLOYING", DRIFT)),
    Row("NotConverged", conditions.not_converged(ANSWER, DRIFT)),
    Row("Observed", conditions.observed(TARGET)),
    Row("DriftDetected", conditions.drift_detected(DRIFT)),
    Row("PlatformScheduleActive", conditions.schedule_active("s1", DRIFT)),
    Row("Conflict", conditions.conflict(TARGET, ["DeploymentAutoscaling ml/older"], whole=True)),
    Row("TargetRenamed", conditions.renamed("model llama", "m1", "m2", "llama-old")),
    Row(
        "ConnectionNotFound, first 30 s",
        conditions.connection_missing(ConnectionNotFound("there is no Connection baseten"), stalled=False),
    ),
    Row(
        "ConnectionNotFound",
        conditions.connection_missing(ConnectionNotFound("there is no Connection baseten"), stalled=True),
        connection=True,
    ),
    *(
        Row(type(error).__name__, verdict, connection=connection)
        for error, connection in (
            (errors.InvalidSettings("Baseten answered 400: no"), False),
            (errors.TargetNotFound("there is no model llama"), False),
            (ConnectionNotAllowed("host example.com is not allowed"), True),
            (errors.AuthenticationFailed("Baseten answered 401"), True),
            (errors.Forbidden("Baseten answered 403"), True),
        )
        if (verdict := conditions.refused(error)) is not None
    ),
    *(
        Row(verdict.reason, verdict, connection=True)
        for error in (
            errors.RateLimited("Baseten answered 429"),
            errors.RemoteFailure("Baseten answered 500"),
            errors.RemoteUnreachable("Baseten did not answer"),
        )
        for verdict in (conditions.failing(error),)
    ),
    Row("InternalError", conditions.broken()),
    Row("Connected", conditions.connected("https://api.baseten.co"), managed=False, connection=True),
    Row(
        "UnexpectedAnswer",
        conditions.not_the_remote(errors.RemoteFailure("Baseten answered 200 with text/html")),
        managed=False,
        connection=True,
    ),
)


def new(model: type[Resource], name: str = "example") -> Object:
    """Return a resource as a user writes it."""
    metadata = {"name": name, **({"namespace": "ml"} if model.SCOPE == "Namespaced" else {})}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": model.kind(),
        "metadata": metadata,
        "spec": dict(SPECS[model.kind()]),
    }


def told(listed: list[Condition], generation: int = 1) -> Object:
    """Return the status that says these conditions."""
    return {
        "observedGeneration": generation,
        "conditions": [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in listed],
    }


def status(verdict: Verdict, generation: int = 1) -> Object:
    """Return the status that says a verdict."""
    return told(conditions.apply([], verdict, generation, NOW), generation)


def contested(generation: int = 1) -> Object:
    """Return the status of a resource that is in order, and corrected again and again."""
    said = "maxReplica was corrected 3 times within an hour, last from 5 back to 7: somebody else sets it, too"
    return told(conditions.apply([], conditions.synced(TARGET), generation, NOW, contested=said), generation)


def suspended(generation: int = 1) -> Object:
    """Return the status of a suspended resource that was in order before."""
    before = conditions.apply([], conditions.synced(TARGET), generation, NOW)
    return told(conditions.suspend(before, generation, NOW, still_true=True), generation)


def shown(model: type[Resource], state: Object, *, generation: int = 1, **spec: Any) -> Object:
    """Return a resource as the API server shows it."""
    body = new(model)
    metadata = {**body["metadata"], "generation": generation}
    return {**body, "metadata": metadata, "spec": {**body["spec"], **spec}, "status": state}


def is_connection(model: type[Resource]) -> bool:
    """Tell whether a kind is one of the connections."""
    return model in CONNECTION_KINDS


def samples(model: type[Resource]) -> dict[str, tuple[Object, str, str]]:
    """Return named resources of a kind with the health Argo CD shows, and its message."""
    by_name = {row.name: row.verdict for row in ROWS}
    works = by_name["Connected" if is_connection(model) else "Synced"]
    failing, refused = by_name["RemoteUnreachable"], by_name["AuthenticationFailed"]
    unseen = {"observedGeneration": -1}
    waiting = "Waiting for Setpoint to look at this generation"
    going = shown(model, status(works))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    found = {
        "new": (shown(model, unseen), "Progressing", waiting),
        "edited": (shown(model, status(works), generation=2), "Progressing", waiting),
        "healthy": (shown(model, status(works)), "Healthy", f"{works.reason}: {works.message}"),
        "progressing": (shown(model, status(failing)), "Progressing", f"{failing.reason}: {failing.message}"),
        "degraded": (shown(model, status(refused)), "Degraded", f"{refused.reason}: {refused.message}"),
        "deleting": (going, "Progressing", "Being deleted"),
    }
    if not is_connection(model):
        text = "spec.suspend is true: nothing is read or written"
        found["suspended"] = (shown(model, suspended(), suspend=True), "Suspended", text)
        drifted = by_name["DriftDetected"]
        found["drifted"] = (shown(model, status(drifted)), "Healthy", f"{drifted.reason}: {drifted.message}")
        state = contested()
        told_too = next(one for one in state["conditions"] if one["type"] == "Contested")
        message = f"{works.reason}: {works.message}; {told_too['reason']}: {told_too['message']}"
        found["contested"] = (shown(model, state), "Healthy", message)
    return found
