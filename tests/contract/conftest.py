"""What the contract tests share."""

from collections.abc import Iterator

import httpx
import pytest

from tests.simulators.process import BasetenSimulator


@pytest.fixture
def api(baseten: BasetenSimulator) -> Iterator[httpx.Client]:
    """A client of the simulated API with its key."""
    headers = {"Authorization": "Bearer test-key"}
    with httpx.Client(base_url=baseten.url, headers=headers, trust_env=False, timeout=10) as client:
        yield client
