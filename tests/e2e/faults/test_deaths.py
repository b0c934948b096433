"""SIGKILL right before and right after every kind of side effect of every kind of resource."""

import os

import pytest

from tests.e2e.faults import table
from tests.e2e.faults.ground import KINDS, NAME, PLURALS, Ground
from tests.e2e.faults.proxy import When

pytestmark = pytest.mark.cluster

LIVES = int(os.environ.get("FAULTS", "1"))
"""How many lives a resource lives, each with all deaths of the operator."""

EFFECTS = ("finalizer change", "remote write", "status write")
DEATHS: tuple[tuple[str, When], ...] = tuple((what, when) for what in EFFECTS for when in ("before", "after"))
CHANGES = 4
"""Of the remote, in a life: the creation, two edits, and the restore."""


@pytest.mark.parametrize("kind", PLURALS)
@pytest.mark.parametrize("life", range(LIVES))
def test_a_life_with_a_death_at_every_side_effect(here: Ground, kind: str, life: int) -> None:
    """Created, edited and deleted, with an operator that dies at its steps, in each life at other ones."""
    before = here.remote(kind)
    armed = [
        here.arm(kind, what, when, skip=life) for what, when in DEATHS if not (what == "finalizer change" and life)
    ]
    here.apply(kind, 7, deletionPolicy="Restore")
    here.wait(lambda: here.synced(kind, 7))
    for value in (8, 9):
        here.apply(kind, value, deletionPolicy="Restore")
        here.wait(lambda wanted=value: here.synced(kind, wanted))  # type: ignore[misc] # bound now
    here.plane.kubectl("delete", kind, NAME, "-n", here.namespace, "--wait=false")
    here.wait(lambda: here.plane.get(kind, NAME, here.namespace) is None)

    assert here.remote(kind) == before
    assert here.lies == []
    assert sorted(here.fired()) == sorted(armed), "each death was died"
    assert here.deaths == len(armed)
    # A write for each change, and one more for each death that hid one from its successor.
    bound = CHANGES + len(DEATHS)
    assert here.writes(kind) <= bound
    for what, when in DEATHS:
        table.held(f"SIGKILL right {when} a {what}, in a life of {CHANGES} changes", KINDS[kind], bound=bound)
