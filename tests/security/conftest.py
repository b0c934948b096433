"""The ground on which attacks are tried, one for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import install
from tests.security.siege import Ground, ground_of

pytest.register_assert_rewrite("tests.security.held")


@pytest.fixture(scope="module")
def ground(controlplane: ControlPlane) -> Iterator[Ground]:
    """A control plane with the operator's rights in it, and the remotes."""
    install(controlplane)
    with ground_of(controlplane) as opened:
        yield opened
