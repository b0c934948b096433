"""JSON that is read in slices says what `json.loads` says, and has bounds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.remotes.decoding import (
    DEEPEST,
    IN_ONE_GO,
    SLICE,
    Bounds,
    ExceedsBoundError,
    UnreadableError,
    decode,
)
from tests.steps import finished

NONE = Bounds(containers=10**9, values=10**9, items=10**9)

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**30)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=40,
)
pieces = [
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"-", b"1", b"e+5", b".5", b" ", b"\n"),
    *(b'"a"', b'"a":1,', b'"b":[', b"[1,2],", b"null", b"NaN", b"-Infinity", b"1e999"),
    *(b"\xed\xa0\x80", b"\xff", b"\xc3\xa9", b"\\ud83d", b"\\ude00", b"\xef\xbb\xbf", b"\x00"),
]


def both(body: bytes, size: int = 24) -> tuple[str, str]:
    """Return what `json.loads` and what slices say; of texts and numbers longer than a slice only the former is told."""
    try:
        expected = repr(json.loads(body))
    except (ValueError, RecursionError):
        expected = "unreadable"
    try:
        return expected, repr(finished(decode(body, NONE, size=size)))
    except UnreadableError:
        return expected, "unreadable"
    except ExceedsBoundError:
        return expected, expected


@given(value=values, ascii_=st.booleans(), indent=st.sampled_from([None, 1]), size=st.sampled_from([24, 31, 64]))
def test_any_value_is_the_same_in_slices(value: Any, ascii_: bool, indent: int | None, size: int) -> None:  # noqa: FBT001
    body = json.dumps(value, ensure_ascii=ascii_, indent=indent).encode("utf-8", "surrogatepass")
    expected, found = both(body, size)
    assert found == expected


@settings(max_examples=500)
@given(st.lists(st.sampled_from(pieces), max_size=60).map(b"".join))
def test_nonsense_is_the_same_in_slices(body: bytes) -> None:
    for text in (body, b"[" + body):
        expected, found = both(text)
        assert found == expected


@given(value=values, places=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3))
def test_what_was_changed_on_the_way_is_the_same_in_slices(value: Any, places: list[tuple[int, int]]) -> None:
    body = bytearray(json.dumps(value).encode())
    for place, byte in places:
        body[place % len(body)] = byte
    expected, found = both(bytes(body))
    assert found == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_a_large_body_is_the_same_in_every_encoding(encoding: str) -> None:
    value = {"models": [{"id": f"m{number}", "name": "ü€😀" * 5} for number in range(2000)], "a": 1, "b": [], "c": {}}
    body = json.dumps(value, ensure_ascii=False).encode(encoding)
    assert len(body) > IN_ONE_GO
    assert finished(decode(body, Bounds.of(len(body) * 16))) == value


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'"\xff"', b"[" * 200_000, b"1" * 10_000, b"[1] 2", b'{"a":1}x']
)
def test_what_is_no_json_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        finished(decode(body, NONE))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[" + b"{}," * 50_000 + b"1]", "more than 1000 lists and objects in it"),
        (b"[" + b"[1,2,3,4,5,6,7,8,9],\n" * 900 + b" " * IN_ONE_GO + b"1]", "more than 5000 values in it"),
        (b"[" + b"1,\n" * 600 + b" " * IN_ONE_GO + b"1]", "more than 500 items in one list"),
        (b'{"a":{' + b'"a":1,' * 600 + b" " * IN_ONE_GO + b'"b":1}}', "more than 500 items in one list"),
        (b'["' + b"x" * IN_ONE_GO + b'"]', f"a text of more than {SLICE >> 10} KiB in it"),
        (b'{"' + b"x" * IN_ONE_GO + b'":1}', f"a text of more than {SLICE >> 10} KiB in it"),
        (b"[" + b"1" * IN_ONE_GO + b".0]", f"a number of more than {SLICE >> 10} KiB in it"),
        (
            b"".join(b"[" + b" " * SLICE for _ in range(DEEPEST + 1)) + b"1" + b"]" * (DEEPEST + 1),
            f"more than {DEEPEST} levels of long lists in it",
        ),
    ],
)
def test_a_large_body_that_holds_more_than_the_bounds_say_is_not_read(body: bytes, words: str) -> None:
    with pytest.raises(ExceedsBoundError, match=words):
        finished(decode(body, Bounds(containers=1000, values=5000, items=500)))


def test_every_text_is_shown_whole_in_one_slice() -> None:
    names = [f"name-{number}" * 3 for number in range(5000)]
    shown: list[str] = []
    finished(decode(json.dumps(names).encode(), NONE, shown.append))
    assert len(shown) > 3
    for name in names:
        assert any(f'"{name}"' in text for text in shown)
