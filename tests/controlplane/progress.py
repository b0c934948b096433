"""Tells a waiting person what is going on."""

import sys
import time
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str], None]

QUIET_SECONDS = 15.0
UP_AND_ERASE = "\x1b[A\x1b[2K"


class StderrProgress:
    """Writes what is going on to the standard error.

    What comes before the first comma is the step, what follows is how far it is. A terminal shows one line per step
    and keeps it current; a log gets a line per step and another one every 15 s.
    """

    def __init__(self) -> None:
        self._step: str | None = None
        self._written = 0.0

    def __call__(self, text: str) -> None:
        """Show the text."""
        step = text.partition(",")[0]
        same, self._step = step == self._step, step
        terminal = sys.stderr.isatty()
        if same and not terminal and time.monotonic() - self._written < QUIET_SECONDS:
            return
        self._written = time.monotonic()
        sys.stderr.write(f"{UP_AND_ERASE if same and terminal else ''}{text}\n")
        sys.stderr.flush()
