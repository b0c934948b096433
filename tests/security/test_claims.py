"""A target stays with its owner, whoever claims it without a key for it."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("claims"), ids=str)
def test_a_target_stays_with_its_owner(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
