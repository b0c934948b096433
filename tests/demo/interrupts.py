"""Ctrl-C and SIGTERM end the demo in order: whatever was started is stopped first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asks to end; no `except Exception` on the way may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Interrupts:
    """Turns the signals into an exception, from its creation on."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: int | None = None
        for each in SIGNALS:
            signal.signal(each, self._arrived)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait, for the moment in which a process runs that nobody has been told to stop yet."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._waiting is not None:
                self._raise(self._waiting)

    def ignore(self) -> None:
        """Let no further signal disturb the cleaning up."""
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._waiting = number
        else:
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        self.ignore()
        raise Interrupted(number)
