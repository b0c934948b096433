"""With no more memory than the chart gives, which the kernel enforces here too, the operator goes on for everybody else."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.figures import memory_limit
from tests.security.held import PROBE, SECONDS
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster

HARDEST = ("32 answers that stall after 16 MiB", "100,000 windows in a row of a gateway", "200 requestedAt of 255 KiB")


@pytest.mark.parametrize("attack", [one for one in of("memory") if one.name in HARDEST], ids=str)
def test_the_charts_memory_is_enough(ground: Ground, attack: Attack) -> None:
    begun = attack.on(ground, seconds=SECONDS, limit=memory_limit())
    assert begun.figures.broken(probe=PROBE) == []
    assert [line[:200] for line in begun.figures.log.splitlines() if "MemoryError" in line][:3] == []


def test_the_limit_is_one(ground: Ground) -> None:
    """The limit itself works: with far less, the operator does not even start."""
    attack = of("memory")[0]
    with pytest.raises(AssertionError, match=r"did not become ready|ended with"):
        attack.on(ground, seconds=0, limit=memory_limit() // 32)
