"""What a simulator remembers of the requests it got, so that a test can tell exactly what a client did."""

import json
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

KEPT = 200_000
"""Entries; older ones are forgotten, the summary still counts them."""
ANSWERS_KEPT = 5_000
"""Answers of so many entries, because lists of thousands of things would fill the memory."""


@dataclass(slots=True)
class JournalEntry:
    """One request and its answer."""

    sequence: int
    """Counts up over the whole life of the process."""
    monotonic: float
    """Seconds, comparable between processes of one machine."""
    wall: float
    method: str
    path: str
    """As it was sent, with its query."""
    template: str
    """Path of the API's documentation, with placeholders; NO_TEMPLATE when it has none."""
    headers: dict[str, str]
    """Names in lower case; values as they were sent, credentials too."""
    key: str
    """Credential without its scheme."""
    body: Any
    """Parsed JSON, else the text, None when there was none."""
    status: int | None = None
    """None while there is no answer, and for ever when the connection was dropped."""
    response: Any = None
    """Parsed JSON, else the text."""
    fault: str | None = None
    """Kind of the fault that was injected."""


NO_TEMPLATE = "(none)"


class Journal:
    """Requests in the order in which they came."""

    def __init__(self) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=KEPT)
        self._answers: OrderedDict[int, bytes] = OrderedDict()
        self._counts: Counter[tuple[str, str, int | None]] = Counter()
        self._sequence = 0
        self._cleared = 0

    def open(
        self, *, method: str, path: str, template: str, headers: dict[str, str], key: str, body: bytes
    ) -> JournalEntry:
        """Add a request that has come."""
        self._sequence += 1
        entry = JournalEntry(
            sequence=self._sequence,
            monotonic=time.monotonic(),
            wall=time.time(),
            method=method,
            path=path,
            template=template,
            headers=headers,
            key=key,
            body=parsed(body),
        )
        self._entries.append(entry)
        return entry

    def close(self, entry: JournalEntry, status: int | None, answer: bytes | None) -> None:
        """Note how a request was answered."""
        entry.status = status
        # A request that came before the journal was cleared belongs to a test that is over.
        if entry.sequence <= self._cleared:
            return
        self._counts[entry.method, entry.template, status] += 1
        if answer is not None:
            self._answers[entry.sequence] = answer
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)

    def entries(
        self, *, since: int = 0, method: str | None = None, path_contains: str = "", key: str | None = None
    ) -> Iterator[JournalEntry]:
        """Give the entries after a sequence number that fit."""
        for entry in self._entries:
            if (
                entry.sequence > since
                and method in {None, entry.method}
                and path_contains in entry.path
                and key in {None, entry.key}
            ):
                yield replace(entry, response=parsed(self._answers.get(entry.sequence, b"")))

    def summary(self) -> list[tuple[str, str, int | None, int]]:
        """Count the answered requests by method, template and status."""
        return [(*which, count) for which, count in self._counts.items()]

    @property
    def last(self) -> int:
        """Sequence number of the latest request."""
        return self._sequence

    def clear(self) -> None:
        """Forget all requests."""
        self._entries.clear()
        self._answers.clear()
        self._counts.clear()
        self._cleared = self._sequence


def parsed(raw: bytes) -> Any:
    """Return the JSON in a body, else its text, None for an empty one."""
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
