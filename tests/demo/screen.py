"""What the demo shows: plain sentences and unchanged output of kubectl, in colour only on a terminal."""

import json
import shlex
import time
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.e2e.process import ROOT
from tests.simulators.journal import JournalEntry

STEPS = 7


class Screen:
    """Writes to the standard output and knows how long the demo has been running."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._started = time.monotonic()
        self._step = 0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def step(self, title: str) -> None:
        """Announce the next step."""
        self._step += 1
        self._write(f"\n[{self._step}/{STEPS}, {self.seconds:.1f} s] {title}", style="bold cyan")

    def say(self, text: str, style: str = "") -> None:
        """Write a sentence."""
        self._write(text, style)

    def command(self, arguments: Sequence[str]) -> None:
        """Write a call of kubectl as somebody in the repository's folder would type it."""
        self._write(f"$ kubectl {shlex.join(arguments)}".replace(f"{ROOT}/", ""), style="bold")

    def output(self, text: str) -> None:
        """Write what a program printed, as it is."""
        self._write(text.rstrip("\n"))

    def requests(self, entries: Iterable[JournalEntry]) -> None:
        """Write requests that arrived at the remote API; their headers hold the key and stay out."""
        for entry in entries:
            body = "" if entry.body is None else f" {json.dumps(entry.body)}"
            self._write(f"  {entry.method} {entry.path}{body} -> {entry.status}", style="green")

    def table(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write names with their values."""
        table = Table(show_header=False)
        for row in rows:
            table.add_row(*map(Text, row))
        self._console.print(table)

    def _write(self, text: str, style: str = "") -> None:
        # As a Text, square brackets are no markup; without wrapping, a log has the lines as kubectl printed them.
        self._console.print(Text(text, style=style), soft_wrap=True)
