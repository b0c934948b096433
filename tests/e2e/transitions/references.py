"""The courses of `connectionRef`: which connection, and so which remote, a resource is taken care of through."""

from collections.abc import Callable

from tests.e2e.stage import Object
from tests.e2e.transitions.actors import Actor
from tests.e2e.transitions.control import Tweak
from tests.e2e.transitions.play import Change, Step, told

NOWHERE = told("False", "ConnectionNotFound")


def _put(tweak: Tweak, ref: Object | None, number: int) -> Change:
    def change(spec: Object) -> None:
        spec.pop("connectionRef", None)
        if ref is not None:
            spec["connectionRef"] = ref
        tweak(spec, number)

    return change


def named(tweak: Tweak, default: str, *, move: Callable[[Actor], None]) -> list[Step]:
    """Return the course of the name: to another remote, where nothing of the resource is yet, and back to the first.

    `move` tells the actor that it belongs to the other of the two remotes now.
    """

    def put(name: str | None, number: int) -> Change:
        return _put(tweak, None if name is None else {"name": name}, number)

    return [
        Step("", put(None, 3)),
        Step("set", put("second", 4), before=move),
        Step("change", put(default, 5), before=move),
        Step("", put("nowhere", 6), NOWHERE, applies=False),
        Step("refused, reverted", put(default, 5)),
        Step("combined", put("second", 8), before=move),
        Step("unset", put(None, 9), before=move),
    ]


def of_kind(tweak: Tweak, default: str, cluster: str) -> list[Step]:
    """Return the course of the kind; `cluster` is a ClusterConnection to the same remote."""

    def put(ref: Object | None, number: int) -> Change:
        return _put(tweak, ref, number)

    return [
        Step("", put(None, 3)),
        Step("set", put({"kind": "Connection", "name": default}, 4)),
        Step("change", put({"kind": "ClusterConnection", "name": cluster}, 5)),
        Step("", put({"kind": "ClusterConnection", "name": "nowhere"}, 6), NOWHERE, applies=False),
        Step("refused, reverted", put({"kind": "ClusterConnection", "name": cluster}, 5)),
        Step("combined", put({"kind": "Connection", "name": default}, 7)),
        Step("unset", put({"name": cluster}, 8)),
    ]
