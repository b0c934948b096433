"""Steps, and how all actors of a test take them in lockstep: apply everything, then wait until everybody is there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.controlplane.errors import KubectlError
from tests.e2e.stage import Object, Place
from tests.e2e.transitions import table
from tests.e2e.transitions.actors import Actor
from tests.waiting import eventually

Change = Callable[[Object], None]
"""Changes a spec in place."""
Judge = Callable[[Actor, Object], str | None]
"""Returns what is wrong with a resource and its remote thing; None where all is well."""
PATIENCE = 60.0


def in_force(actor: Actor, body: Object) -> str | None:
    """Hold the remote against the spec, and the status against both."""
    there = actor.remote()
    if there != actor.expected:
        return f"the remote has {there} and not {actor.expected}"
    return _told(actor, body, ("True", "Synced")) or _recorded(actor, body)


def refused(word: str, reason: str = "InvalidSettings") -> Judge:
    """Return the judge of a spec that the remote refuses, with that word in its message."""

    def judge(actor: Actor, body: Object) -> str | None:
        there = actor.remote()
        if there != actor.expected:
            return f"the remote has {there} and not {actor.expected}"
        message = condition(body, "Ready").get("message", "")
        if condition(body, "Stalled").get("status") != "True" or word not in message:
            return f"it is not Stalled with {word!r}: {message!r}"
        return _told(actor, body, ("False", reason))

    return judge


def told(status: str, reason: str, *also: str) -> Judge:
    """Return the judge of a spec that is not written, or not to that place, and so leaves the remote as it was."""

    def judge(actor: Actor, body: Object) -> str | None:
        there = actor.remote()
        if there != actor.expected:
            return f"the remote has {there} and not {actor.expected}"
        missing = [name for name in also if condition(body, name).get("status") != "True"]
        return f"{missing} are not True" if missing else _told(actor, body, (status, reason))

    return judge


@dataclass(frozen=True)
class Step:
    """One change of a spec, and what has to come of it."""

    transition: str
    """Its column in the table; empty where it only leads to the next one."""
    change: Change
    judge: Judge = in_force
    applies: bool = True
    """Whether what the spec says is to be in force afterwards."""
    before: Callable[[Actor], None] = lambda actor: None
    """What happens at the remote before the change."""
    rejected: str = ""
    """Words of the API server, which does not take the change."""


@dataclass
class Course:
    """What one field goes through."""

    path: str
    actor: Actor
    steps: Sequence[Step]
    fields: Sequence[str] = field(default=())
    """Further fields that take the same steps."""
    kind: str | None = None
    """Whose fields they are; the actor's kind unless given."""


def play(place: Place, courses: Sequence[Course]) -> None:
    """Let all courses be taken side by side.

    Raises:
        AssertionError: some did not get where they should; all of them are named.
    """
    for number in range(max(len(course.steps) for course in courses)):
        taking = [(course, course.steps[number]) for course in courses if number < len(course.steps)]
        applied = [(course, step) for course, step in taking if not step.rejected]
        for course, step in taking:
            step.before(course.actor)
            if step.rejected:
                _rejected(place, course.actor, step)
                continue
            step.change(course.actor.spec)
            if step.applies:
                course.actor.expect()
        if applied:
            _apply(place, *(course.actor.manifest() for course, _ in applied))
        _all_there(place, taking)
        for course, step in taking:
            if step.transition:
                for path in (course.path, *course.fields):
                    table.held(course.kind or course.actor.KIND, path, step.transition)


def _apply(place: Place, *manifests: Object) -> None:
    # By the server: kubectl's own apply makes a fraction of every number beyond 2^53.
    text = "\n---\n".join(yaml.safe_dump(manifest) for manifest in manifests)
    place.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)


def _all_there(place: Place, taking: list[tuple[Course, Step]]) -> None:
    problems: dict[str, str] = {}

    def reached() -> bool:
        bodies = _bodies(place, {course.actor.SHORT for course, _ in taking})
        problems.clear()
        for course, step in taking:
            actor = course.actor
            problem = step.judge(actor, bodies[actor.SHORT, actor.name])
            if problem is not None:
                problems[f"{course.kind or actor.KIND} {course.path}, {step.transition or 'on the way'}"] = problem
        return not problems

    try:
        eventually(reached, timeout=PATIENCE, interval=0.2)
    except AssertionError:
        raise AssertionError("\n".join(f"{where}: {problem}" for where, problem in problems.items())) from None


def _bodies(place: Place, kinds: set[str]) -> dict[tuple[str, str], Object]:
    found = {}
    for kind in kinds:
        found.update({(kind, body["metadata"]["name"]): body for body in place.plane.items(kind, place.namespace)})
    return found


def _rejected(place: Place, actor: Actor, step: Step) -> None:
    before = actor.manifest()
    changed = actor.manifest()
    step.change(changed["spec"])
    assert changed != before
    try:
        _apply(place, changed)
    except KubectlError as error:
        if step.rejected not in str(error):
            raise AssertionError(f"{actor.KIND} {actor.name} was refused with {error}") from None
        return
    raise AssertionError(f"{actor.KIND} {actor.name} was not refused")


def condition(body: Object, type_: str) -> Object:
    """Return a condition, or an empty object."""
    conditions: list[Object] = body.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == type_), {})


def _told(actor: Actor, body: Object, wanted: tuple[str, str]) -> str | None:
    status, ready = body.get("status", {}), condition(body, "Ready")
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return "the status is about an older generation"
    if (ready.get("status"), ready.get("reason")) != wanted:
        return f"Ready is {ready.get('status')} {ready.get('reason')}: {ready.get('message')}"
    if actor.requested is not None and status.get("lastHandledReconcileAt") != actor.requested:
        return f"the request {actor.requested} is not handled"
    return None


def _recorded(actor: Actor, body: Object) -> str | None:
    status = body["status"]
    if "drift" in status or any(condition(body, name) for name in ("Stalled", "Reconciling", "Drifted", "Suspended")):
        return (
            f"in force, but the status says {status.get('drift')} and {[one['type'] for one in status['conditions']]}"
        )
    if _sorted(status.get("applied")) != _sorted(actor.managed()):
        return f"applied is {status.get('applied')} and not {actor.managed()}"
    return None


def _sorted(settings: Any) -> Any:
    """Return settings with their lists in one order, which is of no meaning."""
    if isinstance(settings, dict):
        return {name: _sorted(value) for name, value in settings.items()}
    if isinstance(settings, list):
        return sorted((_sorted(value) for value in settings), key=json.dumps)
    return settings
