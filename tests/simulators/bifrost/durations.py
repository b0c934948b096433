"""Durations as the gateway reads them: those of Go, and days, weeks, months and years by suffix.

Words such as `daily` are none. A quarter is one only of budgets, and only from v1.6.10 on.
"""

import re
from fractions import Fraction

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_TERM = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)"  # Go takes both letters for micro
_HOURS = {"d": 24, "w": 7 * 24, "M": 30 * 24, "Y": 365 * 24}
_QUARTER = 90 * 24
_LARGEST = 2**63 - 1


def nanoseconds(text: str, *, quarters: bool = False) -> int:
    """Return how long a duration is, or raise ValueError.

    The gateway multiplies in 64 bits and does not look whether that is enough: 292Y is the longest, 293Y is negative.
    """
    hours = _HOURS | ({"Q": _QUARTER} if quarters else {})
    if text[-1:] in hours:
        # The gateway reads the number as one of hours, fractions and signs included.
        return _wrapped(_go(f"{text[:-1]}h") * hours[text[-1]])
    return _go(text)


def seconds(text: str) -> float:
    """Return how long a duration is in seconds, or raise ValueError."""
    return nanoseconds(text) / 10**9


def _go(text: str) -> int:
    unsigned = re.sub(r"^[+-]", "", text)
    if unsigned != "0" and not re.fullmatch(f"(?:{_TERM})+", unsigned, re.ASCII):
        raise ValueError(f"invalid duration: {text!r}")
    total = sum(
        int(Fraction(f"0{number.rstrip('.')}") * _UNITS[unit]) for number, unit in re.findall(_TERM, unsigned, re.ASCII)
    )
    if total > _LARGEST:
        raise ValueError(f"duration too long: {text!r}")
    return -total if text.startswith("-") else total


def _wrapped(number: int) -> int:
    """Return what is left of a number in 64 bits."""
    return (number + 2**63) % 2**64 - 2**63
