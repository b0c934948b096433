"""What measures attacks sees what they do: an operator that is held up, one that is ended, and memory that is taken."""

import os
import signal

import pytest

from tests.security.figures import LATEST, MIB, Figures, memory_limit
from tests.security.page import page
from tests.security.siege import Ground, siege
from tests.waiting import eventually


@pytest.mark.cluster
def test_an_operator_that_stands_still_is_seen(ground: Ground) -> None:
    with siege(ground, seconds=2) as begun:
        eventually(lambda: begun.neighbour.seconds)
        os.kill(begun.operator.pid, signal.SIGSTOP)
        begun.endure()
        os.kill(begun.operator.pid, signal.SIGCONT)
        arrived = len(begun.neighbour.seconds)
        eventually(lambda: len(begun.neighbour.seconds) > arrived)
    assert begun.figures.probe > 1.5
    assert begun.figures.worst > 1.0
    assert begun.figures.memory > 20 * MIB
    assert [problem for problem in begun.figures.broken() if "/healthz" in problem]


@pytest.mark.cluster
def test_an_operator_that_ends_is_seen_and_so_is_a_change_that_never_arrives(ground: Ground) -> None:
    with siege(ground, seconds=LATEST + 2) as begun:
        eventually(lambda: begun.neighbour.seconds)
        begun.operator.shoot()
        arrived = len(begun.neighbour.seconds)
        eventually(lambda: begun.neighbour.waiting > LATEST, timeout=LATEST + 10)
        assert not begun.promise("it goes on", lambda: True, within=1)
    assert len(begun.neighbour.seconds) <= arrived + 1
    assert begun.figures.ended == -signal.SIGKILL
    assert len(begun.figures.broken()) == 3


def test_each_bound_can_be_broken() -> None:
    within = Figures(changes=[0.01], probe=0.5, memory=memory_limit(), promises={"it holds": True})
    assert within.broken(block=0.1) == []
    over = Figures([0.01, LATEST + 1], 0.0, 1.5, 0.2, memory_limit() + MIB, 1, {"it holds": False})
    assert len(over.broken(block=0.1)) == 6
    assert len(Figures(pending=LATEST + 1).broken()) == 1


def test_the_page_shows_what_is_broken_and_what_was_before() -> None:
    name, promise = "2000 crafted names and a misspelt target", "it holds"
    text = page({name: Figures([0.002], 0.0, 0.02, 0.03, 100 * MIB, None, {promise: False})})
    assert f"| {name} | {promise} | - → **no** |" in text
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} | creates"))
    assert "→ 2 ms" in row
    assert "→ 100 MiB" in row
    assert "→ **" not in row, "nothing of what is now is broken"


def test_what_is_kept_comes_back() -> None:
    kept = Figures([0.5], 7.0, 1.0, None, 3 * MIB, 1, {"it holds": False}).kept()
    assert Figures.of(kept).kept() == kept
