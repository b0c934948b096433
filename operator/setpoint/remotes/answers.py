"""What an HTTP answer means: the error for its status, the API's own message in it, how long it asks to wait.

Pure functions over bytes and headers. The shapes are those of the Baseten management API and of what usually stands in
front of such an API: it documents no error schema, so a message is looked for in the places where one was seen.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from setpoint.remotes.errors import (
    AuthenticationFailed,
    Forbidden,
    InvalidSettings,
    RateLimited,
    RemoteError,
    RemoteFailure,
    TargetNotFound,
)

LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a remote that asks for more is asked again after this long."""

DEFAULT_RETRY_AFTER = 1.0
"""Seconds waited after a 429 that does not say how long: the length of the window the API counts in."""

_TEMPORARY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})


@dataclass(frozen=True, slots=True)
class Answer:
    """What an API answered to a write, in its own words."""

    status: str
    """Baseten's word (ACCEPTED, QUEUED, UNCHANGED or a new one); the HTTP status where the API has no word of its own."""
    message: str


class UnreadableError(ValueError):
    """A body is not the JSON it should be."""


def parse(body: bytes) -> Any:
    """Return the JSON value of a body.

    Raises:
        UnreadableError: it is no JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError from None


def api_message(body: Any) -> str | None:
    """Return the message in the parsed body of an error: from `message`, `error` or `detail`, else None."""
    if not isinstance(body, Mapping):
        return None
    for value in (body.get("message"), body.get("error"), body.get("detail")):
        if text := _text(value):
            return text
    return None


def retry_after(body: Any, headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds an answer asks to wait, the longer one where body and header differ, at most an hour.

    A date in the header is compared with the answer's own `Date`, so that clocks need not agree; `now` stands in where
    there is none.
    """
    asked = [_seconds(body.get("retry_after"))] if isinstance(body, Mapping) else []
    if header := headers.get("retry-after"):
        asked.append(_seconds(_number(header)))
        asked.append(_seconds(_until(header, _date(headers.get("date", "")) or now)))
    return max((wait for wait in asked if wait is not None), default=None)


def failure(
    answered: str, status: int, *, message: str | None, wait: float | None, content_type: str | None
) -> RemoteError:
    """Return the error for an answer that is no success.

    `answered` says who answered what to which request, `wait` is what `retry_after` found, and `content_type` is given
    where the body is no JSON, so that an answer of a proxy or a login page is seen for what it is.
    """
    if message is not None:
        text = f"{answered}: {message}"
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        text = f"{answered} with a redirect, which is not followed"
    elif content_type is not None:
        text = f"{answered} with {content_type}"
    else:
        text = answered
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return AuthenticationFailed(text, status=status, api_message=message)
        case HTTPStatus.FORBIDDEN:
            return Forbidden(text, status=status, api_message=message)
        case HTTPStatus.NOT_FOUND:
            return TargetNotFound(text, status=status, api_message=message)
        case HTTPStatus.TOO_MANY_REQUESTS:
            pause = DEFAULT_RETRY_AFTER if wait is None else wait
            return RateLimited(text, status=status, api_message=message, retry_after=pause)
        case _ if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TEMPORARY:
            return InvalidSettings(text, status=status, api_message=message)
        case _:
            return RemoteFailure(text, status=status, api_message=message, retry_after=wait)


def media_type(headers: Mapping[str, str]) -> str:
    """Return the type of a body for people, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip() or "no content type"


def _text(value: object) -> str | None:
    match value:
        case str(text):
            return text.strip() or None
        case {"message": str(text)} | {"msg": str(text)}:
            return text.strip() or None
        case list():
            return "; ".join(filter(None, map(_text, value[:10]))) or None
        case _:
            return None


def _seconds(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int() | float() if not math.isnan(min(value, LONGEST_RETRY_AFTER)):
            return float(min(max(value, 0), LONGEST_RETRY_AFTER))
        case _:
            return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    moment = _date(text)
    return None if moment is None else (moment - now).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
