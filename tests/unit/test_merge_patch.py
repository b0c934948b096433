"""The status writer sends the difference, the whole difference and nothing but the difference."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from setpoint.cluster.status import merge_patch, without_empty

SCALARS = st.integers() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=3)
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), SCALARS, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), SCALARS | inner, max_size=4),
    max_leaves=12,
)


def applied(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the target after a merge patch, as RFC 7396 defines it."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = applied(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = value
    return result


@given(OBJECTS, OBJECTS)
def test_the_patch_turns_one_object_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert applied(before, merge_patch(before, after)) == after


@given(OBJECTS)
def test_equal_objects_need_no_patch(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}


def test_a_field_that_is_not_managed_any_more_is_taken_away() -> None:
    before = {"applied": {"minReplica": 1, "maxReplica": 3}, "drift": [{"field": "maxReplica"}]}
    after = without_empty({"applied": {"maxReplica": 3}, "drift": []})
    assert merge_patch(before, after) == {"applied": {"minReplica": None}, "drift": None}
