"""Plays many stories on all processors, and tells which seeds failed."""

import logging
import multiprocessing
import os
from collections.abc import Iterable, Iterator

from tests.simulation.planted import PLANTS
from tests.simulation.story import Result, play


def played(seeds: Iterable[int], *, plant: str | None = None) -> Iterator[Result]:
    """Yield what came of every seed, in the order they end; with a bug planted, if one is named."""
    context = multiprocessing.get_context("fork")
    with context.Pool(os.cpu_count(), initializer=prepare, initargs=(plant,)) as pool:
        yield from pool.imap_unordered(play, seeds, chunksize=2)


def prepare(plant: str | None) -> None:
    """Make a process of the pool ready for stories, with a bug planted, if one is named."""
    # A story's log is its own; the operator's would be as long as an hour of it.
    logging.disable(logging.CRITICAL)
    if plant is not None:
        PLANTS[plant]()
