"""How often a simulator lets clients in, and what it says of how often they came."""

import random
import time

import httpx

from tests.contract.baseten_examples import DEPLOYMENTS
from tests.simulators.process import BasetenSimulator
from tests.simulators.rates import Peaks, RateLimit

FREE = f"{DEPLOYMENTS}/d-free"


def most_within_a_second(times: list[float]) -> int:
    """Count the slow way."""
    return max(sum(1 for other in times if first <= other < first + 1) for first in times)


def test_no_second_ever_has_more_than_the_limit() -> None:
    chance = random.Random(20260601)  # no secret
    limit, peaks = RateLimit(7), Peaks()
    now, admitted, came = 0.0, [], []
    for _ in range(2000):
        # Eighths add up exactly, so that many are exactly a second apart.
        now += chance.choice([0, 0.125, 0.125, 0.25, 0.5])
        came.append(now)
        peaks.add("key", "GET /", now)
        wait = limit.admit("key", "GET /", now)
        if wait is None:
            admitted.append(now)
        else:
            assert wait == admitted[-7] + 1 - now

    assert most_within_a_second(admitted) == 7
    assert peaks.highest() == most_within_a_second(came) > 7


def test_the_limit_holds_for_any_one_second(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_rate(20)
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        api.get("/v1/models")

    entries = baseten.journal()
    admitted = [entry.monotonic for entry in entries if entry.status == 200]
    assert 40 <= len(admitted) <= 60
    # The journal notes a request a moment before the limit counts it; how strict that is has a test of its own.
    assert all(later - first > 0.9 for first, later in zip(admitted, admitted[20:], strict=False))
    assert {entry.status for entry in entries} == {200, 429}
    assert baseten.count(status=429) == len(entries) - len(admitted)
    assert baseten.peak() > 20
    assert baseten.peak(key="test-key", endpoint="GET /v1/models") == baseten.peak()
    assert baseten.peak(endpoint="GET /v1/chains") == 0


def test_the_limit_is_per_key_and_endpoint(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_rate(1)
    baseten.add_key("second")
    assert api.get("/v1/models").status_code == 200
    assert api.get("/v1/models").status_code == 429

    assert api.get("/v1/models", headers={"Authorization": "Bearer second"}).status_code == 200
    assert api.get(FREE).status_code == 200
    # One endpoint, whatever the id; the alias is an endpoint of its own.
    assert api.get(f"{DEPLOYMENTS}/d-staging").status_code == 429
    assert api.get(f"{DEPLOYMENTS}/production").status_code == 200
    # The key's scheme does not make another key of it.
    assert api.get("/v1/models", headers={"Authorization": "Api-Key test-key"}).status_code == 429


def test_a_refusal_tells_when_to_come_again(baseten: BasetenSimulator, api: httpx.Client) -> None:
    baseten.set_rate(0)
    response = api.get("/v1/models")
    assert response.json() == {"error": "Rate limit exceeded. Please retry later.", "retry_after": 1}
    assert "retry-after" not in response.headers

    baseten.set_rate(0, retry_after=37, told_in="both")
    response = api.get("/v1/models")
    assert (response.json()["retry_after"], response.headers["retry-after"]) == (37, "37")

    baseten.set_rate(0, retry_after=0.5, told_in="header")
    response = api.get("/v1/models")
    assert response.json().keys() == {"error"}
    assert response.headers["retry-after"] == "0.5"

    baseten.set_rate(0, retry_after="37", told_in="both")
    response = api.get("/v1/models")
    assert (response.json()["retry_after"], response.headers["retry-after"]) == ("37", "37")

    baseten.set_rate(0, told_in="neither")
    response = api.get("/v1/models")
    assert "retry_after" not in response.json()
    assert "retry-after" not in response.headers
