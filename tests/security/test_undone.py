"""What is undone at a remote is what was done there, through that connection."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("undone"), ids=str)
def test_only_what_was_done_here_is_undone(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
