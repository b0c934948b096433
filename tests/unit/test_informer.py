"""How the operator logs in at the API server."""

import asyncio
from itertools import pairwise
from typing import Any

import kopf
import pytest

from setpoint.cluster.informer import CALM, login
from setpoint.reconcile.ports import LoopClock
from tests.virtual_time import now, run


async def same(**_: Any) -> kopf.ConnectionInfo:
    """Return credentials that are the same each time."""
    return kopf.ConnectionInfo(server="https://cluster.example.com")


def test_refused_credentials_are_read_again_after_growing_pauses_and_are_never_equal() -> None:
    async def story() -> None:
        log_in = login(LoopClock(), same)
        told, times = [], []
        for _ in range(11):
            told.append(await log_in())
            times.append(now())
        pauses = [after - before for before, after in pairwise(times)]
        assert pauses == pytest.approx([1, 1, 2, 3, 5, 8, 13, 21, 30, 30])
        # kopf never tries again what equals refused credentials.
        assert all(one != other for place, one in enumerate(told) for other in told[:place])
        await asyncio.sleep(CALM + 1)
        rested = now()
        await log_in()
        assert now() == pytest.approx(rested), "what worked for so long was no refusal"

    run(story())


def test_a_pod_without_credentials_has_none() -> None:
    async def nothing(**_: Any) -> None:
        return None

    async def story() -> None:
        assert await login(LoopClock(), nothing)() is None

    run(story())
