"""The test's end of a simulator: starts its process and gives it commands."""

import json
import selectors
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import httpx
from pydantic_core import to_jsonable_python

from tests.simulators.api import Seconds
from tests.simulators.faults import Fault
from tests.simulators.journal import JournalEntry

ROOT = Path(__file__).parents[2]
START = 30
"""Seconds a simulator may take to listen."""
STOP = 5
"""Seconds a simulator may take to stop before it is killed."""


class Simulator:
    """A running simulator; it ends with this process at the latest."""

    MODULE: ClassVar[str]

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=60)

    @classmethod
    def launch(cls, *arguments: str) -> Self:
        """Start a process and wait until it listens."""
        command = [sys.executable, "-m", cls.MODULE, *arguments]
        # A session of its own keeps a Ctrl-C in the terminal from it, which tests that clean up still need.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
        )
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START) else b""
        if not line:
            _end(process)
            raise RuntimeError(f"{cls.MODULE} did not start, exit code {process.returncode}")
        return cls(process, json.loads(line)["url"])

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def stop(self) -> None:
        """End the process."""
        self._client.close()
        self._process.terminate()
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Run one of the simulator's commands and return its result."""
        response = self._client.post(f"/_control/{name}", json=to_jsonable_python(arguments))
        if response.status_code != 200:
            raise AssertionError(response.text)
        return response.json()

    def inject(
        self, fault: Fault, *, method: str | None = None, path: str = "", skip: int = 0, count: int | None = 1
    ) -> None:
        """Strike requests whose path, as sent, has a match of the pattern: so many after those skipped, None all."""
        self.command("inject", fault=fault, method=method, path=path, skip=skip, count=count)

    def clear_faults(self) -> None:
        """Strike no more requests; those that hang go on hanging."""
        self.command("clear_faults")

    def journal(
        self, *, since: int = 0, method: str | None = None, path_contains: str = "", key: str | None = None
    ) -> list[JournalEntry]:
        """Return the requests after a sequence number that fit, in the order in which they came."""
        entries = self.command("journal", since=since, method=method, path_contains=path_contains, key=key)
        return [JournalEntry(**entry) for entry in entries]

    def last(self) -> int:
        """Return the sequence number of the latest request, to be the next journal's `since`."""
        return int(self.command("last"))

    def clear_journal(self) -> None:
        """Forget the requests and the highest rates."""
        self.command("clear_journal")

    def summary(self) -> Counter[tuple[str, str, int | None]]:
        """Count the answered requests by method, path template and status, None for a dropped connection."""
        rows = self.command("summary")
        return Counter({(method, template, status): count for method, template, status, count in rows})

    def count(self, *, method: str | None = None, template_contains: str = "", status: int | None = None) -> int:
        """Return how many answered requests fit."""
        return sum(
            count
            for (counted_method, template, counted_status), count in self.summary().items()
            if method in {None, counted_method} and template_contains in template and status in {None, counted_status}
        )

    def peak(self, *, key: str | None = None, endpoint: str | None = None) -> int:
        """Return the most requests, refused ones too, that one key sent to one `METHOD template` within any second."""
        return int(self.command("peak", key=key, endpoint=endpoint))

    def add_key(self, key: str) -> None:
        """Let a key in."""
        self.command("add_key", key=key)

    def revoke_key(self, key: str) -> None:
        """Lock a key out."""
        self.command("revoke_key", key=key)

    def set_rate(
        self,
        rate: int,
        *,
        retry_after: Seconds | str | None = None,
        told_in: Literal["body", "header", "both", "neither"] = "body",
    ) -> None:
        """Set the requests per second, and how a refusal tells when to come again (None: truly, rounded up).

        What is told may be a text, too.
        """
        self.command("set_rate", rate=rate, retry_after=retry_after, told_in=told_in)

    def reset(self) -> None:
        """Go back to how everything was at the start of the process."""
        self.command("reset")


def options(given: Mapping[str, object]) -> Sequence[str]:
    """Return command line options without those that are None."""
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the process's input, whose end tells it to stop, and see that it does."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
