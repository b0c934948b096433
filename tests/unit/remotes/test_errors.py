"""The tree of errors, and keys that stay out of it."""

import pytest

from setpoint.remotes import errors
from setpoint.remotes.credential import Credential


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = [
        line for line in (errors.__doc__ or "").splitlines() if "─ " in line or line.strip().startswith("RemoteError ")
    ]
    parents: list[str] = []
    tree = {}
    for line in drawn:
        depth = line.replace("│", " ").index("─ ") // 3 if "─ " in line else 0
        name = line.split("─ ")[-1].split()[0]
        parents[depth:] = [name]
        tree[name] = parents[depth - 1] if depth else "Exception"

    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert tree == {name: kind.__bases__[0].__name__ for name, kind in classes.items()}


def test_messages_are_fit_for_a_status() -> None:
    error = errors.InvalidSettings("two\nlines\x1b[31m" + "x" * 5000, status=400, api_message="a\tb\ud800c")

    assert error.message == str(error)
    assert error.message.startswith("two lines [31mxxx")
    assert len(error.message) == 1024
    assert error.api_message == "a b c"


@pytest.mark.parametrize("key", ["s3 cret", "s3cret\n", "\ts3cret", "s3crét", "s3cret\x00", "s3cret\x7f", "ключ"])
def test_a_key_that_cannot_be_in_a_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(errors.AuthenticationFailed, match="characters that cannot be in a header") as raised:
        Credential.authorization("Bearer", key)

    assert "s3" not in repr(raised.value)
    assert key not in repr(raised.value)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(errors.AuthenticationFailed, match="is empty"):
        Credential.authorization("Bearer", "")


def test_a_credential_shows_itself_only_in_the_header() -> None:
    credential = Credential.authorization("Api-Key", "s3cret")

    assert credential.headers == {"Authorization": "Api-Key s3cret"}
    assert "s3cret" not in repr(credential)
    assert "s3cret" not in credential.fingerprint
    assert credential.redact("bad key s3cret!") == "bad key [redacted]!"


def test_the_same_key_has_the_same_fingerprint_whatever_the_scheme() -> None:
    assert (
        Credential.authorization("Bearer", "key").fingerprint == Credential.authorization("Api-Key", "key").fingerprint
    )
    assert (
        Credential.authorization("Bearer", "key").fingerprint != Credential.authorization("Bearer", "other").fingerprint
    )


def test_a_password_is_sent_encoded_and_shown_in_neither_form() -> None:
    credential = Credential.basic("admin", "s3cret")
    assert credential.headers == {"Authorization": "Basic YWRtaW46czNjcmV0"}
    assert credential.redact("no s3cret, no YWRtaW46czNjcmV0") == "no [redacted], no [redacted]"
    assert "s3cret" not in repr(credential)
    assert Credential.none().headers == {}
    assert Credential.setup_token("t0ken").headers == {"X-Bifrost-Setup-Token": "t0ken"}


@pytest.mark.parametrize(("username", "password"), [("admin", ""), ("ad:min", "s3cret")])
def test_a_login_that_cannot_be_sent_is_refused(username: str, password: str) -> None:
    with pytest.raises(errors.AuthenticationFailed):
        Credential.basic(username, password)
