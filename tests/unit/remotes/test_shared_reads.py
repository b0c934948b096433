"""Reads shared by concurrent callers, in virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from setpoint.remotes.shared import SharedReads
from tests.virtual_time import now, run

KEY = "deployments of a model"


class Remote:
    """Answers each read with its number after a while, and notes when it started."""

    def __init__(self, takes: float = 0.2) -> None:
        self.takes = takes
        self.started: list[float] = []
        self.cancelled = 0
        self.failing = False

    async def read(self) -> int:
        self.started.append(now())
        number = len(self.started)
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing:
            raise OSError(f"read {number}")
        return number


async def after(delay: float, call: Coroutine[Any, Any, int]) -> int:
    await asyncio.sleep(delay)
    return await call


def test_concurrent_callers_share_one_read() -> None:
    async def main() -> tuple[list[int], int]:
        reads, remote = SharedReads(), Remote()
        got = await asyncio.gather(*(reads.get(KEY, remote.read) for _ in range(500)))
        return got, len(remote.started)

    assert run(main()) == ([1] * 500, 1)


def test_a_result_serves_for_a_second_and_is_dropped_after_it() -> None:
    async def main() -> tuple[list[int], int]:
        reads, remote = SharedReads(), Remote()
        got = [await reads.get(KEY, remote.read)]
        await asyncio.sleep(0.9)
        got.append(await reads.get(KEY, remote.read))
        await asyncio.sleep(0.2)
        kept = len(reads._results)
        got.append(await reads.get(KEY, remote.read))
        return got, kept

    assert run(main()) == ([1, 1, 2], 0)


def test_other_keys_are_read_apart() -> None:
    async def main() -> list[int]:
        reads, remote = SharedReads(), Remote()
        return await asyncio.gather(*(reads.get(key, remote.read) for key in "abc"))

    assert sorted(run(main())) == [1, 2, 3]


def test_a_read_that_started_before_a_write_does_not_verify_it() -> None:
    async def main() -> tuple[int, list[float]]:
        reads, remote = SharedReads(), Remote()
        sweep = asyncio.create_task(reads.get(KEY, remote.read))
        await asyncio.sleep(0.1)
        verified = await reads.get(KEY, remote.read, not_before=now())
        await sweep
        return verified, remote.started

    verified, started = run(main())

    assert verified == 2
    assert started[1] > 0.1


def test_a_kept_result_that_is_older_than_a_write_does_not_verify_it() -> None:
    async def main() -> list[int]:
        reads, remote = SharedReads(), Remote()
        await reads.get(KEY, remote.read)
        written = now()
        return [await reads.get(KEY, remote.read, not_before=written) for _ in range(2)]

    assert run(main()) == [2, 2]


def test_a_read_that_started_at_the_very_moment_of_the_answer_is_not_used() -> None:
    async def main() -> int:
        reads, remote = SharedReads(), Remote()
        sweep = asyncio.create_task(reads.get(KEY, remote.read))
        await asyncio.sleep(0.1)
        verified = await reads.get(KEY, remote.read, not_before=remote.started[0])
        await sweep
        return verified

    assert run(main()) == 2


def test_many_verifications_need_one_running_and_one_following_read() -> None:
    async def main() -> tuple[list[int], int]:
        reads, remote = SharedReads(), Remote(takes=1)

        async def verify(at: float) -> int:
            await asyncio.sleep(at)
            return await reads.get(KEY, remote.read, not_before=now())

        got = await asyncio.gather(*(verify(number / 200) for number in range(100)))
        return got, len(remote.started)

    got, started = run(main())

    assert started == 2
    assert got == [1] + [2] * 99


def test_an_urgent_caller_does_not_wait_for_a_read_that_is_not_urgent() -> None:
    async def main() -> float:
        reads, sweep, urgent = SharedReads(), Remote(takes=100), Remote(takes=0.1)
        waiting = asyncio.create_task(reads.get(KEY, sweep.read))
        await asyncio.sleep(1)
        await reads.get(KEY, urgent.read, urgent=True)
        done = now()
        await waiting
        return done

    assert run(main()) < 2


def test_a_late_result_of_an_older_read_does_not_replace_a_newer_one() -> None:
    async def main() -> int:
        reads, old, new = SharedReads(), Remote(takes=1.5), Remote(takes=1)
        sweep = asyncio.create_task(reads.get(KEY, old.read))
        await asyncio.sleep(0.4)
        written = now()
        await reads.get(KEY, new.read, not_before=written, urgent=True)
        await sweep
        return await reads.get(KEY, old.read, not_before=written)

    assert run(main()) == 1


def test_a_failure_goes_to_all_who_wait_and_is_not_kept() -> None:
    async def main() -> tuple[list[int | BaseException], int]:
        reads, remote = SharedReads(), Remote()
        remote.failing = True
        failed = await asyncio.gather(*(reads.get(KEY, remote.read) for _ in range(3)), return_exceptions=True)
        remote.failing = False
        return failed, await reads.get(KEY, remote.read)

    failed, then = run(main())

    assert [str(error) for error in failed] == ["read 1"] * 3
    assert then == 2


def test_the_following_read_runs_though_the_one_before_failed() -> None:
    async def main() -> int:
        reads, remote = SharedReads(), Remote()
        remote.failing = True
        first = asyncio.create_task(reads.get(KEY, remote.read))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(reads.get(KEY, remote.read, not_before=now()))
        with pytest.raises(OSError, match="read 1"):
            await first
        remote.failing = False
        return await second

    assert run(main()) == 2


def test_one_cancelled_caller_leaves_the_read_to_the_others() -> None:
    async def main() -> tuple[int, int]:
        reads, remote = SharedReads(), Remote()
        first = asyncio.create_task(reads.get(KEY, remote.read))
        second = asyncio.create_task(reads.get(KEY, remote.read))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second, remote.cancelled

    assert run(main()) == (1, 0)


def test_a_read_nobody_waits_for_is_cancelled_and_not_joined() -> None:
    async def main() -> tuple[int, int, int]:
        reads, remote = SharedReads(), Remote()
        callers = [asyncio.create_task(reads.get(KEY, remote.read)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for caller in callers:
            caller.cancel()
        got = await after(0, reads.get(KEY, remote.read))
        await asyncio.wait(callers)
        await asyncio.sleep(2)
        return got, remote.cancelled, len(reads._flights) + len(reads._results)

    assert run(main()) == (2, 1, 0)


def test_a_following_read_nobody_waits_for_is_never_started() -> None:
    async def main() -> int:
        reads, remote = SharedReads(), Remote()
        first = asyncio.create_task(reads.get(KEY, remote.read))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(reads.get(KEY, remote.read, not_before=now()))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.wait({first, second})
        await asyncio.sleep(1)
        return len(remote.started)

    assert run(main()) == 1
