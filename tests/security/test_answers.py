"""A remote controls every byte of its answers and costs nobody but its own connection anything."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("answers"), ids=str)
def test_an_answer_costs_only_its_own_connection(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
