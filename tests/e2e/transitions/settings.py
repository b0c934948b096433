"""The courses of fields that are settings of a remote thing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.e2e.stage import Object
from tests.e2e.transitions.actors import REFUSAL, Actor, Row
from tests.e2e.transitions.leaves import Schema
from tests.e2e.transitions.play import Change, Judge, Step, refused

CAP = 100_000
"""What the simulated organization allows in replicas."""
LARGEST = 2**63 - 1
TYPICAL: Mapping[str, tuple[int, int]] = {
    "minReplica": (2, 3),
    "maxReplica": (12, 13),
    "autoscalingWindow": (30, 40),
    "scaleDownDelay": (60, 90),
    "concurrencyTarget": (7, 9),
    "targetUtilizationPercentage": (50, 60),
    "targetInFlightTokens": (1000, 2000),
    "maxScaleDownRate": (10, 20),
}
HIGHEST = {"minReplica": 10, "maxReplica": CAP, "concurrencyTarget": 10**6, "targetInFlightTokens": 10**9}
"""Where the schema has no end: the highest that the remote takes."""
BEYOND = {"minReplica": (11, "must not be greater than max_replica"), "maxReplica": (CAP + 1, "organization's limit")}
"""What the remote refuses by rules of its own, and a part of its words."""

Put = Callable[[Object, Mapping[str, Any]], None]
"""Makes these the settings of a spec."""


def _requested(actor: Actor) -> None:
    actor.requested = f"{int(actor.requested or 0) + 1}"


def _clear(actor: Actor) -> None:
    (actor.bifrost if isinstance(actor, Row) else actor.baseten).clear_faults()  # type: ignore[attr-defined] # the two there are


def _refuse(actor: Actor) -> None:
    actor.refuse()


def course(
    sets: Sequence[tuple[str, Change]], beyond: Change, judge: Judge, *, before: Callable[[Actor], None], last: Change
) -> list[Step]:
    """Return the steps through values, then through one that is refused, and back to the last good one."""
    return [
        *(Step(transition, change) for transition, change in sets),
        Step("", beyond, judge, applies=False, before=before),
        Step("refused, reverted", last),
    ]


def autoscaling(field: str, schema: Schema, put: Put) -> list[Step]:
    """Return the course of one autoscaling setting; another one is managed from the beginning to the end."""
    anchor = {"concurrencyTarget": 6} if field == "scaleDownDelay" else {"scaleDownDelay": 901}
    others = {"autoscalingWindow": 123, "targetUtilizationPercentage": 55, "maxScaleDownRate": 44}
    first, second = TYPICAL[field]
    lowest, highest = schema["minimum"], schema.get("maximum", HIGHEST.get(field))
    beyond, word = BEYOND.get(field, (second, REFUSAL))

    def only(value: Any) -> Change:
        return lambda spec: put(spec, {**anchor, field: value})

    def meddled(actor: Actor) -> None:
        _requested(actor)
        actor.meddle(field, first)

    combined = {**others, **{name: value + 1 for name, value in anchor.items()}, field: second}
    return [
        Step("", lambda spec: put(spec, anchor)),
        *course(
            [("set", only(first)), ("change", only(second)), ("lowest", only(lowest)), ("highest", only(highest))],
            only(beyond),
            refused(word),
            before=(lambda actor: None) if field in BEYOND else _refuse,
            last=only(highest),
        ),
        Step("combined", lambda spec: put(spec, combined), before=_clear),
        Step("", lambda spec: put(spec, anchor)),
        # Nobody manages it any more, so what others make of it stays.
        Step("unset", lambda spec: put(spec, anchor), before=meddled),
    ]


def limits(part: str, values: Mapping[str, Any], *, other: Mapping[str, Any]) -> list[Step]:
    """Return the course of a part of a ModelConfigGovernance.

    `values`: by transition, what the part is, and `beyond`; `other` is managed from the beginning to the end.
    """

    def only(value: Any, **more: Any) -> Change:
        def change(spec: Object) -> None:
            for name in ("budget", "budgets", "rateLimit"):
                spec.pop(name, None)
            spec.update({**other, **more, **({} if value is None else {part: value})})

        return change

    def meddled(actor: Actor) -> None:
        _requested(actor)
        if part == "rateLimit":
            actor.meddle("rateLimit", 4321)
        else:
            actor.meddle("budgets", {"1w": 43.5})

    changed = {name: CHANGED[name] for name in other}
    return [
        Step("", only(None)),
        *course(
            [(name, only(values[name])) for name in ("set", "change", "lowest", "highest")],
            only(values["beyond"]),
            refused(REFUSAL),
            before=_refuse,
            last=only(values["highest"]),
        ),
        Step("combined", only(values["change"], **changed), before=_clear),
        Step("", only(None)),
        Step("unset", only(None), before=meddled),
    ]


BUDGET = {"maxLimit": 25, "resetDuration": "1M"}
RATE = {"requestMaxLimit": 50, "requestResetDuration": "1m"}
CHANGED: Mapping[str, Any] = {
    "budget": {"maxLimit": 26, "resetDuration": "1w"},
    "rateLimit": {"requestMaxLimit": 51, "requestResetDuration": "2m"},
}


def _budget(limit: float, length: str = "1M") -> Object:
    return {"maxLimit": limit, "resetDuration": length}


def _windows(limit: float, length: str) -> list[Object]:
    return [_budget(limit, length), _budget(1000, "2M")]


def _rate(which: str, limit: int, length: str = "1h") -> Object:
    return {f"{which}MaxLimit": limit, f"{which}ResetDuration": length}


AMOUNTS = {"set": 10.5, "change": 20, "lowest": 0.01, "highest": 1e12, "beyond": 30}
LENGTHS = {"set": "1d", "change": "1w", "lowest": "1s", "highest": "9Y", "beyond": "3d"}
COUNTS = {"set": 1000, "change": 2000, "lowest": 1, "highest": LARGEST, "beyond": 3000}


def _quarter(month: int) -> Object:
    return {**_budget(15, "1Q"), "resetConfig": {"quarterStartMonth": month}}


MONTHS = {"set": 4, "change": 7, "lowest": 1, "highest": 12, "beyond": 10}


def alignment() -> list[Step]:
    """Return the course of whether windows begin with the calendar's, which is a word and no number."""

    def only(*, to: bool | None, **more: Any) -> Change:
        def change(spec: Object) -> None:
            spec.pop("calendarAligned", None)
            spec.update({"budget": BUDGET, **more, **({} if to is None else {"calendarAligned": to})})

        return change

    def meddled(actor: Actor) -> None:
        _requested(actor)
        actor.meddle("calendarAligned", value=True)

    return [
        Step("", only(to=None)),
        Step("set", only(to=True)),
        Step("change", only(to=False)),
        Step("", only(to=True), refused(REFUSAL), applies=False, before=_refuse),
        Step("refused, reverted", only(to=False)),
        Step("combined", only(to=True, budget=CHANGED["budget"]), before=_clear),
        Step("", only(to=False)),
        Step("unset", only(to=None), before=meddled),
    ]


