"""What is told of requests to remote APIs while they are made, for whoever counts them."""

from typing import Protocol


class Meter(Protocol):
    """Counts requests; times in seconds. `service` is the API's name, `code` an HTTP status or one word."""

    def waited(self, service: str, seconds: float) -> None:
        """Tell how long a request waited for its turn at the limiter."""

    def answered(self, service: str, method: str, code: str, seconds: float) -> None:
        """Tell how a request ended: with a status, `timeout`, or `unreachable`."""


class NoMeter:
    """Counts nothing."""

    def waited(self, service: str, seconds: float) -> None:
        """Let it pass."""

    def answered(self, service: str, method: str, code: str, seconds: float) -> None:
        """Let it pass."""
