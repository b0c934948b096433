"""What error answers mean: messages, classes, waits."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes import answers, errors

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": "VALIDATION_ERROR", "message": "max_replica is above the cap"}, "max_replica is above the cap"),
        ({"error": "Rate limit exceeded", "retry_after": 37}, "Rate limit exceeded"),
        ({"error": {"message": "no"}}, "no"),
        ({"detail": "Not found."}, "Not found."),
        ({"detail": [{"msg": "extra_forbidden"}, {"msg": "not an int"}]}, "extra_forbidden; not an int"),
        ({"detail": ["a", 1, None, "b"]}, "a; b"),
        ({"message": "first", "error": "second", "detail": "third"}, "first"),
        ({"message": "  ", "error": None, "detail": "third"}, "third"),
        ({"message": 5}, None),
        ({}, None),
        (["message"], None),
        ("message", None),
        (None, None),
    ],
)
def test_the_message_of_the_api_is_found(body: Any, message: str | None) -> None:
    assert answers.api_message(body) == message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.InvalidSettings),
        (402, errors.InvalidSettings),
        (405, errors.InvalidSettings),
        (413, errors.InvalidSettings),
        (422, errors.InvalidSettings),
        (401, errors.AuthenticationFailed),
        (403, errors.Forbidden),
        (404, errors.TargetNotFound),
        (408, errors.RemoteFailure),
        (409, errors.RemoteFailure),
        (425, errors.RemoteFailure),
        (429, errors.RateLimited),
        (301, errors.RemoteFailure),
        (304, errors.RemoteFailure),
        (500, errors.RemoteFailure),
        (502, errors.RemoteFailure),
        (599, errors.RemoteFailure),
        (799, errors.RemoteFailure),
    ],
)
def test_each_status_has_its_error(status: int, error: type[errors.RemoteError]) -> None:
    failure = answers.failure(f"X answered {status}", status, message="why", wait=None, content_type=None)

    assert type(failure) is error
    assert failure.message == f"X answered {status}: why"
    assert failure.api_message == "why"
    assert failure.status == status


def test_an_answer_that_is_no_json_shows_its_type_and_nothing_of_its_body() -> None:
    failure = answers.failure("X answered 502", 502, message=None, wait=None, content_type="text/html")

    assert failure.message == "X answered 502 with text/html"


def test_a_redirect_is_named() -> None:
    failure = answers.failure("X answered 302", 302, message=None, wait=None, content_type="text/html")

    assert failure.message == "X answered 302 with a redirect, which is not followed"


@pytest.mark.parametrize(
    ("body", "headers", "wait"),
    [
        ({"retry_after": 37}, {}, 37),
        ({"retry_after": 1.5}, {}, 1.5),
        ({"retry_after": 37}, {"retry-after": "5"}, 37),
        ({"retry_after": 5}, {"retry-after": "37"}, 37),
        (None, {"retry-after": "2.5"}, 2.5),
        ({"retry_after": -1}, {}, 0),
        ({"retry_after": 10**400}, {}, 3600),
        ({"retry_after": float("inf")}, {}, 3600),
        ({"retry_after": float("nan")}, {}, None),
        ({"retry_after": True}, {}, None),
        ({"retry_after": "37"}, {}, None),
        (None, {"retry-after": "soon"}, None),
        (None, {"retry-after": "nan"}, None),
        (["retry_after"], {}, None),
    ],
)
def test_the_wait_an_answer_asks_for(body: Any, headers: dict[str, str], wait: float | None) -> None:
    assert answers.retry_after(body, headers, NOW) == wait


def test_a_date_to_wait_for_is_compared_with_the_date_of_the_answer() -> None:
    clock_of_the_remote = NOW - timedelta(days=1)
    headers = {
        "retry-after": format_datetime(clock_of_the_remote + timedelta(seconds=90), usegmt=True),
        "date": format_datetime(clock_of_the_remote, usegmt=True),
    }

    assert answers.retry_after(None, headers, NOW) == 90


def test_a_date_to_wait_for_without_a_date_of_the_answer_is_compared_with_the_clock() -> None:
    headers = {"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}

    assert answers.retry_after(None, headers, NOW) == 90


def test_a_limited_request_without_a_wait_waits_a_second() -> None:
    failure = answers.failure("X answered 429", 429, message=None, wait=None, content_type=None)

    assert isinstance(failure, errors.RateLimited)
    assert failure.retry_after == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b'"\xff"', b"[" * 200_000, b"1" * 10_000])
def test_what_is_no_json_cannot_be_read(body: bytes) -> None:
    with pytest.raises(answers.UnreadableError):
        answers.parse(body)


@given(header=st.text(max_size=40), date=st.text(max_size=40))
def test_any_header_gives_a_wait_within_bounds_or_none(header: str, date: str) -> None:
    wait = answers.retry_after(None, {"retry-after": header, "date": date}, NOW)

    assert wait is None or 0 <= wait <= 3600
