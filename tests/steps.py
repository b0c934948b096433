"""Runs work that the product does in steps."""

from typing import TypeVar

from setpoint.remotes.decoding import Steps

T = TypeVar("T")


def finished(steps: Steps[T]) -> T:
    """Return what the steps return, at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
