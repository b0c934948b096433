"""Which remote thing a status speaks of, and what follows where the resource means another one now.

What was found before the first write belongs to the thing it was found on: put back anywhere else, it would be a wrong
value. So the status keeps where it came from (`origin`: the API's endpoint, and the id of the target there), and whatever
else it says of a thing goes when the resource means another one: because its connection leads elsewhere, because the thing
was made anew under the same name, or because the name belongs to something else now.
"""

import json
from typing import Any

from setpoint.reconcile.ports import Event, EventType
from setpoint.resources.common import FINALIZER, DeletionPolicy, Managed, Origin, StatusBase, clean_message

TARGET_MOVED = "TargetMoved"
TARGET_CHANGED = "TargetChanged"
BASELINE_LOST = "BaselineLost"
"""Reasons of Events."""


def lost(resource: Managed) -> bool:
    """Tell whether the status was lost that held what was found: the finalizer is there, and nobody says what for."""
    origin = resource.status.origin
    if origin is not None:
        return bool(origin.lost)
    status = dict(resource.status)
    unknown = resource.status.observed_generation < 0 and status.get("baseline") is None and not status.get("created")
    return unknown and FINALIZER in resource.metadata.finalizers


def needs_finalizer(resource: Managed) -> bool:
    """Tell whether something is, or may be, to be done when the resource is deleted, by its policy and its status.

    One that is there stays as long as the policy asks for one: what it is for may be about to be saved.
    """
    if resource.spec.deletion_policy is DeletionPolicy.ORPHAN:
        return False
    status = dict(resource.status)
    undo = "baseline" if resource.spec.deletion_policy is DeletionPolicy.RESTORE else "created"
    return bool(status.get(undo)) or FINALIZER in resource.metadata.finalizers


def moved(status: StatusBase, before: Origin, now: Origin) -> Event:
    """Return what is told where a resource reaches another API than before, or the same one by another connection."""
    return Event(
        EventType.WARNING, TARGET_MOVED, clean_message(f"{leads_elsewhere(before, now)}; {left_behind(status)}")
    )


def leads_elsewhere(before: Origin, now: Origin) -> str:
    """Return in words how the way to the target differs from the one by which it was found."""
    if before.endpoint not in {"", now.endpoint}:
        return f"the connection leads to {now.endpoint} now"
    if before.connection is None or now.connection is None or str(before.connection) != str(now.connection):
        return f"{now.connection} is used now, and not {before.connection}"
    if before.connection.uid != now.connection.uid:
        return f"{now.connection} is another one than before (uid {now.connection.uid})"
    return f"{now.connection} is opened with another credential than before"


def changed(status: StatusBase, what: str) -> Event:
    """Return what is told where the target is another thing than before at the same API."""
    return Event(EventType.WARNING, TARGET_CHANGED, clean_message(f"{what}; {left_behind(status)}"))


def baseline_lost() -> Event:
    """Return what is told where a status was lost that nothing else can replace."""
    return Event(
        EventType.WARNING,
        BASELINE_LOST,
        "the status that held what was found before the first write was lost: nothing will be restored or deleted when this "
        "resource is deleted; to take what is there now for it, set deletionPolicy to Orphan and back",
    )


def left_behind(status: StatusBase) -> str:
    """Return in words what a status knows of the thing it speaks of: where it is, and which values it keeps."""
    known = dict(status)
    origin = status.origin
    where = "what was managed before" if origin is None else f"{origin.id or 'nothing'} at {origin.endpoint}"
    applied, baseline = known.get("applied"), known.get("baseline")
    said = [f"{where} keeps {_values(applied)}" if applied is not None else f"{where} keeps what it has"]
    if baseline is not None:
        said.append(f"before the first write it had {_values(baseline)}")
    if known.get("created"):
        said.append("this resource created it")
    return "; ".join(said)


def _values(model: Any) -> str:
    return json.dumps(model.dump(), separators=(",", ":"))
