"""Durations as the gateway reads them: those of Go, and days, weeks, months and years by suffix."""

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_TERM = r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)"  # Go takes both letters for micro
_ALIASES = {"daily": "1d", "weekly": "1w", "monthly": "1M", "yearly": "1Y"}
_HOURS = {"d": 24, "w": 7 * 24, "M": 30 * 24, "Y": 365 * 24}


def seconds(text: str) -> float:
    """Return how long a duration is, or raise ValueError."""
    text = _ALIASES.get(text.lower(), text)
    if text[-1:] in _HOURS:
        # The gateway reads the number as one of hours, fractions and signs included.
        return _go_seconds(f"{text[:-1]}h") * _HOURS[text[-1]]
    return _go_seconds(text)


def _go_seconds(text: str) -> float:
    unsigned = re.sub(r"^[+-]", "", text)
    if unsigned != "0" and not re.fullmatch(f"(?:{_TERM})+", unsigned):
        raise ValueError(f"invalid duration: {text!r}")
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_TERM, unsigned))
    return -total if text.startswith("-") else total
