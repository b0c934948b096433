r"""Keys on their way to a remote API, and nowhere else.

An h11 error shows the header it refuses, and an API may repeat a key in the message that refuses it. So a key is
checked before it is used, and taken out of every text that comes back. That is done with texts as they will be shown: before
JSON is read, `\u0073` may stand for an s. Where a secret does not stand in a text in clear, but in a form that anybody reads
it out of (percent-encoded, base64, with the escapes of JSON), nothing of that text is shown.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import unquote

from setpoint.remotes.decoding import Steps
from setpoint.remotes.errors import AuthenticationFailed

REDACTED = "[redacted]"
SETUP_TOKEN = "X-Bifrost-Setup-Token"  # noqa: S105 - the name of a header

UNMISTAKABLE = 12
"""Characters from which on a secret is taken out of whole bodies: a shorter one may be part of a name by chance."""

_SURE = 8
"""Characters of base64 that do not come about by chance."""

_ROUNDS = 4
"""How many forms within one another are undone; the first of them in the text of a body are its own escapes."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_URL_SAFE = str.maketrans("+/", "-_")
_ITEMS_PER_STEP = 1024


class Credential:
    """The headers that open an API, and the secrets in them; its repr shows neither."""

    __slots__ = ("_all", "_headers", "_secrets", "_unmistakable")

    def __init__(self, headers: Mapping[str, str], *secrets: str, user: str = "") -> None:
        self._headers = dict(headers)
        self._secrets = secrets
        self._all = _Sieve(secrets, user)
        self._unmistakable = _Sieve([secret for secret in (*secrets, user) if len(secret) >= UNMISTAKABLE])

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
        return cls({"Authorization": f"Basic {encoded}"}, encoded, password, user=username)

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
        """Return a message without the secrets and the user's name."""
        return self._all.clean(text)

    def stands_in(self, text: str) -> bool:
        """Tell whether the JSON text of a body, or of a part of it, may hold something that `redact_value` takes out."""
        return self._unmistakable.finds(text)

    def redact_value(self, value: Any) -> Steps[Any]:
        """Return the JSON value of a body without the secrets, in keys of objects as well; it is changed in place."""
        clean = self._unmistakable.clean
        if isinstance(value, str):
            return clean(value)
        if not isinstance(value, dict | list):
            return value
        left = [value]
        nodes = 0
        while left:
            node = left.pop()
            inner: list[Any] = []
            fields = node.items() if isinstance(node, dict) else enumerate(node)
            for number, (key, each) in enumerate(list(fields), start=1):
                node[key] = clean(each) if isinstance(each, str) else each
                if isinstance(each, dict | list):
                    inner.append(each)
                if number % _ITEMS_PER_STEP == 0:
                    yield
            if isinstance(node, dict) and any(clean(key) != key for key in node):
                shown = [(clean(key), each) for key, each in node.items()]
                node.clear()
                node.update(shown)
            left += inner
            nodes += 1
            if nodes % _ITEMS_PER_STEP == 0:
                yield
        return value


class _Sieve:
    """Finds secrets in texts, and takes them out."""

    def __init__(self, secrets: Sequence[str], user: str = "") -> None:
        words = [word for word in secrets if word]
        # A short name of a user may be part of any word.
        whole = rf"(?<!\w){re.escape(user)}(?!\w)" if 0 < len(user) < UNMISTAKABLE else None
        if user and whole is None:
            words.append(user)
        words.sort(key=len, reverse=True)
        self._needles = [*words, *(form for word in {*words, user} for form in _base64(word))]
        self._word = None if whole is None else re.compile(whole)
        self._plain = re.compile("|".join([*map(re.escape, words), *filter(None, [whole])]))

    def finds(self, text: str) -> bool:
        return any(map(self._is_in, _forms(text)))

    def clean(self, text: str) -> str:
        if not self.finds(text):
            return text
        shown = self._plain.sub(REDACTED, text)
        return REDACTED if self.finds(shown.replace(REDACTED, "\0")) else shown

    def _is_in(self, text: str) -> bool:
        return any(needle in text for needle in self._needles) or (
            self._word is not None and self._word.search(text) is not None
        )


def _forms(text: str) -> Iterator[str]:
    """Yield a text, and what it is with percent-encoding and JSON's escapes undone, as often as there are any."""
    yield text
    for _ in range(_ROUNDS):
        if "%" not in text and "\\" not in text:
            return
        plain = _ESCAPE.sub(_unescaped, unquote(text))
        if plain == text:
            return
        text = _paired(plain)
        yield text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _SHORT.get(found[2], found[2])


def _paired(text: str) -> str:
    """Return a text in which the two halves of a character, as JSON escapes it, are one again."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _base64(word: str) -> Iterator[str]:
    """Yield what a word looks like in base64, in either alphabet, wherever in the encoded bytes it begins.

    At both ends a sign that depends on the neighbours, too, is left out.
    """
    raw = word.encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        own = encoded[-(-8 * before // 6) : 8 * (before + len(raw)) // 6].decode()
        if len(own) >= _SURE:
            yield own
            yield own.translate(_URL_SAFE)


def _checked(key: str) -> str:
    if not key:
        raise AuthenticationFailed("the key in the Secret is empty")
    if not all("!" <= char <= "~" for char in key):
        raise AuthenticationFailed(
            "the key in the Secret has characters that cannot be in a header, such as a blank or a line break"
        )
    return key
