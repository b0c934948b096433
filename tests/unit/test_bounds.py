"""A status stays small and is taken by the API server, whatever a remote reports."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.cluster.events import EventPoster
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.reconcile import conditions
from setpoint.reconcile.memory import Memory
from setpoint.reconcile.ports import ClusterUnavailable, Key, LoopClock
from setpoint.reconcile.reports import Reports
from setpoint.remotes.bifrost_shapes import ModelConfig
from setpoint.resources import ChainAutoscaling, DeploymentAutoscaling, ModelConfigGovernance
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.chain_autoscaling import Chainlet, ChainSettings
from setpoint.resources.common import Drift, Response
from setpoint.resources.crd import definition
from setpoint.resources.serving import ChainletServing, ChainServing
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec, RateLimitSpec
from tests.unit.governance_world import Cluster, Gateway, operator
from tests.virtual_time import run

LARGEST = 256 * 1024
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FULL = {
    "minReplica": 10**15,
    "maxReplica": 10**15,
    "autoscalingWindow": 3600,
    "scaleDownDelay": 3600,
    "concurrencyTarget": 10**15,
    "targetUtilizationPercentage": 100,
    "targetInFlightTokens": 10**15,
    "maxScaleDownRate": 50,
}


def most(model: Any, field: str) -> int:
    """Return the bound that the CRD states for a list of the status."""
    [version] = definition(model)["spec"]["versions"]
    found: int = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"][field]["maxItems"]
    return found


@pytest.mark.parametrize("mode", ["Enforce", "Observe"])
def test_a_row_of_many_windows_makes_a_status_of_few(mode: str) -> None:
    async def scene() -> None:
        gateway = Gateway(2)
        cluster = Cluster(gateway)
        # Those of the spec come last, by their length.
        budgets = [BudgetSpec(max_limit=5, reset_duration=f"{number}s", current_usage=1) for number in range(1, 60)]
        budgets.append(BudgetSpec(max_limit=7, reset_duration="1M", current_usage=3))
        limits = {"tokenMaxLimit": 10, "tokenResetDuration": "1h"}
        rate = RateLimitSpec.model_validate({"token_max_limit": 10, "token_reset_duration": "1h"})
        gateway.commands.update_row(GLOBAL_ROW, {"budgets": budgets, "rate_limit": rate})
        wanted = {"maxLimit": 100, "resetDuration": "1M"}
        key = cluster.add("gpt", mode=mode, budget=wanted, rateLimit=limits, deletionPolicy="Restore")
        seen: list[dict[str, Any]] = []
        cluster.on_status = lambda changed: seen.append(cluster.objects[changed]["status"])
        async with operator(cluster):
            await asyncio.sleep(100)
        for status in seen:
            assert len(status.get("usage", ())) <= most(ModelConfigGovernance, "usage") == 10
            assert len(status.get("drift", ())) <= most(ModelConfigGovernance, "drift")
            assert len(json.dumps(status)) < LARGEST
        if mode == "Observe":
            told = seen[-1]
            assert told["driftedFields"] == 60
            assert ("1M", 3) in {(one["resetDuration"], one["currentUsage"]) for one in told["usage"]}
            assert "tokens" in {one["limit"] for one in told["usage"]}
            assert told["omittedWindows"] == 51
        else:
            assert cluster.ready(key) == ("True", "Synced")
            assert "omittedWindows" not in seen[-1]
            assert len(seen[-1]["baseline"]["budgets"]) == 60, "what is to be put back is there, to the last window"

    run(scene())


def chain(name: str, count: int = 64) -> ChainAutoscaling:
    """Return a resource of as many chainlets, of names as long as a spec may have."""
    names = [f"{name * (250 // len(name))}{number}" for number in range(count)]
    chainlets = [{"name": one, "autoscaling": FULL} for one in names]
    spec = {"target": {"chainId": "c", "environment": "production"}, "chainlets": chainlets}
    metadata = {"name": "a", "namespace": "ml", "uid": "u", "generation": 1}
    return ChainAutoscaling.from_body({"metadata": metadata, "spec": spec, "status": {}})


async def reported(resource: ChainAutoscaling) -> ChainAutoscaling:
    """Return the resource with the status of a chain that differs in every field."""
    chainlets = resource.spec.chainlets
    drift = [
        entry for one in chainlets for entry in one.autoscaling.differences(AutoscalingSettings(), chainlet=one.name)
    ]
    settings = ChainSettings(chainlets=[Chainlet(name=one.name, autoscaling=one.autoscaling) for one in chainlets])
    states = [ChainletServing(name=one.name, status="ACTIVE", active_replicas=2) for one in chainlets]
    serving = ChainServing(deployment_id="d", status="ACTIVE", chainlets=states)

    clock = LoopClock()
    memory = Memory.of(resource, clock.now(), clock.monotonic())
    fields: dict[str, Any] = {"applied": settings, "observed": settings, "serving": serving}
    verdict = conditions.drift_detected(drift)
    outcome = Reports(clock).outcome(resource, memory, verdict, due=1.0, drift=drift, **fields)
    assert outcome.status is memory.status, "what is sent is what is remembered"
    return resource.model_copy(update={"status": memory.status})


async def test_differences_beyond_a_number_are_counted_only() -> None:
    status = (await reported(chain("a"))).status
    assert len(status.drift) == most(ChainAutoscaling, "drift") == 64
    assert status.drifted_fields == 512
    assert status.observed is not None
    assert "too large" not in status.conditions[0].message


async def test_a_status_that_would_be_too_large_is_cut_and_says_so() -> None:
    status = (await reported(chain("🦙"))).status
    assert len(json.dumps(status.dump(), ensure_ascii=False, separators=(",", ":")).encode()) <= LARGEST
    assert status.drift == []
    assert status.drifted_fields == 512
    assert status.applied is not None, "what is decided by stays"
    message = status.conditions[0].message
    assert message.startswith("this status is too large to show its drift")
    assert "mode Observe writes nothing" in message or message.endswith("…")


def test_values_and_words_of_a_remote_are_bounded_where_they_are_kept() -> None:
    long = Drift(field="modelName", desired="gpt", observed="x\x1b[2J\u202e" * 10_000)
    assert isinstance(long.observed, str)
    assert len(long.observed) == 253
    assert long.observed.isprintable()
    assert Drift(field="x", observed=2**63).observed == str(2**63), "no number that the API server cannot keep"
    assert Drift(field="x", observed=2**63 - 1).observed == 2**63 - 1
    word = Response(status="A\n" * 10_000, time=NOW).status
    assert len(word) == 64
    assert word.isprintable()
    assert Drift.model_validate(long.dump()) == long, "read again it is the same"


def test_numbers_that_no_status_can_hold_are_not_understood() -> None:
    quarter = {"max_limit": 1, "reset_duration": "1Q", "reset_config": {"quarter_start_month": 10**30}}
    found = ModelConfig.from_wire({"id": "x", "model_name": "m", "budgets": [quarter]})
    assert found.problem is not None
    assert "quarter_start_month" in found.problem
    huge = {"max_limit": 1.7e308, "reset_duration": "1d", "override_amount": 1.7e308}
    [window] = ModelConfig.from_wire({"id": "x", "model_name": "m", "budgets": [huge]}).usage
    assert json.loads(json.dumps(window.max_limit, allow_nan=False)) > 1e308


class Refusing:
    """An API server that takes no status, until it does."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.refuses = True
        self.events: list[dict[str, Any]] = []

    async def get(self, path: str) -> dict[str, Any]:
        del path
        return self.body

    async def json_patch(self, path: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        if self.refuses:
            raise RequestRefused(422, f"PATCH {path}: status.drift: Too many: 65: must have at most 64 items")
        status = {change["path"].rpartition("/")[2]: change["value"] for change in changes[2:]}
        self.body = {**self.body, "status": status, "metadata": {**self.body["metadata"], "resourceVersion": "2"}}
        return self.body

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        del path
        self.events.append(body)
        return body


async def test_a_status_that_the_api_server_refuses_is_told_of_once() -> None:
    metadata = {"name": "a", "namespace": "ml", "uid": "u", "generation": 1, "resourceVersion": "1"}
    spec = {"target": {"modelId": "m", "deployment": "development"}, "autoscaling": {"maxReplica": 3}}
    kube = Refusing({"metadata": metadata, "spec": spec, "status": {"observedGeneration": -1}})
    api = cast("KubeApi", kube)
    store = Store(api, LoopClock())
    store.put(DeploymentAutoscaling.kind(), kube.body)
    poster = EventPoster(api, LoopClock())
    writer = StatusWriter(api, store, poster)
    posting = asyncio.create_task(poster.run())
    resource = store.get(Key(DeploymentAutoscaling.kind(), "ml", "a"))
    assert resource is not None
    status = resource.status.model_copy(update={"observed_generation": 1})
    for _ in range(3):
        with pytest.raises(ClusterUnavailable):
            await writer.status(resource, status)
    await poster.drain(5)
    [event] = kube.events
    assert (event["type"], event["reason"]) == ("Warning", "StatusRefused")
    assert "must have at most 64 items" in event["message"]
    kube.refuses = False
    await writer.status(resource, status)
    posting.cancel()
    assert kube.body["status"]["observedGeneration"] == 1
