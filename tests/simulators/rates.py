"""Requests per second: the limit a simulator enforces, and the highest rate it has seen.

Both are counted over any one second that slides along, never over seconds of the clock, which would let twice the
limit pass around their border.
"""

from collections import defaultdict, deque

SECOND = 1.0


class Window:
    """Times of the events within the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def add(self, now: float) -> None:
        """Note an event."""
        self._times.append(now)

    def count(self, now: float) -> int:
        """Return how many events there were within the second that ends now."""
        while self._times and self._times[0] <= now - SECOND:
            self._times.popleft()
        return len(self._times)

    def wait(self, now: float) -> float:
        """Return the seconds until the oldest event drops out."""
        return self._times[0] + SECOND - now if self._times else SECOND


class RateLimit:
    """Admits so many requests per second and key to each endpoint; refused ones do not count."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._windows: defaultdict[tuple[str, str], Window] = defaultdict(Window)

    def admit(self, key: str, endpoint: str, now: float) -> float | None:
        """Count a request and return None, or return the seconds after which the next one would be admitted."""
        window = self._windows[key, endpoint]
        if window.count(now) >= self.rate:
            return window.wait(now)
        window.add(now)
        return None

    def clear(self) -> None:
        """Forget all requests."""
        self._windows.clear()


class Peaks:
    """The most requests, admitted or not, that came for a key and an endpoint within one second."""

    def __init__(self) -> None:
        self._windows: defaultdict[tuple[str, str], Window] = defaultdict(Window)
        self._highest: dict[tuple[str, str], int] = {}

    def add(self, key: str, endpoint: str, now: float) -> None:
        """Count a request."""
        which = key, endpoint
        window = self._windows[which]
        window.add(now)
        self._highest[which] = max(self._highest.get(which, 0), window.count(now))

    def highest(self, *, key: str | None = None, endpoint: str | None = None) -> int:
        """Return the highest rate of any key and endpoint that fit; an endpoint is `METHOD template`."""
        return max(
            (
                count
                for (counted_key, counted_endpoint), count in self._highest.items()
                if key in {None, counted_key} and endpoint in {None, counted_endpoint}
            ),
            default=0,
        )

    def clear(self) -> None:
        """Forget all requests."""
        self._windows.clear()
        self._highest.clear()