def governance() -> dict[str, list[Step]]:
    """Return the courses of all budget and rate limit fields, by path."""
    rate, budget = {"rateLimit": RATE}, {"budget": BUDGET}
    courses = {
        "budget.maxLimit": limits("budget", {name: _budget(value) for name, value in AMOUNTS.items()}, other=rate),
        "budget.resetDuration": limits(
            "budget", {name: _budget(15, value) for name, value in LENGTHS.items()}, other=rate
        ),
        "budgets[].maxLimit": limits(
            "budgets", {name: _windows(value, "1d") for name, value in AMOUNTS.items()}, other=rate
        ),
        "budgets[].resetDuration": limits(
            "budgets", {name: _windows(15, value) for name, value in LENGTHS.items()}, other=rate
        ),
    }
    quarters = {name: _quarter(month) for name, month in MONTHS.items()}
    both = {name: [value, _budget(1000, "2M")] for name, value in quarters.items()}
    courses["budget.resetConfig.quarterStartMonth"] = limits("budget", quarters, other=rate)
    courses["budgets[].resetConfig.quarterStartMonth"] = limits("budgets", both, other=rate)
    for which in ("token", "request"):
        counts = {name: _rate(which, value) for name, value in COUNTS.items()}
        lengths = {name: _rate(which, 15, value) for name, value in LENGTHS.items()}
        courses[f"rateLimit.{which}MaxLimit"] = limits("rateLimit", counts, other=budget)
        courses[f"rateLimit.{which}ResetDuration"] = limits("rateLimit", lengths, other=budget)
    return courses


def put_deployment(spec: Object, settings: Mapping[str, Any]) -> None:
    """Make these the settings of a DeploymentAutoscaling."""
    spec["autoscaling"] = dict(settings)


def put_chainlet(spec: Object, settings: Mapping[str, Any]) -> None:
    """Make these the settings of the first chainlet."""
    spec["chainlets"] = [{"name": "A", "autoscaling": dict(settings)}]
