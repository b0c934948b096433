"""What a test holds an attack against."""

from tests.security.attacks import Attack
from tests.security.siege import Ground

SECONDS = 6.0
"""For which an attack goes on in a test; `make attacks` takes longer."""
PROBE = 3.0
"""Seconds for `/healthz` where other tests take their part of two cores; the kubelet waits for 5. `make attacks`, which runs
alone, holds it against the bound of one second."""


def hold(attack: Attack, ground: Ground) -> None:
    """Try an attack, and hold what must hold for everybody else."""
    begun = attack.on(ground, seconds=SECONDS)
    assert begun.figures.broken(probe=PROBE) == []
    assert begun.figures.changes, "the neighbour was at work"
