"""Objects as only another version, or somebody with too many rights, would write them: one of them never harms the rest."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.cluster import api
from setpoint.resources import MANAGED_KINDS, Managed
from setpoint.resources.common import REQUESTED_AT
from tests.fuzz import specs
from tests.fuzz.profile import examples
from tests.fuzz.stage import Stage, logged
from tests.virtual_time import run

TARGET = {"target": {"modelId": "m-greeter", "deployment": "d-free"}, "autoscaling": {"maxReplica": 3}}
MOMENTS = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+14:00",
    "now",
    5,
    None,
]

condition = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Ready", "Reconciling", "Stalled", "Other"]),
        "status": st.sampled_from(["True", "False", "Unknown", "Maybe"]),
        "reason": st.sampled_from(["Synced", "Applying", "Queued", "ConnectionNotFound", "Made up", ""]),
        "lastTransitionTime": st.sampled_from(MOMENTS),
    },
    optional={"message": specs.scalars, "observedGeneration": specs.scalars},
)
response = st.fixed_dictionaries(
    {"status": st.sampled_from(["ACCEPTED", "QUEUED", "200", ""]), "time": st.sampled_from(MOMENTS)},
    optional={"message": specs.scalars},
)
statuses = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "observedGeneration": st.just(1) | specs.scalars,
        "conditions": st.lists(condition, max_size=4) | specs.anything,
        "response": response | specs.anything,
        "applied": st.just({"maxReplica": 3}) | specs.anything,
        "observed": specs.anything,
        "target": st.just({"modelId": "m-greeter", "name": "x"}) | specs.anything,
        "drift": specs.anything,
        "usage": specs.anything,
        "lastHandledReconcileAt": specs.scalars,
        "unknown": specs.anything,
    },
)
metadata = st.fixed_dictionaries(
    {},
    optional={
        "annotations": st.none() | st.just({}) | st.fixed_dictionaries({REQUESTED_AT: specs.texts}),
        "generation": st.integers(0, 3),
        "labels": st.none(),
        "finalizers": st.just(["somebody.example/else"]),
        "managedFields": st.just([]),
    },
)


async def met(model: type[Managed], odd: dict[str, Any]) -> None:
    """Let the operator meet an odd object and a good one."""
    stage = Stage()
    stage.kube.strict = False
    good = stage.add("DeploymentAutoscaling", TARGET, "good")
    names = {"name": "odd", "namespace": "ns", "uid": "odd", "resourceVersion": "1"}
    body = {**odd, "kind": model.kind(), "metadata": {**odd["metadata"], **names}}
    stage.kube.kept[api.item(model, "ns", "odd")] = body
    with logged() as lines:
        key, _ = stage.store.put(model.kind(), body)
        async with stage.operator():
            await asyncio.sleep(700)
    assert not [line for line in lines if "the operator failed" in line or "Traceback" in line]
    assert stage.conditions(good)["Ready"] == ("True", "Synced")
    assert stage.conditions(key).keys() & {"Ready", "Suspended"}


@pytest.mark.parametrize("model", MANAGED_KINDS)
@examples(40)
@given(data=st.data())
def test_a_status_that_somebody_else_wrote_stops_nothing(model: type[Managed], data: st.DataObject) -> None:
    spec = data.draw(specs.allowed(model))
    run(met(model, {"spec": spec, "status": data.draw(statuses), "metadata": data.draw(metadata)}))


@pytest.mark.parametrize("model", MANAGED_KINDS)
@examples(40)
@given(data=st.data())
def test_a_spec_of_another_version_stops_nothing(model: type[Managed], data: st.DataObject) -> None:
    spec = data.draw(specs.spoiled(model))
    run(met(model, {"spec": spec, "status": data.draw(statuses), "metadata": data.draw(metadata)}))


def _ready(status: str, reason: str, moment: str) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": moment}


UTC, NOWHERE = "2026-01-01T00:00:00Z", "2026-01-01T00:00:00"
FOUND: dict[str, dict[str, Any]] = {
    "a time without a zone": {
        "status": {
            "conditions": [_ready("False", "Applying", NOWHERE)],
            "response": {"status": "ACCEPTED", "time": NOWHERE},
        }
    },
    "an interval without a unit": {"spec": {**TARGET, "interval": "5"}},
    "an interval of nothing": {"spec": {**TARGET, "interval": "0s"}},
    "no interval, and in order": {
        "spec": {**TARGET, "interval": "often"},
        "status": {"observedGeneration": 0, "conditions": [_ready("True", "Synced", UTC)]},
    },
    "a spec that is a text": {"spec": "text"},
    "a spec that is a list": {"spec": [1]},
    "a target of nothing": {"spec": {"target": {}, "autoscaling": {}}},
}


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(found: str) -> None:
    run(met(MANAGED_KINDS[0], {"spec": TARGET, "status": None, "metadata": {}, **FOUND[found]}))


def test_a_spec_that_cannot_be_read_keeps_what_its_status_saves() -> None:
    saved = {
        "applied": {"maxReplica": 3},
        "baseline": {"maxReplica": 8, "unset": []},
        "target": {"modelId": "m-greeter", "name": "x"},
    }

    async def scene() -> None:
        stage = Stage()
        stage.kube.strict = False
        names = {"name": "odd", "namespace": "ns", "uid": "odd", "resourceVersion": "1"}
        body = {"kind": MANAGED_KINDS[0].kind(), "metadata": names, "spec": {"target": {}}, "status": saved}
        path = api.item(MANAGED_KINDS[0], "ns", "odd")
        stage.kube.kept[path] = body
        stage.store.put(MANAGED_KINDS[0].kind(), body)
        async with stage.operator():
            await asyncio.sleep(60)
        status = stage.kube.kept[path]["status"]
        assert {"type": "Ready", "status": "False"}.items() <= status["conditions"][0].items()
        assert saved.items() <= status.items()

    run(scene())
