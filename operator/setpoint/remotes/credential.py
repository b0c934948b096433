"""A key on its way to a remote API, and nowhere else.

An h11 error shows the header it refuses, and an API may repeat a key in the message that refuses it. So a key is
checked before it is used, and taken out of every text that comes back.
"""

import hashlib

from setpoint.remotes.errors import AuthenticationFailed

REDACTED = "[redacted]"


class Credential:
    """A key and the word before it in the Authorization header; its repr shows neither.

    Raises:
        AuthenticationFailed: the key is empty or has characters that cannot be in a header.
    """

    __slots__ = ("_key", "_scheme")

    def __init__(self, scheme: str, key: str) -> None:
        if not key:
            raise AuthenticationFailed("the key in the Secret is empty")
        if not all("!" <= char <= "~" for char in key):
            raise AuthenticationFailed(
                "the key in the Secret has characters that cannot be in a header, such as a blank or a line break"
            )
        self._scheme = scheme
        self._key = key

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def header(self) -> str:
        """The value of the Authorization header."""
        return f"{self._scheme} {self._key}"

    @property
    def fingerprint(self) -> str:
        """A text that is the same for the same key and does not tell it."""
        return hashlib.sha256(self._key.encode()).hexdigest()

    def redact(self, text: str) -> str:
        """Return the text without the key."""
        return text.replace(self._key, REDACTED)
