"""When the operator's credentials for the API server are read again."""

import asyncio
import logging
from itertools import pairwise
from typing import Any

import kopf
import pytest

from setpoint.cluster.login import CALM, Credentials, Login
from setpoint.reconcile.ports import LoopClock
from tests.virtual_time import now, run


class Source:
    """Where the credentials are; notes when it was read."""

    def __init__(self) -> None:
        self.read_at: list[float] = []
        self.problem: Exception | None = None

    async def __call__(self, **_: Any) -> Credentials:
        """Return other credentials each time."""
        self.read_at.append(now())
        if self.problem is not None:
            raise self.problem
        return kopf.ConnectionInfo(server="https://cluster.example.com", token=f"token-{len(self.read_at)}")


async def refuse_all(login: Login, times: int) -> None:
    """Let whatever is in use be refused, again and again."""
    for _ in range(times):
        await login.renew(login.info)


def test_refused_credentials_are_read_at_once_and_then_after_growing_pauses() -> None:
    async def story() -> None:
        source = Source()
        login = Login(LoopClock(), source)
        await login.log_in()
        await refuse_all(login, 11)
        await login.aclose()
        pauses = [after - before for before, after in pairwise(source.read_at)]
        assert pauses == pytest.approx([0, 1, 1, 2, 3, 5, 8, 13, 21, 30, 30], abs=1e-6)

    run(story())


def test_what_worked_for_a_while_is_read_again_at_once() -> None:
    async def story() -> None:
        source = Source()
        login = Login(LoopClock(), source)
        await login.log_in()
        await refuse_all(login, 5)
        await asyncio.sleep(CALM + 1)
        rested = now()
        await refuse_all(login, 2)
        await login.aclose()
        assert source.read_at[-2:] == pytest.approx([rested, rested + 1]), "the pauses begin anew"

    run(story())


def test_requests_that_are_refused_together_read_once() -> None:
    async def story() -> None:
        source = Source()
        login = Login(LoopClock(), source)
        await login.log_in()
        for times in (2, 3):
            refused = login.info
            await asyncio.gather(*(login.renew(refused) for _ in range(5)))
            assert len(source.read_at) == times
        await login.aclose()

    run(story())


def test_requests_that_time_out_while_they_wait_do_not_put_it_off() -> None:
    """A list may take 30 s and the longest pause is as long: the credentials are read even if nobody waits to the end."""

    async def story() -> None:
        source = Source()
        login = Login(LoopClock(), source)
        await login.log_in()
        await refuse_all(login, 9)
        before = len(source.read_at)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(8):
                    await login.renew(login.info)
        await login.renew(login.info)
        await login.aclose()
        assert len(source.read_at) == before + 1
        assert source.read_at[-1] - source.read_at[-2] == pytest.approx(30)

    run(story())


def test_credentials_that_cannot_be_read_again_are_tried_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        source = Source()
        login = Login(LoopClock(), source)
        await login.log_in()
        source.problem = ValueError("token: s3cret")
        with caplog.at_level(logging.WARNING):
            await refuse_all(login, 3)
        assert login.info.as_http_headers() == {"Authorization": "Bearer token-1"}
        source.problem = None
        await refuse_all(login, 1)
        assert login.info.as_http_headers() == {"Authorization": "Bearer token-5"}
        await login.aclose()

    run(story())
    assert "cannot be read: ValueError" in caplog.text
    assert "s3cret" not in caplog.text


def test_credentials_that_cannot_be_read_at_the_start_are_looked_for_again_soon() -> None:
    async def story() -> None:
        source = Source()
        source.problem = ValueError("token: s3cret")
        with pytest.raises(kopf.TemporaryError, match="cannot be read: ValueError") as caught:
            await Login(LoopClock(), source).log_in()
        assert caught.value.delay == 2
        assert "s3cret" not in str(caught.value)

    run(story())


def test_a_pod_without_credentials_has_none() -> None:
    async def nothing(**_: Any) -> None:
        return None

    async def story() -> None:
        assert await Login(LoopClock(), nothing).log_in() is None

    run(story())
