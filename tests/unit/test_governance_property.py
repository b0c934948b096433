"""For any sequence of edits, in Git and behind its back, of deaths and of lost answers: the row ends at the spec."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import Key
from tests.simulators.bifrost.specs import BudgetSpec, Generation, RateLimitSpec, RowSpec
from tests.unit.governance_world import Cluster, Fault, Gateway, operator
from tests.virtual_time import run

DURATIONS = ("1h", "1d", "2d", "1w", "1M")
INTERVAL = 60

Parts = dict[str, Any]

budget = st.fixed_dictionaries(
    {"maxLimit": st.sampled_from([1, 10.5, 100]), "resetDuration": st.sampled_from(DURATIONS)}
)
budgets = st.lists(budget, max_size=3, unique_by=lambda one: one["resetDuration"])
amount = st.integers(1, 3)
tokens = st.fixed_dictionaries({"tokenMaxLimit": amount, "tokenResetDuration": st.sampled_from(DURATIONS)})
requests = st.fixed_dictionaries({"requestMaxLimit": amount, "requestResetDuration": st.sampled_from(DURATIONS)})
rate_limit: st.SearchStrategy[Parts] = (
    st.just({}) | tokens | requests | st.builds(lambda one, other: {**one, **other}, tokens, requests)
)


def parts(generation: Generation) -> st.SearchStrategy[Parts]:
    """Return what a spec may manage."""
    several = budgets.map(lambda some: {"budgets": some if generation > 1 else some[:1]})
    money: st.SearchStrategy[Parts] = st.just({}) | budget.map(lambda one: {"budget": one}) | several
    rate: st.SearchStrategy[Parts] = st.just({}) | rate_limit.map(lambda one: {"rateLimit": one})
    return st.builds(lambda one, other: {**one, **other}, money, rate).filter(bool)


def steps(generation: Generation) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """Return what may happen, one thing after the other."""
    elsewhere = budgets if generation > 1 else budgets.map(lambda some: some[:1])
    faults: st.SearchStrategy[Fault] = st.sampled_from(["lost", "timeout", "500"])
    step = st.one_of(
        st.tuples(st.just("edit"), parts(generation)),
        st.tuples(st.just("budgets"), elsewhere),
        st.tuples(st.just("rate limit"), rate_limit),
        st.tuples(st.just("usage"), st.integers(1, 50)),
        st.tuples(st.just("delete"), st.none()),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("death"), parts(generation)),
        st.tuples(st.just("faults"), st.lists(faults, min_size=1, max_size=2)),
        st.tuples(st.just("time"), st.sampled_from([0.01, 1, 20, 70])),
    )
    return st.lists(step, max_size=10)


def wanted(spec: Parts) -> tuple[dict[str, float] | None, Parts | None]:
    """Return what a spec manages: budgets by duration and the rate limit; None for what it does not."""
    listed = [spec["budget"]] if "budget" in spec else spec.get("budgets")
    money = None if listed is None else {one["resetDuration"]: one["maxLimit"] for one in listed}
    return money, spec.get("rateLimit")


def limits(row: RowSpec | None) -> tuple[dict[str, float], Parts]:
    """Return the limits of a row in the same form."""
    if row is None:
        return {}, {}
    money = {one.reset_duration: one.max_limit for one in row.budgets}
    rate = row.rate_limit or RateLimitSpec()
    fields = {
        "tokenMaxLimit": rate.token_max_limit,
        "tokenResetDuration": rate.token_reset_duration if rate.token_max_limit else None,
        "requestMaxLimit": rate.request_max_limit,
        "requestResetDuration": rate.request_reset_duration if rate.request_max_limit else None,
    }
    return money, {name: value for name, value in fields.items() if value is not None}


@dataclass
class Story:
    """One run: what happens to the row and the spec, and what must hold all the time."""

    gateway: Gateway
    cluster: Cluster = field(init=False)
    key: Key = field(init=False)
    touched: bool = False
    """Somebody changed the row after it was last shown to the operator."""
    violations: list[AssertionError] = field(default_factory=list)
    """What did not hold; raised inside the operator it would be taken for a bug on one resource, and survived."""

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.gateway)
        self.gateway.before_write = self.gateway.mine
        self.gateway.after_write = lambda before: self._hold(self._written, before)
        self.gateway.on_answer = self._shown
        self.cluster.on_status = lambda key: self._hold(self._told, key)

    def in_force(self) -> bool:
        """Tell whether the row has what the spec wants."""
        money, rate = wanted(self.cluster.objects[self.key]["spec"])
        there = limits(self.gateway.mine())
        return money in (None, there[0]) and rate in (None, there[1])

    def _hold(self, check: Callable[[Any], None], about: object) -> None:
        try:
            check(about)
        except AssertionError as violation:
            self.violations.append(violation)

    def _shown(self) -> None:
        self.touched = False

    def _written(self, before: object) -> None:
        assert before is None or isinstance(before, RowSpec)
        after = self.gateway.mine()
        if before is None:
            return
        assert after is not None, "nothing is ever deleted"
        assert after.id == before.id, "nothing is made anew"
        money, rate = wanted(self.cluster.objects[self.key]["spec"])
        if money is None:
            assert after.budgets == before.budgets
        if rate is None:
            assert after.rate_limit == before.rate_limit
        spent = {one.reset_duration: one.current_usage for one in before.budgets}
        for one in after.budgets:
            assert spent.get(one.reset_duration, one.current_usage) == one.current_usage
        if len(before.budgets) == len(after.budgets) == 1:
            assert after.budgets[0].current_usage == before.budgets[0].current_usage
        if before.rate_limit is not None and after.rate_limit is not None:
            if before.rate_limit.token_max_limit and after.rate_limit.token_max_limit:
                assert after.rate_limit.token_current_usage == before.rate_limit.token_current_usage
            if before.rate_limit.request_max_limit and after.rate_limit.request_max_limit:
                assert after.rate_limit.request_current_usage == before.rate_limit.request_current_usage

    def _told(self, key: Key) -> None:
        assert self.cluster.ready(key)[1] != "InternalError"
        body = self.cluster.objects[key]
        current = body["status"]["observedGeneration"] == body["metadata"]["generation"]
        if self.cluster.ready(key)[0] == "True" and current and not self.touched:
            assert self.in_force(), "Ready is only said of what the gateway has"

    def elsewhere(self, **changes: Any) -> None:
        """Change the row behind the operator's back."""
        row = self.gateway.mine()
        if row is not None and row.id is not None:
            self.touched = True
            self.gateway.commands.update_row(row.id, changes)  # type: ignore[arg-type] # fields of a typed dict

    async def play(self, first: Parts, happenings: list[tuple[str, Any]]) -> None:
        """Let it all happen, then let time pass, and look at what is left."""
        self.key = self.cluster.add("gpt", **first)
        foreign = self.gateway.foreign()
        async with AsyncExitStack() as stack:
            controller = await stack.enter_async_context(operator(self.cluster))
            for what, how in happenings:
                controller = await self._happen(what, how, controller, stack)
            self.gateway.faults.clear()
            await asyncio.sleep(3 * INTERVAL)
            assert self.violations == []
            assert self.in_force()
            assert self.cluster.ready(self.key) == ("True", "Synced")
            quiet = self._writes()
            await asyncio.sleep(10 * INTERVAL)
            assert self._writes() == quiet, "nothing is written once in sync"
        async with operator(self.cluster):
            await asyncio.sleep(3 * INTERVAL)
        assert self._writes() == quiet, "nothing is written after a restart"
        assert self.gateway.foreign() == foreign
        assert self.violations == []

    def _writes(self) -> tuple[int, int]:
        return self.gateway.count("POST", "PUT", "DELETE"), self.cluster.status_writes

    async def _happen(self, what: str, how: Any, controller: Controller, stack: AsyncExitStack) -> Controller:
        row = self.gateway.mine()
        match what:
            case "edit":
                self._edit(how, controller.changed)
            case "budgets":
                self.elsewhere(budgets=[_budget(one) for one in how])
            case "rate limit":
                self.elsewhere(rate_limit=_rate_limit(how))
            case "usage" if row is not None and row.id is not None:
                used = {one.reset_duration: float(how) for one in row.budgets}
                self.gateway.commands.set_usage(row.id, used, how if row.rate_limit else None, None)
            case "delete" if row is not None and row.id is not None:
                self.touched = True
                self.gateway.commands.delete_row(row.id)
            case "restart":
                await stack.aclose()
                return await stack.enter_async_context(operator(self.cluster))
            case "death":
                self.cluster.lost_status = True
                self._edit(how, controller.changed)
                await asyncio.sleep(0.5)
                await stack.aclose()
                self.cluster.lost_status = False
                return await stack.enter_async_context(operator(self.cluster))
            case "faults":
                self.gateway.faults = how
            case "time":
                await asyncio.sleep(how)
        return controller

    def _edit(self, how: Parts, changed: Callable[[Key], None]) -> None:
        self.cluster.edit(self.key, how)
        changed(self.key)


def _budget(one: Parts) -> BudgetSpec:
    return BudgetSpec(max_limit=one["maxLimit"], reset_duration=one["resetDuration"])


def _rate_limit(one: Parts) -> RateLimitSpec | None:
    if not one:
        return None
    return RateLimitSpec(
        token_max_limit=one.get("tokenMaxLimit"),
        token_reset_duration=one.get("tokenResetDuration"),
        request_max_limit=one.get("requestMaxLimit"),
        request_reset_duration=one.get("requestResetDuration"),
    )


@pytest.mark.parametrize("generation", [1, 2, 3])
@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_the_row_ends_at_the_spec_and_nothing_else_is_touched(generation: Generation, data: st.DataObject) -> None:
    first = data.draw(parts(generation))
    happenings = data.draw(steps(generation))
    run(Story(Gateway(generation)).play(first, happenings))
