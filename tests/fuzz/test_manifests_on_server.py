"""Whatever the API server accepts can be read, and whatever it refuses gets a message: manifests that nobody would write."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.cluster import api
from setpoint.resources import MANAGED_KINDS, Managed
from tests.controlplane.plane import ControlPlane
from tests.fuzz import specs
from tests.fuzz.profile import examples
from tests.fuzz.schema import Schema, allows, has_whole_fractions, kept, spec_schema
from tests.integration.manifests import manifest

pytestmark = pytest.mark.cluster

BATCH: Final = 25
"""Manifests of one example, which go to the API server together."""

Spec = specs.Spec
Verdict = dict[str, Any] | str
"""The object as the API server would keep it, or what it says against it."""


@pytest.fixture
def judge(
    served: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[Managed], list[Spec]], list[Verdict]]:
    """Let the API server judge manifests without keeping them."""
    monkeypatch.setenv("KUBECONFIG", str(served.kubeconfig))

    def judged(model: type[Managed], batch: list[Spec]) -> list[Verdict]:
        return asyncio.run(_all(model, batch))

    return judged


async def _all(model: type[Managed], batch: list[Spec]) -> list[Verdict]:
    kube = await api.connect()
    try:
        return await asyncio.gather(*(_one(kube, model, spec) for spec in batch))
    finally:
        await kube.aclose()


async def _one(kube: api.KubeApi, model: type[Managed], spec: Spec) -> Verdict:
    try:
        return await kube.create(f"{api.collection(model, 'default')}?dryRun=All", manifest(model.kind(), spec))
    except api.RequestRefused as refusal:
        return str(refusal)


@pytest.mark.parametrize("model", MANAGED_KINDS)
@examples(4)
@given(data=st.data())
def test_what_the_crd_allows_is_accepted_and_read(
    judge: Callable[[type[Managed], list[Spec]], list[Verdict]], model: type[Managed], data: st.DataObject
) -> None:
    batch = data.draw(st.lists(specs.allowed(model), min_size=BATCH, max_size=BATCH))
    for spec, verdict in zip(batch, judge(model, batch), strict=True):
        assert isinstance(verdict, dict), (spec, verdict)
        assert_read(model, verdict)


@pytest.mark.parametrize("model", MANAGED_KINDS)
@examples(8)
@given(data=st.data())
def test_what_is_wrong_in_one_place_is_refused_with_a_message_or_read(
    judge: Callable[[type[Managed], list[Spec]], list[Verdict]], model: type[Managed], data: st.DataObject
) -> None:
    schema = spec_schema(model)
    batch = data.draw(st.lists(specs.spoiled(model), min_size=BATCH, max_size=BATCH))
    for spec, verdict in zip(batch, judge(model, batch), strict=True):
        if isinstance(verdict, dict):
            assert allows(schema, kept(schema, spec)) or has_whole_fractions(spec), spec
            assert_read(model, verdict)
        else:
            assert not allows(schema, kept(schema, spec)), (spec, verdict)
            assert "spec" in verdict, "the message names the place"


def assert_read(model: type[Managed], verdict: dict[str, Any]) -> None:
    """Hold what the model reads of an object against what is in it."""
    read = model.from_body(verdict)
    assert 30 <= read.spec.every.total_seconds() <= 24 * 3600
    assert read.spec.dump() == meant(spec_schema(model), verdict["spec"])


def meant(schema: Schema, value: Any) -> Any:
    """Return a value without its nulls, and numbers as what they are kept in."""
    match value:
        case int() | float() if schema["type"] == "number":
            return float(value)
        case dict():
            return {name: meant(schema["properties"][name], one) for name, one in value.items() if one is not None}
        case list():
            return [meant(schema["items"], one) for one in value]
        case float() if value.is_integer() and math.isfinite(value):
            return int(value)
        case _:
            return value
