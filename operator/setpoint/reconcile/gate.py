"""One gate per connection: a refused credential is tried by one request, not by every resource.

Open, it lets everybody through. A 401 closes it; then everybody gets the refusal without a request, but for one probe after
each pause (5 s, doubled up to a minute). The first answer that is not a refusal opens it, and all who waited are woken.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from setpoint.remotes.errors import CredentialError

K = TypeVar("K", bound=Hashable)

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
LONGEST_WAIT = 300.0
"""Seconds after which one that was turned away comes again, if nothing wakes it before."""


class Gate(Generic[K]):
    """Tells who may call a remote API whose credential may have been refused; times are monotonic seconds."""

    def __init__(self) -> None:
        self._refusal: CredentialError | None = None
        self._failures = 0
        self._probe_due = 0.0
        self._waiting: set[K] = set()
        self._prober: K | None = None
        """Who was refused last, and tries again when the pause is over."""

    def patience(self, key: K, now: float) -> float:
        """Return after how many seconds the caller should come again if it is turned away now."""
        if key != self._prober:
            return LONGEST_WAIT
        return min(max(self._probe_due - now, 1.0), LONGEST_WAIT)

    def enter(self, key: K, now: float) -> None:
        """Let the caller through, or not.

        Raises:
            CredentialError: the gate is closed and this is not the probe; the caller is remembered and woken later.
        """
        if self._refusal is None:
            return
        if now >= self._probe_due:
            self._probe_due = now + LONGEST_PAUSE
            self._prober = key
            return
        self._waiting.add(key)
        raise type(self._refusal)(
            self._refusal.message, status=self._refusal.status, api_message=self._refusal.api_message
        )

    def close(self, key: K, refusal: CredentialError, now: float) -> float:
        """Remember that the credential was refused; return after how many seconds the next probe is due."""
        self._refusal = refusal
        self._prober = key
        self._waiting.add(key)
        pause = min(FIRST_PAUSE * 2.0 ** min(self._failures, 16), LONGEST_PAUSE)
        self._failures += 1
        self._probe_due = now + pause
        return pause

    def undecided(self, key: K, now: float) -> None:
        """Let a probe through soon again: the last one was told nothing about the credential."""
        if self._refusal is not None and key == self._prober:
            self._probe_due = now + FIRST_PAUSE

    def probe_now(self) -> None:
        """Let the next caller through as a probe: the credential is another one now."""
        self._probe_due = float("-inf")

    def open(self) -> set[K]:
        """Let everybody through again; return those who were turned away."""
        woken, self._waiting = self._waiting, set()
        self._refusal = None
        self._prober = None
        self._failures = 0
        return woken
