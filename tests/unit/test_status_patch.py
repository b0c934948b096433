"""The status writer sends the difference, the whole difference and nothing but the difference."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from setpoint.cluster.status import operations, without_empty

SCALARS = st.integers() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=3)
STATUSES = st.dictionaries(
    st.sampled_from("abcd"), SCALARS | st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=2), max_size=4
)


def applied(status: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the status after a JSON patch, as RFC 6902 defines the operations that are used."""
    body: dict[str, Any] = {"status": dict(status)} if status else {}
    for operation in patch:
        match operation:
            case {"op": "add", "path": "/status", "value": value}:
                body["status"] = value
            case {"op": "add", "path": path, "value": value}:
                body["status"][path.removeprefix("/status/")] = value
            case {"op": "remove", "path": path}:
                del body["status"][path.removeprefix("/status/")]
    result: dict[str, Any] = body.get("status", {})
    return result


@given(STATUSES, STATUSES)
def test_the_patch_turns_one_status_into_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert applied(before, operations(before, after)) == after


@given(STATUSES)
def test_equal_statuses_need_no_patch(value: dict[str, Any]) -> None:
    assert operations(value, value) == []


def test_only_what_changed_is_sent_and_what_is_gone_is_taken_away() -> None:
    before = {"applied": {"minReplica": 1}, "observedGeneration": 3, "drift": [{"field": "maxReplica"}]}
    after = without_empty({"applied": {"maxReplica": 3}, "observedGeneration": 3, "drift": []})
    assert operations(before, after) == [
        {"op": "remove", "path": "/status/drift"},
        {"op": "add", "path": "/status/applied", "value": {"maxReplica": 3}},
    ]
