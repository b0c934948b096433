"""Waiting for a condition with a deadline, so that no test sleeps for as long as it hopes is enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(fn: Callable[[], T | None], *, timeout: float = 30, interval: float = 0.05) -> T:
    """Return the first truthy value; AssertionError with the last value when there is none in time.

    What `fn` raises passes through: a call that may fail for a while says so by returning something falsy.
    """
    deadline = time.monotonic() + timeout
    while not (value := fn()):
        _check(deadline, timeout, value)
        time.sleep(interval)
    return value


async def eventually_async(fn: Callable[[], Awaitable[T | None]], *, timeout: float = 30, interval: float = 0.05) -> T:
    """Do the same for a coroutine function."""
    deadline = time.monotonic() + timeout
    while not (value := await fn()):
        _check(deadline, timeout, value)
        await asyncio.sleep(interval)
    return value


def _check(deadline: float, timeout: float, value: object) -> None:
    if time.monotonic() >= deadline:
        raise AssertionError(f"not within {timeout:g} s; the last value is {value!r}")
