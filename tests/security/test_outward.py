"""Metrics and statuses are bounded, whatever there is to show."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("outward"), ids=str)
def test_what_is_shown_is_bounded(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
