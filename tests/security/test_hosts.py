"""A listed name leads nowhere but to what it is listed for."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("hosts"), ids=str)
def test_a_listed_name_leads_nowhere_else(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
