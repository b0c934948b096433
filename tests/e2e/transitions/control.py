"""The courses of fields that say how a resource is taken care of, alike for all kinds."""

from collections.abc import Callable, Mapping
from typing import Any

from setpoint.resources.common import FINALIZER
from tests.e2e.stage import Object
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.play import Change, Judge, Step, in_force, told

Tweak = Callable[[Object, int], None]
"""Makes a number the one setting that a spec manages."""

UNSET: Any = object()
ON, OFF = True, False


def tweak_deployment(spec: Object, number: int) -> None:
    """Manage maxReplica."""
    spec["autoscaling"] = {"maxReplica": number}


def tweak_chain(spec: Object, number: int) -> None:
    """Manage maxReplica of a chainlet."""
    spec["chainlets"] = [{"name": "A", "autoscaling": {"maxReplica": number}}]


def tweak_row(spec: Object, number: int) -> None:
    """Manage the budget."""
    spec["budget"] = {"maxLimit": number, "resetDuration": "1M"}


def courses(tweak: Tweak, policies: tuple[str, ...]) -> Mapping[str, list[Step]]:
    """Return the courses of interval, mode, suspend and deletionPolicy, by path; `policies` are those beside Orphan."""

    def put(name: str, value: Any, number: int) -> Change:
        def change(spec: Object) -> None:
            spec.pop(name, None)
            if value is not UNSET:
                spec[name] = value
            tweak(spec, number)

        return change

    def paused(transition: str, name: str, value: Any, number: int, judge: Judge) -> Step:
        return Step(transition, put(name, value, number), judge, applies=False)

    suspended = told("True", "Synced", "Suspended")
    observing = told("True", "DriftDetected", "Drifted")
    return {
        "interval": [
            Step("", put("interval", UNSET, 3)),
            Step("set", put("interval", "10m", 4)),
            Step("change", put("interval", "1h", 5)),
            Step("lowest", put("interval", "30s", 6)),
            Step("highest", put("interval", "24h", 7)),
            Step(
                "refused, reverted", put("interval", "29s", 7), rejected="interval must be a duration from 30s to 24h"
            ),
            Step("combined", _both(put("interval", "5m", 8), put("suspend", OFF, 8))),
            Step("unset", put("interval", UNSET, 9)),
        ],
        "mode": [
            Step("", put("mode", UNSET, 3)),
            Step("set", put("mode", "Enforce", 3)),
            paused("change", "mode", "Observe", 4, observing),
            Step("", put("mode", "Enforce", 5)),
            Step("refused, reverted", put("mode", "Watch", 5), rejected="Unsupported value"),
            Step("combined", _both(put("mode", "Enforce", 6), put("interval", "10m", 6))),
            Step("unset", put("mode", UNSET, 7)),
        ],
        "suspend": [
            Step("", put("suspend", UNSET, 3)),
            Step("set", put("suspend", ON, 3), suspended),
            paused("", "suspend", ON, 4, told("Unknown", "Suspended", "Suspended")),
            Step("change", put("suspend", OFF, 5)),
            Step("combined", _both(put("suspend", OFF, 6), put("mode", "Enforce", 6))),
            Step("unset", put("suspend", UNSET, 7)),
        ],
        "deletionPolicy": [
            Step("", put("deletionPolicy", UNSET, 3)),
            Step("set", put("deletionPolicy", policies[0], 4), _held(policies[0])),
            *(Step("", put("deletionPolicy", policy, 5), _held(policy)) for policy in policies[1:]),
            Step("change", put("deletionPolicy", "Orphan", 6), _let_go),
            Step("", put("deletionPolicy", "Restore", 7), _held("Restore")),
            Step("refused, reverted", put("deletionPolicy", "Keep", 7), rejected="Unsupported value"),
            Step("combined", _both(put("deletionPolicy", "Restore", 8), put("interval", "10m", 8)), _held("Restore")),
            Step("unset", put("deletionPolicy", UNSET, 9), _let_go),
        ],
    }


def _both(first: Change, second: Change) -> Change:
    def change(spec: Object) -> None:
        first(spec)
        second(spec)

    return change


def _held(policy: str) -> Judge:
    def judge(actor: Actor, body: Object) -> str | None:
        if FINALIZER not in body["metadata"].get("finalizers", []):
            return "it has no finalizer"
        if ("baseline" in body["status"]) != (policy == "Restore"):
            return f"with policy {policy} its baseline is {body['status'].get('baseline')}"
        return in_force(actor, body)

    return judge


def _let_go(actor: Actor, body: Object) -> str | None:
    if "finalizers" in body["metadata"] or "baseline" in body["status"]:
        return "its finalizer or baseline is still there"
    return in_force(actor, body)
