"""What the contract tests share."""

from collections.abc import Iterator

import httpx
import pytest

from tests.contract.bifrost_gateway import Gateway
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import Generation
from tests.simulators.process import BasetenSimulator


@pytest.fixture
def api(baseten: BasetenSimulator) -> Iterator[httpx.Client]:
    """A client of the simulated API with its key."""
    headers = {"Authorization": "Bearer test-key"}
    with httpx.Client(base_url=baseten.url, headers=headers, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture(params=[1, 2, 3])
def generation(request: pytest.FixtureRequest) -> Generation:
    """A generation of the gateway."""
    found: Generation = request.param
    return found


@pytest.fixture
def gateway(bifrost: BifrostSimulator, generation: Generation) -> Iterator[Gateway]:
    """The simulated gateway in this generation."""
    bifrost.set_generation(generation)
    with Gateway(httpx.Client(base_url=bifrost.gateway_url, trust_env=False), generation) as gateway:
        yield gateway
