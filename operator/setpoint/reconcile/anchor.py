"""Ties what is remembered of a resource to the remote thing it speaks of, and cuts the tie where that is another one now.

Whoever takes a resource up calls `at_endpoint` before anything is asked, and `anchored` as soon as the id of the target is
known. Both return the resource with the status that holds from then on.
"""

from typing import TypeVar

from setpoint.reconcile import origin
from setpoint.reconcile.memory import Memory
from setpoint.remotes.errors import TargetNotFound
from setpoint.resources.common import DeletionPolicy, Managed, Origin, StatusBase

R = TypeVar("R", bound=Managed)


def at_endpoint(resource: R, memory: Memory, here: Origin) -> R:
    """Hold the status against the endpoint that the connection leads to now, and against that connection."""
    known = memory.status.origin
    if known is None:
        return resource
    if not known.leads_to(here):
        memory.notices.append(origin.moved(memory.status, known, here))
        return _cut_off(resource, memory, here)
    lost = known.lost if resource.spec.deletion_policy is not DeletionPolicy.ORPHAN else None
    there = here.model_copy(update={"id": known.id, "lost": lost})
    return _with(resource, memory, memory.status.model_copy(update={"origin": there}))


def anchored(resource: R, memory: Memory, found: Origin, title: str, *, as_wanted: bool) -> R:
    """Hold the status against the very thing the target is; an id of None: there is none.

    `as_wanted`: it has the settings of the spec, so that one that was not there before may be this resource's own.
    """
    known = memory.status.origin
    if known is not None and known.id == found.id:
        return resource
    if known is not None:
        found = found.model_copy(update={"lost": known.lost})
    status = memory.status
    if known is None or (known.id is None and (as_wanted or dict(status).get("baseline") is None)):
        return _with(resource, memory, status.model_copy(update={"origin": found}))
    if known.id is None or found.id is None:
        update: dict[str, object] = {name: None for name in ("baseline", "created") if name in dict(status)}
        return _with(resource, memory, status.model_copy(update={**update, "origin": found}))
    memory.notices.append(origin.changed(status, f"{title} was {known.id} before and is {found.id} now"))
    return _cut_off(resource, memory, found)


def check(memory: Memory, found: Origin, title: str) -> None:
    """Hold what is to be put back against the thing the target is.

    Raises:
        TargetNotFound: it was found on another thing, or elsewhere.
    """
    known = memory.status.origin
    if known is None:
        return
    left_behind = origin.left_behind(memory.status)
    if not known.leads_to(found):
        raise TargetNotFound(f"{origin.leads_elsewhere(known, found)}; {left_behind}")
    if known.id not in {None, found.id}:
        raise TargetNotFound(f"{title} is {found.id or 'not there'} now; {left_behind}")


def _cut_off(resource: R, memory: Memory, found: Origin) -> R:
    memory.pending = memory.refused = memory.promotion = memory.current = None
    # Nobody has seen yet what this one has: Ready must not outlast a failure on the word of the other one.
    memory.unread = memory.drifted = True
    memory.proven = False
    return _with(resource, memory, memory.status.moved_to(found))


def _with(resource: R, memory: Memory, status: StatusBase) -> R:
    memory.status = status
    return resource.model_copy(update={"status": status})
