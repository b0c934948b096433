"""What an HTTP answer means: the error for its status, the API's own message in it, how long it asks to wait.

Pure functions over bytes and headers. The shapes are those of the Baseten management API and of what usually stands in
front of such an API: it documents no error schema, so a message is looked for in the places where one was seen.
"""

import contextlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from setpoint.remotes.errors import (
    AuthenticationFailed,
    Forbidden,
    InvalidSettings,
    RateLimited,
    RemoteError,
    RemoteFailure,
    TargetNotFound,
    UnexpectedAnswer,
    UnreadableAnswer,
)

LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a remote that asks for more is asked again after this long."""

DEFAULT_RETRY_AFTER = 1.0
"""Seconds waited after a 429 that does not say how long: the length of the window the API counts in."""

_TEMPORARY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})
_WRONG_URL = ", so it is not the API that answers; correct the URL of the connection"

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_PAGES = (b"<!doctype html", b"<html")
_BLANKS = b"\xef\xbb\xbf \t\r\n"
_BEGINNING = 1024
"""Bytes in which HTML is looked for where nothing says that it is."""

_WORDS = ("message", "msg", "detail", "error", "description", "reason")
_PLACES = ("field", "path", "param", "loc")
"""Keys of the words in a part of an error, and of what they are about."""
_MOST = 10
_DEEPEST = 3
_SHOWN = 200

_LONGEST_TIME = 64
"""Characters of a time in any form."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|h|m|s)")
_DURATION = re.compile(rf"\s*({_PART.pattern}(?:ec(?:ond)?s?|in(?:ute)?s?|ours?)?\s*)+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an API answered to a write, in its own words."""

    status: str
    """Baseten's word (ACCEPTED, QUEUED, UNCHANGED or a new one); the HTTP status where the API has no word of its own."""
    message: str


@dataclass(frozen=True, slots=True)
class Content:
    """What was found in the body of an answer."""

    value: Any = None
    """Its JSON; None also where it has none."""
    flaw: str | None = None
    """Why it could not be read, in words that go after "answered 200 with"; None where it is JSON."""
    shown: str | None = None
    """What it is instead, in words that go after "answered 404 with"; None where it is JSON or empty."""
    is_page: bool = False
    """Whether it is HTML: what a proxy, a login or a dashboard answers, but none of the APIs."""


NOTHING = Content(flaw="nothing in it")
"""What is in an empty body."""


def unreadable(body: bytes | bytearray, headers: Mapping[str, str]) -> Content:
    """Return what is in a body that is no JSON."""
    kind = _media_type(headers)
    is_page = kind.lower() in _HTML or body[:_BEGINNING].lstrip(_BLANKS).lower().startswith(_PAGES)
    return Content(flaw=f"{kind} that is no readable JSON", shown=kind, is_page=is_page)


def flawed(flaw: str, headers: Mapping[str, str]) -> Content:
    """Return what is in a body of which `flaw` says in words why it is not all there or could not be unpacked."""
    return Content(flaw=flaw, shown=flaw, is_page=_media_type(headers).lower() in _HTML)


def api_message(body: Any) -> str | None:
    """Return what the parsed body of an error says, None where it says nothing.

    That is the first of `message`, `error` and `detail`, and after it what `details` and `errors` add.
    """
    if not isinstance(body, Mapping):
        return None
    said = next(filter(None, map(_text, (body.get("message"), body.get("error"), body.get("detail")))), None)
    more = filter(None, map(_text, (body.get("details"), body.get("errors"))))
    return ": ".join(dict.fromkeys(filter(None, (said, *more)))) or None


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


def problem(
    answered: str,
    status: int,
    found: Content,
    *,
    headers: Mapping[str, str],
    now: datetime,
    redact: Callable[[str], str],
    nothing_named: bool = False,
) -> RemoteError | None:
    """Return the error for an answer, None for a 2xx with JSON.

    `answered` says who answered what to which request, `redact` takes the credential out of a text, and `nothing_named` tells
    that the request had no id of anything in it, so that there is nothing whose absence a 404 could mean.
    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        if found.is_page:
            return UnexpectedAnswer(f"{answered} with a page of HTML instead of JSON{_WRONG_URL}", status=status)
        if found.flaw is not None:
            return UnreadableAnswer(f"{answered} with {redact(found.flaw)}", status=status)
        return None
    said = api_message(found.value)
    message = None if said is None else redact(said)
    if _leads_away(status):
        text = f"{answered} with a redirect{_destination(headers, redact)}, which is not followed"
    elif message is not None:
        text = f"{answered}: {message}"
    elif found.shown is not None:
        text = f"{answered} with {redact(found.shown)}"
    else:
        text = answered
    if _is_not_the_api(status, found, nothing_named=nothing_named):
        return UnexpectedAnswer(f"{text}{_WRONG_URL}", status=status, api_message=message)
    return _failure(text, status, message=message, wait=retry_after(found.value, headers, now))


def _is_not_the_api(status: int, found: Content, *, nothing_named: bool) -> bool:
    """Tell whether something else answers than the API: nothing of what it says is about what was asked for.

    Above all a 404: what stands in front of an API answers so, too, and must not make anything be taken for deleted.
    """
    match status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN | HTTPStatus.TOO_MANY_REQUESTS:
            return False
        case HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
            return True
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return found.shown is not None or (nothing_named and status == HTTPStatus.NOT_FOUND)
        case _ if _is_refusal(status):
            return found.is_page
        case _:
            return _leads_away(status)


def _failure(text: str, status: int, *, message: str | None, wait: float | None) -> RemoteError:
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
        case _ if _is_refusal(status):
            return InvalidSettings(text, status=status, api_message=message)
        case _:
            return RemoteFailure(text, status=status, api_message=message, retry_after=wait)


def _is_refusal(status: int) -> bool:
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _TEMPORARY


def _leads_away(status: int) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_MODIFIED


def _destination(headers: Mapping[str, str], redact: Callable[[str], str]) -> str:
    """Return where a redirect leads to, as far as it may be shown: what follows the path may hold a secret."""
    try:
        parts = urlsplit(headers.get("location", ""))
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    # Whole, since a piece of a secret would not be known for one.
    place = redact(f"{parts.scheme}://{host}{port}{parts.path}" if host else parts.path)
    return f" to {place[:_SHOWN]}" if place else ""


def _media_type(headers: Mapping[str, str]) -> str:
    """Return the type of a body for people, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip() or "no content type"


def _text(value: object, depth: int = 0) -> str | None:
    """Return the words in a part of an error: a text, an object with a text in it, or several of these."""
    if depth > _DEEPEST:
        return None
    match value:
        case str(text):
            return text.strip() or None
        case list():
            return "; ".join(filter(None, (_text(each, depth + 1) for each in value[:_MOST]))) or None
        case Mapping():
            return _object_text(value, depth)
        case _:
            return None


def _object_text(value: Mapping[Any, Any], depth: int) -> str | None:
    for key in _WORDS:
        if text := _text(value.get(key), depth + 1):
            where = next(filter(None, (_place(value.get(name)) for name in _PLACES)), None)
            return f"{where}: {text}" if where else text
    # {"max_replica": ["too large"]}: the keys are the fields.
    named = ((key, _text(each, depth + 1)) for key, each in list(value.items())[:_MOST])
    return "; ".join(f"{key}: {text}" for key, text in named if text) or None


def _place(value: object) -> str | None:
    match value:
        case str(text):
            return text.strip() or None
        case list():
            return ".".join(str(part) for part in value[:_MOST] if isinstance(part, str | int)) or None
        case _:
            return None


def _seconds(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int() | float() if not math.isnan(min(value, LONGEST_RETRY_AFTER)):
            return float(min(max(value, 0), LONGEST_RETRY_AFTER))
        case str(text):
            return _seconds(_number(text))
        case _:
            return None


def _number(text: str) -> float | None:
    """Return the seconds in a text: `37`, `37s`, `1m30s`, `37 seconds`."""
    with contextlib.suppress(ValueError):
        return float(text)
    if len(text) > _LONGEST_TIME or not _DURATION.fullmatch(text.lower()):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text.lower()))


def _until(text: str, now: datetime) -> float | None:
    moment = _date(text)
    return None if moment is None else (moment - now).total_seconds()


def _date(text: str) -> datetime | None:
    if len(text) > _LONGEST_TIME:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
