"""What every chapter of the demo does: run kubectl where the reader sees it, and wait for what must come of it."""

from collections.abc import Callable
from typing import Any, TypeVar

from tests.controlplane.plane import ControlPlane
from tests.demo.screen import Screen
from tests.waiting import eventually

T = TypeVar("T")

NOTICED = 30.0
"""Seconds anything may take unless said otherwise."""
INTERVAL = 0.2


class UnmetError(Exception):
    """Something did not go as the demo says it does; `str()` is a sentence."""


class Chapter:
    """Works in one namespace of a cluster."""

    _screen: Screen
    _plane: ControlPlane
    _namespace: str

    def _kubectl(self, *arguments: str) -> None:
        """Run kubectl and show the call and what it printed."""
        self._screen.command(arguments)
        self._screen.output(self._plane.kubectl(*arguments).stdout)

    def _is(self, name: str, ready: str, kind: str = "das") -> bool:
        """Tell whether the operator has judged the resource as it is now, with this verdict."""
        found: dict[str, Any] = self._plane.get(kind, name, self._namespace) or {}
        status = found.get("status", {})
        return status.get("observedGeneration") == found.get("metadata", {}).get("generation") and any(
            condition["type"] == "Ready" and condition["status"] == ready for condition in status.get("conditions", [])
        )

    def _event(self, name: str, reason: str) -> None:
        """Wait for an Event and show it."""
        selector = f"involvedObject.name={name},reason={reason}"
        arguments = ("get", "events", "-n", self._namespace, f"--field-selector={selector}")
        self._until(
            lambda: self._plane.kubectl(*arguments, "-o", "name").stdout, f"{name} should have an Event {reason}"
        )
        self._kubectl(*arguments)

    def _until(self, fn: Callable[[], T | None], expected: str, timeout: float = NOTICED) -> T:
        try:
            return eventually(fn, timeout=timeout, interval=INTERVAL)
        except AssertionError as error:
            raise UnmetError(f"{expected}, but {error}") from error

    def _check(self, met: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as a sentence
        if not met:
            raise UnmetError(otherwise)
