"""Every manifest that a CRD allows leads to an end, and to no write that it does not ask for."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.resources import MANAGED_KINDS, Managed
from tests.fuzz import specs
from tests.fuzz.profile import examples
from tests.fuzz.promises import assert_of_spec, wire_identity
from tests.fuzz.stage import SECRET, Stage, logged
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    ChainSpec,
    DeploymentSpec,
    EnvironmentSpec,
    ModelSpec,
)
from tests.simulators.bifrost.specs import RowSpec
from tests.virtual_time import run

LONG_ENOUGH = 1200.0
"""Seconds within which a resource has come to an end: ten minutes are given to a write, and twice the time to the rest."""


def build(stage: Stage, kind: str, spec: dict[str, Any]) -> None:
    """Make what the spec is about."""
    target = spec.get("target", {})
    match kind:
        case "DeploymentAutoscaling":
            which = target.get("deployment")
            deployments = [
                DeploymentSpec(id=which or "d", production=which == "production", development=which == "development")
            ]
            environments = [EnvironmentSpec(name=target["environment"], current="d")] if which is None else []
            names = {"id": target.get("modelId", "m-1"), "name": target.get("modelName", "model")}
            stage.models.add_model(ModelSpec(**names, deployments=deployments, environments=environments))
        case "ChainAutoscaling":
            chainlets = [ChainletSpec(name=one["name"]) for one in spec["chainlets"]]
            environment = ChainEnvironmentSpec(name=target["environment"], chainlets=chainlets)
            names = {"id": target.get("chainId", "c-1"), "name": target.get("chainName", "chain")}
            stage.models.add_chain(ChainSpec(**names, environments=[environment]))
        case _:
            stage.rows.add(RowSpec(id=spec.get("modelConfigId"), **wire_identity(spec)))


async def played(kind: str, spec: dict[str, Any], *, there: bool) -> None:
    """Let the operator meet a manifest, and look at where it has led."""
    stage = Stage()
    if there:
        build(stage, kind, spec)
    with logged() as lines:
        key = stage.add(kind, spec)
        async with stage.operator():
            await asyncio.sleep(LONG_ENOUGH)
    conditions = stage.conditions(key)
    ends = {"Ready": "True", "Stalled": "True", "Suspended": "True", "Drifted": "True"}
    assert any(conditions.get(name, ("", ""))[0] == status for name, status in ends.items()), conditions
    assert not [line for line in lines if "the operator failed" in line or "Traceback" in line or SECRET in line]
    assert conditions["Ready"][1] != "InternalError"
    assert_of_spec(kind, spec, stage.remote(key).exchanges)
    if spec.get("suspend"):
        assert not stage.remote(key).exchanges
    elif there and "Observe" not in spec.values() and conditions["Ready"][0] != "True":
        assert conditions["Ready"][1] in {"InvalidSettings", "TargetNotFound"}


@pytest.mark.parametrize("model", MANAGED_KINDS)
@examples(50)
@given(data=st.data())
def test_every_manifest_leads_to_an_end(model: type[Managed], data: st.DataObject) -> None:
    run(played(model.kind(), data.draw(specs.allowed(model)), there=data.draw(st.booleans())))
