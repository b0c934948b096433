"""Keeps a status within what a Kubernetes object has room for.

Every list in a status has a bound of its own. This one is for all of them together: names that a spec may have are long, and
an API server that refuses an object as too large says so to nobody who reads the resource.
"""

from typing import TypeVar

from setpoint.reconcile.conditions import Type
from setpoint.resources.common import StatusBase, clean_message

LARGEST_STATUS = 256 * 1024
"""Bytes of JSON. An object may have about a MiB, with its spec and what others write into its metadata."""

_DISPENSABLE = ("drift", "serving", "usage", "observed")
"""What only tells. Of these a new process decides by `observed` alone, and only that it reads the target once more (`claims`),
so that goes last.
"""

S = TypeVar("S", bound=StatusBase)


def within_bounds(status: S) -> S:
    """Return a status as it is, or without as much of what only tells as makes it small enough, which Ready then says."""
    left_out: list[str] = []
    for field in _DISPENSABLE:
        if _size(status) <= LARGEST_STATUS:
            break
        known = type(status).model_fields.get(field)
        if known is not None and getattr(status, field):
            status = status.model_copy(update={field: known.get_default(call_default_factory=True)})
            left_out.append(field)
    if not left_out:
        return status
    note = f"this status is too large to show its {' and '.join(left_out)}"
    conditions = [
        one.model_copy(update={"message": clean_message(f"{note}; {one.message}")}) if one.type == Type.READY else one
        for one in status.conditions
    ]
    return status.model_copy(update={"conditions": conditions})


def _size(status: StatusBase) -> int:
    return len(status.model_dump_json(by_alias=True, exclude_none=True).encode())
