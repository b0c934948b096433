"""Hundreds of hung, failing or slow things of one namespace hold up nobody of another one."""

import pytest

from tests.security.attacks import Attack
from tests.security.attacks.registry import of
from tests.security.held import hold
from tests.security.siege import Ground

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("attack", of("fairness"), ids=str)
def test_one_namespace_does_not_hold_up_another(ground: Ground, attack: Attack) -> None:
    hold(attack, ground)
