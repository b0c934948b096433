"""The courses of a connection's fields: what a resource goes through whose connection changes under it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e.stage import API, Object, Place
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.control import Tweak
from tests.e2e.transitions.play import Judge, Step, in_force, told
from tests.waiting import eventually

NAMES = {"Connection": "spconn", "ClusterConnection": "spcconn"}
PLURALS = {"Connection": "connections", "ClusterConnection": "clusterconnections"}
GONE: Any = object()
NOT_FOUND = told("False", "ConnectionNotFound")
NOT_ALLOWED = told("False", "ConnectionNotAllowed")


@dataclass
class Line:
    """A connection of a test, and how it is changed."""

    place: Place
    kind: str
    name: str
    spec: Object

    @property
    def cluster(self) -> bool:
        """Whether it is a ClusterConnection."""
        return self.kind == "ClusterConnection"

    def ref(self, name: str, key: str = "a", **more: str) -> Object:
        """Return a reference to a Secret of the test's namespace."""
        return {"name": name, "key": key, **({"namespace": self.place.namespace, **more} if self.cluster else {})}

    def apply(self, path: str = "", value: Any = GONE) -> None:
        """Put a value to a place of the spec for now, and wait until the operator knows."""
        spec = with_value(self.spec, path, value) if path else self.spec
        namespace = {} if self.cluster else {"namespace": self.place.namespace}
        manifest = {"apiVersion": API, "kind": self.kind, "metadata": {"name": self.name, **namespace}, "spec": spec}
        self.place.plane.apply(manifest)
        eventually(self._known, timeout=30)

    def delete(self) -> None:
        """Take it away, if it is there."""
        scope = () if self.cluster else ("-n", self.place.namespace)
        self.place.plane.kubectl("delete", NAMES[self.kind], self.name, *scope, "--ignore-not-found")

    def _known(self) -> bool:
        found = self.place.plane.get(NAMES[self.kind], self.name, None if self.cluster else self.place.namespace)
        return (
            found is not None and found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        )


def with_value(spec: Object, path: str, value: Any) -> Object:
    """Return a spec with a value at a place; `GONE` takes away what is there."""
    changed = copy.deepcopy(spec)
    *way, last = path.split(".")
    part = changed
    for name in way:
        part = part.setdefault(name, {})
    if value is GONE:
        part.pop(last, None)
    else:
        part[last] = value
    return changed


@dataclass(frozen=True)
class Try:
    """A value of a field, and what becomes of the resource."""

    transition: str
    value: Any
    judge: Judge = in_force
    rejected: str = ""
    before: Callable[[Actor], None] = lambda actor: None


def course(line: Line, path: str, tries: Sequence[Try], tweak: Tweak) -> list[Step]:
    """Return the course of a field: with every value a change of the resource has to get through, or not."""
    steps = []
    for number, one in enumerate(tries, 5):
        if one.rejected:
            steps.append(Step(one.transition, _ref(line), _refused(line, path, one), applies=False))
            continue
        arrives = one.judge in {NOT_FOUND, NOT_ALLOWED}

        def before(actor: Actor, one: Try = one) -> None:
            line.apply(path, one.value)
            one.before(actor)

        def change(spec: Object, number: int = number) -> None:
            _ref(line)(spec)
            tweak(spec, number)

        steps.append(Step(one.transition, change, one.judge, applies=not arrives, before=before))
    return steps


def _ref(line: Line) -> Callable[[Object], None]:
    def change(spec: Object) -> None:
        spec["connectionRef"] = {"kind": line.kind, "name": line.name}

    return change


def _refused(line: Line, path: str, one: Try) -> Judge:
    """Return the judge of a value that the API server does not take: the resource is as it was."""

    def judge(actor: Actor, body: Object) -> str | None:
        try:
            line.apply(path, one.value)
        except Exception as error:
            if one.rejected in str(error):
                return in_force(actor, body)
            raise
        raise AssertionError(f"{line.kind} {path} {one.value} was not refused")

    return judge


def plain(values: Mapping[str, Any], rejected: tuple[Any, str]) -> list[Try]:
    """Return the tries of a field whose values all work; one is refused by the API server."""
    return [
        Try("", GONE),
        *(Try(transition, value) for transition, value in values.items()),
        Try("refused, reverted", rejected[0], rejected=rejected[1]),
        Try("unset", GONE),
    ]


def referred(line: Line, part: str, secret: str, other: str, seen: Callable[[str], Judge]) -> list[Try]:
    """Return the tries of one part of a reference to a Secret.

    Key a of the Secret holds the first credential; its key b, the Secret with a 2 in its name, and the one of its name in the
    other namespace hold the second. `seen` holds the last request against one of them.
    """
    first = line.ref(secret)
    second, missing = {
        "name": (line.ref(f"{secret}2"), line.ref("missing")),
        "key": (line.ref(secret, "b"), line.ref(secret, "missing")),
        "namespace": (line.ref(secret, namespace=other), line.ref(secret, namespace="nowhere")),
    }[part]
    return [
        Try("set", first, seen("first")),
        Try("change", second, seen("second")),
        Try("", missing, NOT_FOUND),
        Try("refused, reverted", second, seen("second")),
    ]


def served(good: Sequence[Any], bad: Any) -> list[Try]:
    """Return the tries of who is served: two values that let the namespace in, one that does not, and none."""
    first, second = good
    return [
        Try("set", first),
        Try("change", second),
        Try("", bad, NOT_ALLOWED),
        Try("refused, reverted", second),
        Try("unset", GONE, NOT_ALLOWED),
    ]
