"""The courses of `connectionRef`: which connection, and so which remote, a resource is taken care of through."""

from collections.abc import Callable

from tests.e2e.stage import Object
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.control import Tweak
from tests.e2e.transitions.play import Change, Step, told

NOWHERE = told("False", "ConnectionNotFound")


def named(tweak: Tweak, default: str, *, other: Callable[[Actor], None], back: Callable[[Actor], None]) -> list[Step]:
    """Return the course of the name: to another remote, where nothing of the resource is yet, and back to the first.

    `other` and `back` tell the actor which remote it belongs to.
    """

    def put(name: str | None, number: int) -> Change:
        def change(spec: Object) -> None:
            spec.pop("connectionRef", None)
            if name is not None:
                spec["connectionRef"] = {"name": name}
            tweak(spec, number)

        return change

    return [
        Step("", put(None, 3)),
        Step("set", put("second", 4), before=other),
        Step("change", put(default, 5), before=back),
        Step("", put("nowhere", 6), NOWHERE, applies=False),
        Step("refused, reverted", put(default, 5)),
        Step("combined", put("second", 8), before=other),
        Step("unset", put(None, 9), before=back),
    ]


def of_kind(tweak: Tweak, default: str, cluster: str) -> list[Step]:
    """Return the course of the kind; `cluster` is a ClusterConnection to the same remote."""

    def put(ref: Object | None, number: int) -> Change:
        def change(spec: Object) -> None:
            spec.pop("connectionRef", None)
            if ref is not None:
                spec["connectionRef"] = ref
            tweak(spec, number)

        return change

    return [
        Step("", put(None, 3)),
        Step("set", put({"kind": "Connection", "name": default}, 4)),
        Step("change", put({"kind": "ClusterConnection", "name": cluster}, 5)),
        Step("", put({"kind": "ClusterConnection", "name": "nowhere"}, 6), NOWHERE, applies=False),
        Step("refused, reverted", put({"kind": "ClusterConnection", "name": cluster}, 5)),
        Step("combined", put({"kind": "Connection", "name": default}, 7)),
        Step("unset", put({"name": cluster}, 8)),
    ]
