"""Whatever a remote answers: no crash, no lie, no other write, nothing shown that should not be, and sync afterwards."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.garbling import LARGE, MARK, Change, Garbled, garbled
from tests.fuzz.profile import examples
from tests.fuzz.promises import assert_of_spec, in_force
from tests.fuzz.remote import plain
from tests.fuzz.stage import SECRET, Stage, logged
from tests.simulators.api import Reply
from tests.simulators.bifrost.specs import GLOBAL_ROW, Generation
from tests.virtual_time import now, run

LONGEST = 12 * 3600.0
"""Seconds within which the garbled answers have been asked for."""

LONG_ENOUGH = 4000.0
"""Seconds within which everything is in sync again; a remote may ask for an hour's rest."""

TOO_LONG = 60.0
"""Seconds without a request that mean that the operator is content."""

DAS, CAS, MCG = "DeploymentAutoscaling", "ChainAutoscaling", "ModelConfigGovernance"
SETTINGS = {"minReplica": 2, "maxReplica": 7, "autoscalingWindow": 600, "maxScaleDownRate": 25}
BUDGET = {"maxLimit": 150.5, "resetDuration": "1d"}
RATE = {"requestMaxLimit": 1000, "requestResetDuration": "1m"}
GPT = {"modelName": "gpt-4o", "provider": "openai"}

SPECS: dict[str, tuple[str, dict[str, Any], Generation]] = {
    "deployment": (DAS, {"target": {"modelId": "m-greeter", "deployment": "d-free"}, "autoscaling": SETTINGS}, 2),
    "production": (DAS, {"target": {"modelName": "greeter", "deployment": "production"}, "autoscaling": SETTINGS}, 2),
    "environment": (DAS, {"target": {"modelName": "greeter", "environment": "staging"}, "autoscaling": SETTINGS}, 2),
    "chain": (
        CAS,
        {
            "target": {"chainName": "hello", "environment": "production"},
            "chainlets": [
                {"name": "RandInt", "autoscaling": SETTINGS},
                {"name": "HelloWorld", "autoscaling": {"maxReplica": 3}},
            ],
        },
        2,
    ),
    "budget": (MCG, {**GPT, "budget": BUDGET}, 1),
    "budgets and rate limit": (
        MCG,
        {**GPT, "budgets": [BUDGET, {"maxLimit": 3, "resetDuration": "1h"}], "rateLimit": RATE},
        2,
    ),
    "rate limit": (MCG, {**GPT, "modelConfigId": GLOBAL_ROW, "rateLimit": RATE}, 3),
    "new row": (
        MCG,
        {"modelName": "new", "scope": "virtualKey", "scopeId": "vk-team-b", "budget": BUDGET, "rateLimit": RATE},
        2,
    ),
    "no limits": (MCG, {**GPT, "budgets": [], "rateLimit": {}}, 2),
}


