"""The moments of sweeps: the same for all who share a read, apart by about an interval, never at once again."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.reconcile.sweeps import until_next

GROUPS = st.tuples(st.text(max_size=5), st.integers(0, 5))
TIMES = st.floats(0, 1e7)
INTERVALS = st.sampled_from([30.0, 60.0, 300.0, 86400.0])


@given(TIMES, INTERVALS, GROUPS)
def test_moments_are_an_interval_apart_give_or_take_ten_percent(start: float, every: float, group: object) -> None:
    now = start + until_next(start, every, group)
    for _ in range(5):
        wait = until_next(now, every, group)
        assert 0.899 * every <= wait <= 1.101 * every
        now += wait


@given(TIMES, st.floats(0, 1), INTERVALS, GROUPS)
def test_all_who_ask_in_between_are_told_the_same_moment(
    start: float, part: float, every: float, group: object
) -> None:
    first = start + until_next(start, every, group)
    asked = start + part * (first - start)
    second = asked + until_next(asked, every, group)
    # Who asks right before a moment is told the next one: it would be looked at twice at once otherwise.
    assert abs(second - first) < 1e-3 or first - asked <= 0.05 * every


@given(TIMES, INTERVALS, GROUPS)
def test_no_moment_is_nearer_than_a_twentieth_of_the_interval(now: float, every: float, group: object) -> None:
    assert 0.05 * every < until_next(now, every, group) <= 1.16 * every


def test_different_groups_have_different_moments() -> None:
    assert len({round(until_next(0.0, 300.0, ("https://gateway", n)), 3) for n in range(100)}) > 90
