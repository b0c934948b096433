"""Windows as gateways read them, and what the name of a release tells."""

import pytest

from setpoint.remotes.bifrost_windows import Release, release, seconds, too_long

YEAR = 365 * 86_400


@pytest.mark.parametrize(
    ("window", "length"),
    [
        ("90s", 90),
        ("1m", 60),
        ("24h", 86_400),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("720h0m0.000000000s", 720 * 3600),
        ("100ms", 0.1),
        ("1d", 86_400),
        ("1.5d", 129_600),
        ("1w", 7 * 86_400),
        ("1M", 30 * 86_400),
        ("1Q", 90 * 86_400),
        ("1Y", YEAR),
        ("monthly", None),
        ("0s", None),
        ("-1h", None),
        ("1D", None),
        ("", None),
    ],
)
def test_a_window_has_the_length_the_gateway_gives_it(window: str, length: float | None) -> None:
    assert seconds(window) == (pytest.approx(length) if length is not None else None)


@pytest.mark.parametrize(("longest", "beyond"), [("292Y", "293Y"), ("106751d", "106752d"), ("2562047h", "2562048h")])
def test_a_window_may_be_as_long_as_its_nanoseconds_fit_into_64_bits(longest: str, beyond: str) -> None:
    assert not too_long(longest)
    assert too_long(beyond)


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("v1.6.10", Release(1, 6, 10)),
        ("2.3.0-dev", Release(2, 3, 0)),
        ("v1.0.0", None),
        ("v1.5", None),
        ("dev", None),
        (None, None),
    ],
)
def test_a_release_is_told_by_its_name(version: str | None, found: Release | None) -> None:
    assert release(version) == found
