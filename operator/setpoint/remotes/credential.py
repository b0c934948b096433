"""Keys on their way to a remote API, and nowhere else.

An h11 error shows the header it refuses, and an API may repeat a key in the message that refuses it. So a key is
checked before it is used, and taken out of every text that comes back.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Self

from setpoint.remotes.errors import AuthenticationFailed

REDACTED = "[redacted]"
SETUP_TOKEN = "X-Bifrost-Setup-Token"  # noqa: S105 - the name of a header

UNMISTAKABLE = 12
"""Characters from which on a secret is taken out of whole bodies: a shorter one may be part of a name by chance."""


class Credential:
    """The headers that open an API, and the secrets in them; its repr shows neither."""

    __slots__ = ("_headers", "_secrets")

    def __init__(self, headers: Mapping[str, str], *secrets: str) -> None:
        self._headers = dict(headers)
        self._secrets = secrets

    @classmethod
    def none(cls) -> Self:
        """Return the credential of an API that asks for none."""
        return cls({})

    @classmethod
    def authorization(cls, scheme: str, key: str) -> Self:
        """Return a key with a word before it in the Authorization header.

        Raises:
            AuthenticationFailed: the key is empty or has characters that cannot be in a header.
        """
        return cls({"Authorization": f"{scheme} {_checked(key)}"}, key)

    @classmethod
    def basic(cls, username: str, password: str) -> Self:
        """Return a user and password (RFC 7617).

        Raises:
            AuthenticationFailed: the password is empty or the user name has a colon.
        """
        if not password:
            raise AuthenticationFailed("the password in the Secret is empty")
        if ":" in username:
            raise AuthenticationFailed(
                "the user name in the Secret has a colon, which basic authentication cannot send"
            )
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
        return cls({"Authorization": f"Basic {encoded}"}, encoded, password)

    @classmethod
    def setup_token(cls, token: str) -> Self:
        """Return the token of a Bifrost gateway whose dashboard login is off.

        Raises:
            AuthenticationFailed: the token is empty or has characters that cannot be in a header.
        """
        return cls({SETUP_TOKEN: _checked(token)}, token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def headers(self) -> dict[str, str]:
        """The headers to send."""
        return dict(self._headers)

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same secrets and does not tell them."""
        return hashlib.sha256("\n".join(self._secrets).encode()).hexdigest()

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def redact_body(self, body: bytes) -> bytes:
        """Return the JSON of an answer without the secrets: names and words in it may be shown, too."""
        for secret in self._secrets:
            if len(secret) >= UNMISTAKABLE:
                for form in (secret, json.dumps(secret)[1:-1]):
                    body = body.replace(form.encode(), REDACTED.encode())
        return body


def _checked(key: str) -> str:
    if not key:
        raise AuthenticationFailed("the key in the Secret is empty")
    if not all("!" <= char <= "~" for char in key):
        raise AuthenticationFailed(
            "the key in the Secret has characters that cannot be in a header, such as a blank or a line break"
        )
    return key
