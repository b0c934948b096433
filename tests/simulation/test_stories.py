"""A few hundred simulated hours, and that the simulation finds the bugs it is there for."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.simulation import test_scenes
from tests.simulation.planted import PLANTS
from tests.simulation.run import played, prepare
from tests.unit import test_reconcile

SEEDS = 150
ENOUGH = 1500
"""Stories within which every planted bug is found; most take a few."""
FIRST = {
    "no_uid_precondition": 9,
    "own_status_over_everybodys": 104,
    "successors_forgotten": 52,
    "no_audit": 34,
    "lists_are_trusted": 30,
    "finalizer_only_before_writes": 9,
    "claims_stay_behind": 14,
}
"""Stories that found the bugs that few find, played first; where they find them no more, the others are played."""

RARE: Mapping[str, Callable[[], None]] = {
    "status_in_pieces": test_scenes.test_a_status_that_another_process_wrote_meanwhile_is_not_written_over,
    "late_news_are_no_claims": test_reconcile.test_what_a_predecessor_found_out_counts_as_a_claim_even_when_it_comes_late,
}
"""Bugs that one story in a thousand or fewer finds; a scene of their own plays what it told."""

_ONE = (
    "from tests.simulation.story import play; r = play({seed}); print(r.log, r.checks, r.writes, r.deaths, r.violation)"
)


def test_no_story_violates_what_must_hold() -> None:
    failed = [f"seed {result.seed}: {result.violation}" for result in played(range(SEEDS)) if result.violation]
    assert failed == []


@pytest.mark.parametrize("plant", [plant for plant in PLANTS if plant not in RARE])
def test_a_planted_bug_is_found(plant: str) -> None:
    assert any(result.violation for result in played([FIRST.get(plant, 0), *range(ENOUGH)], plant=plant))


@pytest.mark.parametrize("plant", RARE)
def test_a_planted_bug_that_hardly_a_story_meets_fails_the_scene_made_of_it(plant: str) -> None:
    with multiprocessing.get_context("fork").Pool(1, initializer=prepare, initargs=(plant,)) as pool:
        assert pool.apply(_fails, (RARE[plant],))


def _fails(scene: Callable[[], None]) -> bool:
    try:
        scene()
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


def test_a_seed_plays_the_same_story_again_in_another_process() -> None:
    def told(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", _ONE.format(seed=7)]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    assert told("1") == told("2")
