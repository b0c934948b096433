"""The courses of fields that say which remote thing is meant. Most cannot change; what they name may not be there yet."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.e2e.stage import Object
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.play import Change, Judge, Step, condition, refused


def put(path: str, value: Any) -> Change:
    """Return what puts a value to a place in a spec; None takes away what is there."""

    def change(spec: Object) -> None:
        *way, last = path.split(".")
        for name in way:
            spec = spec[name]
        if value is None:
            del spec[last]
        else:
            spec[last] = value

    return change


def unchanged(_: Object) -> None:
    """Change nothing."""


def fixed(changes: Mapping[str, Change], words: str = "immutable") -> list[Step]:
    """Return the course of what is said once and for all: every other value is refused by the API server."""
    refusals = [Step("immutable", change, rejected=words) for change in changes.values()]
    return [Step("set", unchanged), *refusals]


def missing(reason: str, make: Callable[[Actor], None], change: Change = unchanged) -> list[Step]:
    """Return the course of something that is not there at first, and found by itself when it is."""

    def nowhere(actor: Actor, body: Object) -> str | None:
        ready = condition(body, "Ready")
        return None if ready.get("reason") == reason else f"Ready is {ready.get('reason')}: {ready.get('message')}"

    return [
        Step("", change, nowhere, applies=False),
        Step("missing, then there", unchanged, before=make),
    ]


def chainlets(settings: Sequence[Object]) -> list[Step]:
    """Return the course of the chainlets' names, with settings for one and for the other."""
    first, second = settings

    def listed(*names: str) -> Change:
        values = {"A": first, "B": second, "Nope": first}

        def change(spec: Object) -> None:
            spec["chainlets"] = [{"name": name, "autoscaling": dict(values[name])} for name in names]

        return change

    unknown: Judge = refused("Nope", "TargetNotFound")
    return [
        Step("set", listed("A")),
        Step("change", listed("B")),
        Step("", listed("B", "Nope"), unknown, applies=False),
        Step("refused, reverted", listed("B")),
        Step("combined", listed("A", "B")),
        Step("unset", listed("A")),
    ]


def pinned(id_: str) -> list[Step]:
    """Return the course of a row's id."""
    return [
        Step("", unchanged),
        Step("set", put("modelConfigId", id_)),
        Step("", put("modelConfigId", "nowhere"), refused("nowhere", "TargetNotFound"), applies=False),
        Step("refused, reverted", put("modelConfigId", id_)),
        Step("unset", put("modelConfigId", None)),
    ]
