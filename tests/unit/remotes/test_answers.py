"""What error answers mean: messages, classes, waits."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes import answers, errors
from setpoint.remotes.decoding import Bounds, UnreadableError, decode
from tests.steps import finished

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
        ({"error": "VALIDATION_ERROR", "message": "max_replica is above the cap"}, "max_replica is above the cap"),
        ({"error": "VALIDATION_ERROR", "message": "", "details": "max_replica"}, "VALIDATION_ERROR: max_replica"),
        (
            {"message": "not valid", "details": "max_replica is above the cap"},
            "not valid: max_replica is above the cap",
        ),
        (
            {"message": "not valid", "details": [{"field": "max_replica", "message": "too large"}]},
            "not valid: max_replica: too large",
        ),
        (
            {"message": "not valid", "details": {"max_replica": ["too large", "odd"]}},
            "not valid: max_replica: too large; odd",
        ),
        ({"message": "not valid", "details": {}, "errors": []}, "not valid"),
        ({"message": "not valid", "details": "not valid"}, "not valid"),
        ({"errors": ["too large", "too small"]}, "too large; too small"),
        ({"errors": [{"message": "too large"}, {"detail": "too small"}]}, "too large; too small"),
        ({"errors": [{"code": "TOO_LARGE", "field": "max_replica"}]}, "code: TOO_LARGE; field: max_replica"),
        ({"detail": [{"loc": ["body", "updates", 0], "msg": "extra_forbidden"}]}, "body.updates.0: extra_forbidden"),
        ({"error": {"message": "no", "type": "x", "code": "y"}}, "no"),
        ({"errors": [[[[["deep"]]]]], "details": 5}, None),
        ({"errors": []}, None),
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


def content(body: bytes, headers: dict[str, str]) -> answers.Content:
    """Return what is in a body."""
    if not body:
        return answers.NOTHING
    try:
        return answers.Content(finished(decode(body, Bounds.of(len(body)))))
    except UnreadableError:
        return answers.unreadable(body, headers)


def problem(
    status: int,
    body: bytes = b"",
    content_type: str = "application/json",
    *,
    location: str | None = None,
    nothing_named: bool = False,
) -> errors.RemoteError | None:
    """Return what an answer of X is taken for."""
    headers = {"content-type": content_type} | ({} if location is None else {"location": location})
    return answers.problem(
        f"X answered {status}",
        status,
        content(body, headers),
        headers=headers,
        now=NOW,
        redact=lambda text: text.replace("s3cret", "[redacted]"),
        nothing_named=nothing_named,
    )


STATUSES = [
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
    (304, errors.RemoteFailure),
    (500, errors.RemoteFailure),
    (502, errors.RemoteFailure),
    (599, errors.RemoteFailure),
    (799, errors.RemoteFailure),
]


@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_each_status_has_its_error(status: int, error: type[errors.RemoteError]) -> None:
    failure = problem(status, b'{"message": "why"}')

    assert failure is not None
    assert type(failure) is error
    assert failure.message == f"X answered {status}: why"
    assert failure.api_message == "why"
    assert failure.status == status


@pytest.mark.parametrize(("status", "error"), STATUSES)
def test_each_status_has_its_error_without_a_word(status: int, error: type[errors.RemoteError]) -> None:
    failure = problem(status)

    assert type(failure) is error
    assert failure.message == f"X answered {status}"


PAGE = b"<!DOCTYPE html><title>Sign in</title>"
NOT_THE_API = "so it is not the API that answers; correct the URL of the connection"


@pytest.mark.parametrize("status", [200, 201, 203, 400, 402, 404, 405, 407, 410, 413, 414, 451, 511])
@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "Application/XHTML+xml", "", "application/json"])
def test_a_page_is_not_the_api(status: int, content_type: str) -> None:
    failure = problem(status, PAGE, content_type)

    assert type(failure) is errors.UnexpectedAnswer
    assert failure.status == status
    assert failure.message.startswith(f"X answered {status} with ")
    assert failure.message.endswith(NOT_THE_API)
    assert "Sign in" not in failure.message


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, errors.AuthenticationFailed),
        (403, errors.Forbidden),
        (408, errors.RemoteFailure),
        (409, errors.RemoteFailure),
        (429, errors.RateLimited),
        (500, errors.RemoteFailure),
        (502, errors.RemoteFailure),
        (503, errors.RemoteFailure),
        (504, errors.RemoteFailure),
    ],
)
def test_a_page_that_tells_of_a_login_or_of_trouble_is_what_its_status_says(
    status: int, error: type[errors.RemoteError]
) -> None:
    failure = problem(status, PAGE, "text/html")

    assert type(failure) is error
    assert failure.message == f"X answered {status} with text/html"


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    "body", [b"404 page not found", b"default backend - 404", b"<Error><Code>NoSuchKey</Code></Error>"]
)
def test_what_is_missing_in_other_words_than_those_of_the_api_is_not_missing(status: int, body: bytes) -> None:
    failure = problem(status, body, "text/plain")

    assert type(failure) is errors.UnexpectedAnswer
    assert failure.message == f"X answered {status} with text/plain, {NOT_THE_API}"


def test_an_api_that_does_not_have_its_own_list_is_not_the_api() -> None:
    assert type(problem(404, b'{"message": "no"}', nothing_named=True)) is errors.UnexpectedAnswer
    assert type(problem(404, b"", nothing_named=True)) is errors.UnexpectedAnswer
    assert type(problem(403, b"", nothing_named=True)) is errors.Forbidden


@pytest.mark.parametrize("status", [200, 404])
def test_json_is_read_whatever_its_type_is_said_to_be(status: int) -> None:
    failure = problem(status, b'\xef\xbb\xbf {"message": "<html>"}', "text/html")

    assert failure is None if status == 200 else type(failure) is errors.TargetNotFound


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"", "", "nothing in it"),
        (b"OK", "text/plain", "text/plain that is no readable JSON"),
        (b'{"a": ', "application/json", "application/json that is no readable JSON"),
        (b"ok", "text/s3cret", "text/[redacted] that is no readable JSON"),
    ],
)
def test_a_success_that_cannot_be_read_is_said_to_be_one(body: bytes, content_type: str, words: str) -> None:
    failure = problem(201, body, content_type)

    assert type(failure) is errors.UnreadableAnswer
    assert failure.status == 201
    assert failure.message == f"X answered 201 with {words}"


def test_an_answer_that_is_no_json_shows_its_type_and_nothing_of_its_body() -> None:
    failure = problem(502, b"<h1>s3cret</h1>", "text/html")

    assert failure is not None
    assert failure.message == "X answered 502 with text/html"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "place"),
    [
        (None, ""),
        ("", ""),
        (
            "https://gateway.example.com:8443/ui/login?next=s3cret#s3cret",
            " to https://gateway.example.com:8443/ui/login",
        ),
        ("https://user:pass@gateway.example.com", " to https://gateway.example.com"),
        ("/ui/", " to /ui/"),
        ("/s3cret", " to /[redacted]"),
        ("https://[::1", ""),
        ("https://x:99999999/", ""),
    ],
)
def test_a_redirect_is_not_the_api_and_tells_where_it_leads(status: int, location: str | None, place: str) -> None:
    failure = problem(status, b'{"message": "moved"}', location=location)

    assert type(failure) is errors.UnexpectedAnswer
    assert failure.message == f"X answered {status} with a redirect{place}, which is not followed, {NOT_THE_API}"


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
        ({"retry_after": "37"}, {}, 37),
        ({"retry_after": " 37.5 "}, {}, 37.5),
        ({"retry_after": "37s"}, {}, 37),
        ({"retry_after": "37 seconds"}, {}, 37),
        ({"retry_after": "1m30s"}, {}, 90),
        ({"retry_after": "1 hour 5 min"}, {}, 3600),
        ({"retry_after": "250ms"}, {}, 0.25),
        ({"retry_after": "-5"}, {}, 0),
        ({"retry_after": "soon"}, {}, None),
        ({"retry_after": "37 apples"}, {}, None),
        ({"retry_after": ""}, {}, None),
        ({"retry_after": "1e999"}, {}, 3600),
        ({"retry_after": "9" * 5000}, {}, 3600),
        (None, {"retry-after": "37s"}, 37),
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
    failure = problem(429)

    assert isinstance(failure, errors.RateLimited)
    assert failure.retry_after == 1


@given(header=st.text(max_size=40), date=st.text(max_size=40))
def test_any_header_gives_a_wait_within_bounds_or_none(header: str, date: str) -> None:
    wait = answers.retry_after(None, {"retry-after": header, "date": date}, NOW)

    assert wait is None or 0 <= wait <= 3600
