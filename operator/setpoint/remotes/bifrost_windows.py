"""How long a gateway's windows are, and which releases know what of them: pure functions.

A window is a text that the gateway keeps word for word. It reads a number with one of the units d, w, M, Q and Y by itself,
and everything else as Go does, with several terms and with fractions: `1h30m`, `1.5d`.
"""

import re
from typing import NamedTuple

from setpoint.resources.model_config_governance import LONGEST_WINDOW, UNITS

_GO = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_TERM = re.compile(rf"({_NUMBER})(ns|us|µs|μs|ms|s|m|h)")
_GO_DURATION = re.compile(rf"\+?(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h))+")
_OF_THE_GATEWAY = re.compile(rf"\+?({_NUMBER})([dwMQY])")


class Release(NamedTuple):
    """Of a gateway, by the three numbers of its name."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


SCOPES = Release(1, 5, 9)
"""The first one with several budgets and with scopes."""

QUARTERS = Release(1, 6, 10)
"""The first one that knows the unit Q, and reset_config."""

ALIGNED_BUDGETS = (Release(1, 4, 18), Release(1, 5, 2))
"""The first and the last one that keep calendar_aligned in the budget; later ones keep it in the row, from `SCOPES` on."""

_UNNAMED = Release(1, 0, 0)
"""What a build without a version calls itself."""


def release(version: str | None) -> Release | None:
    """Return the release that a gateway says it is, None for one that cannot be told by its name."""
    numbers = (version or "").removeprefix("v").partition("-")[0].split(".")
    if len(numbers) != len(Release._fields) or not all(one.isdecimal() and len(one) < 9 for one in numbers):  # noqa: PLR2004 - digits that no release has
        return None
    found = Release(*map(int, numbers))
    return None if found == _UNNAMED else found


def seconds(window: str) -> float | None:
    """Return the length of a window in seconds, None for what no gateway takes for one."""
    if own := _OF_THE_GATEWAY.fullmatch(window):
        return float(own[1]) * UNITS[own[2]] or None
    if not _GO_DURATION.fullmatch(window):
        return None
    return sum(float(number) * _GO[unit] for number, unit in _TERM.findall(window)) or None


def too_long(window: str) -> bool:
    """Tell whether a window is longer than a gateway can count: its nanoseconds overflow, and it would never end or at once."""
    length = seconds(window)
    return length is not None and length > LONGEST_WINDOW
