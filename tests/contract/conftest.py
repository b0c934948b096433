"""What the contract tests share."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.contract.bifrost_gateway import Gateway, usual
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.releases import Release, generation_of
from tests.simulators.bifrost.specs import Generation
from tests.simulators.process import BasetenSimulator

REAL = "real"
"""Stands for the release of the real gateway that the environment names, if it does."""
RELEASES = ["v1.4.12", "v1.4.19", "v1.5.8", "v1.5.16", "v2.2.4", "v2.3.0-dev"]
"""One on each side of every difference; the last stands for what is not released."""


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
    with Gateway(httpx.Client(base_url=bifrost.gateway_url, trust_env=False), usual(generation)) as gateway:
        yield gateway


@pytest.fixture(params=[*RELEASES, *([REAL] if "BIFROST_URL" in os.environ else [])])
def each_gateway(request: pytest.FixtureRequest, bifrost: BifrostSimulator) -> Iterator[Gateway]:
    """The simulated gateway in each of these releases, and the real one if there is one."""
    if request.param == REAL:
        real = Gateway.from_environment()
        assert real is not None
        with real:
            yield real
        return
    generation: Generation = 3 if request.param == RELEASES[-1] else generation_of(request.param) or 2
    bifrost.set_generation(generation)
    bifrost.set_version(request.param)
    release = Release.of(generation, request.param)
    with Gateway(httpx.Client(base_url=bifrost.gateway_url, trust_env=False), release) as simulated:
        yield simulated