@dataclass
class Story:
    """One resource, and a remote whose first answers are garbled."""

    kind: str
    spec: dict[str, Any]
    generation: Generation
    coming: list[Garbled]
    shifting: bool = True
    """Changes are moved on with every answer."""
    ready: bool = False
    violations: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self) -> None:
        """Let it happen, then let the remote be as it should, and look at everything that was said and done."""
        stage = Stage(self.generation)
        key = stage.add(self.kind, {**self.spec, "interval": "5m"})
        remote = stage.remote(key)
        self.exchanges = remote.exchanges
        remote.garble = self._garble
        stage.kube.on_status = self._told
        with logged() as lines:
            async with stage.operator():
                async with asyncio.timeout(LONGEST):
                    await self.over.wait()
                await asyncio.sleep(LONG_ENOUGH)
                quiet = len([one for one in remote.exchanges if one.writes])
                await asyncio.sleep(700)
        for line in lines:
            assert "the operator failed" not in line, line
            assert "Traceback" not in line, line
            assert SECRET not in line, line
        assert self.violations == []
        assert stage.conditions(key)["Ready"] == ("True", "Synced"), stage.status(key)
        assert len([one for one in remote.exchanges if one.writes]) == quiet
        last = next(one for one in reversed(remote.exchanges) if in_force(self.kind, self.spec, one) is not None)
        assert in_force(self.kind, self.spec, last)
        assert_of_spec(self.kind, self.spec, remote.exchanges)
        for event in stage.events.told:
            self._shown(event.message)
        assert self.violations == []

    def _garble(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        self._not_passed_over()
        if not self.coming:
            return plain(request, reply)
        next_one = self.coming.pop(0)
        if not self.coming:
            self.over.set()
        return next_one.answer(reply, len(self.exchanges) * 7 if self.shifting else 0)

    def _not_passed_over(self) -> None:
        """Look whether the operator rested after an answer that showed something else, and still calls it Ready."""
        last = self.exchanges[-1] if self.exchanges else None
        if last is None or not self.ready or last.told() is None or now() - last.at < TOO_LONG:
            return
        if in_force(self.kind, self.spec, last) is False:
            self.violations.append(f"Ready in spite of {last}")

    def _told(self, body: dict[str, Any]) -> None:
        status = body["status"]
        ready = next(
            (one for one in status.get("conditions", ()) if one["type"] == "Ready"), {"status": "", "reason": ""}
        )
        if ready["reason"] == "InternalError":
            self.violations.append("InternalError")
        self.ready = ready["status"] == "True"
        if self.ready:
            verdicts = [in_force(self.kind, self.spec, one) for one in self.exchanges]
            if [one for one in verdicts if one is not None][-1:] != [True]:
                self.violations.append(f"Ready, but {self.exchanges[-1]}")
        self._walk(status)

    def _walk(self, value: Any) -> None:
        match value:
            case dict():
                for one in value.values():
                    self._walk(one)
            case list():
                for one in value:
                    self._walk(one)
            case str():
                self._shown(value)

    def _shown(self, text: str) -> None:
        if SECRET in text or MARK in text or not text.isprintable() or len(text) > 1024:
            self.violations.append(f"shown: {text!r}")


WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "a number": 7,
    "a text": "1",
    "a list": [{"note": MARK}],
    "an object": {"note": MARK},
    "too large": 10**400,
    "a list of many": "@many@",
    "an object of many": "@wide@",
    "a text of a megabyte": "@long@",
    "many windows": "@windows@",
}
FIELDS = 60
"""Places of an answer that are tried: each name of a field twice or three times."""

TOGETHER = 10


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", SPECS)
def test_whatever_a_field_is_the_operator_stays_sane(name: str, wrong: str) -> None:
    kind, spec, generation = SPECS[name]
    for first in range(0, FIELDS, TOGETHER):
        fields = range(first, first + TOGETHER)
        # The first answers let it come to be in sync; each of the others is wrong in another field.
        coming = [Garbled()] * 3 + [Garbled(changes=(Change(one, "put", WRONG[wrong]),)) for one in fields]
        run(Story(kind, spec, generation, coming, shifting=False).play())


@pytest.mark.parametrize("large", LARGE)
@pytest.mark.parametrize("name", SPECS)
def test_however_large_an_answer_is_the_operator_stays_sane(name: str, large: str) -> None:
    kind, spec, generation = SPECS[name]
    meant = Garbled()
    for before in (1, 3):
        run(Story(kind, spec, generation, [*[meant] * before, Garbled(large=large), meant]).play())


@pytest.mark.parametrize("name", SPECS)
def test_an_answer_that_comes_byte_by_byte_is_read_or_refused_as_a_whole(name: str) -> None:
    kind, spec, generation = SPECS[name]
    run(Story(kind, spec, generation, [Garbled(pieces=1)] * 6).play())


@pytest.mark.parametrize("name", SPECS)
@examples(40)
@given(coming=st.lists(garbled, min_size=3, max_size=8))
def test_whatever_is_answered_the_operator_stays_sane(name: str, coming: list[Garbled]) -> None:
    kind, spec, generation = SPECS[name]
    run(Story(kind, spec, generation, list(coming)).play())
