"""A secret is found in texts as they are shown, in every form that anybody reads it out of."""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.remotes.credential import Credential
from setpoint.remotes.decoding import Bounds, decode
from tests.steps import finished

KEY = "s3cret/Key+0123456789"
PASSWORD = "pässword-0123/😀+x"  # noqa: S105 - of nobody
USER = "platform-team"


def utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def within_base64(before: int, text: str) -> str:
    return base64.b64encode(b"x" * before + text.encode() + b"yz").decode()


FORMS: dict[str, Callable[[str], str]] = {
    "in clear": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "every letter escaped": lambda text: "".join(f"\\u{unit:04X}" for unit in utf16(text)),
    "solidus escaped": lambda text: text.replace("/", "\\/"),
    "percent": lambda text: quote(text, safe=""),
    "every byte percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "JSON in percent": lambda text: quote("".join(f"\\u{unit:04x}" for unit in utf16(text))),
    **{f"base64, {before} before": partial(within_base64, before) for before in range(4)},
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in percent": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 in JSON": lambda text: base64.b64encode(text.encode()).decode().replace("/", "\\/"),
    "Basic pair": lambda text: base64.b64encode(f"{USER}:{text}".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("credential", "secret"),
    [
        (Credential.authorization("Bearer", KEY), KEY),
        (Credential.setup_token(KEY), KEY),
        (Credential.basic(USER, PASSWORD), PASSWORD),
        (Credential.basic(USER, PASSWORD), USER),
    ],
    ids=["key", "token", "password", "user"],
)
def test_no_form_of_a_secret_is_shown(form: str, credential: Credential, secret: str) -> None:
    shown = FORMS[form](secret)

    assert shown not in credential.redact(f"refused: {shown}!")
    assert "[redacted]" in credential.redact(f"refused: {shown}!")
    # In a body it stands once more in JSON: as a name, as a key, and in whichever escapes the other side likes.
    for text in (json.dumps(shown), '"' + shown.replace('"', '\\"') + '"'):
        body = f'{{"models": [{{"name": {text}, {text}: [{text}], "id": "m1"}}], "n": 1}}'.encode()
        assert credential.stands_in(body.decode())
        value = finished(credential.redact_value(finished(decode(body, Bounds.of(10**6)))))
        assert value == {"models": [{"name": "[redacted]", "[redacted]": ["[redacted]"], "id": "m1"}], "n": 1}


def test_what_is_no_secret_stays_as_it_is() -> None:
    credential = Credential.basic("admin", "hunter2")
    for text in ("", "administrators", "50% of C:\\x", "hunter", "%68unter", "\\u0068unter", "[redacted]"):
        assert credential.redact(text) == text
    assert credential.redact("admin's hunter2, %61dmin") == "[redacted]"
    assert credential.redact("user admin has no access") == "user [redacted] has no access"
    body = {"name": "admin hunter2", "id": 1, "x": [None, True, 1.5]}
    assert not credential.stands_in(json.dumps(body)), "such short ones may be part of a name by chance"
    assert finished(credential.redact_value(body)) == body
    assert Credential.none().redact("a % \\ b") == "a % \\ b"


@given(st.text(max_size=40), st.integers(0, 40))
def test_any_text_around_a_secret_stays_or_goes_as_a_whole(text: str, place: int) -> None:
    shown = Credential.authorization("Bearer", KEY).redact(text[:place] + KEY + text[place:])
    assert shown in {f"{text[:place]}[redacted]{text[place:]}", "[redacted]"}


def test_a_very_large_value_is_gone_through_in_steps() -> None:
    value: dict[str, list[Any]] = {
        "models": [{"name": KEY, "id": f"m{number}"} for number in range(5000)],
        "names": [KEY] * 5000,
    }
    steps = Credential.authorization("Bearer", KEY).redact_value(value)
    assert sum(1 for _ in steps) > 5
    assert {model["name"] for model in value["models"]} == set(value["names"]) == {"[redacted]"}
