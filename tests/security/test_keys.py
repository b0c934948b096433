"""A key is shown nowhere, however a remote spells it."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("keys"), ids=str)
def test_a_key_is_shown_nowhere(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
