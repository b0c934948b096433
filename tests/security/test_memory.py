"""Whatever a tenant or a remote sends, the operator stays within the memory that the chart gives it."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("memory"), ids=str)
def test_memory_stays_below_the_charts_limit(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
