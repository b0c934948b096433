"""Whom the gateway lets in: everybody, or those with a password, a token, or the token of the setup."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulators.api import Api, Errors, RefusedError, Reply
from tests.simulators.bifrost.specs import AuthMode

SETUP_HEADER = "x-bifrost-setup-token"


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return {"is_bifrost_error": False, "status_code": status, "error": {"message": message}, "extra_fields": {}}


def refusal(status: int, message: str) -> RefusedError:
    """Return a refusal."""
    return RefusedError(Reply(status, error_body(status, message)))


ERRORS = Errors(
    unauthorized=Reply(401, error_body(401, "Unauthorized")),
    not_found=Reply(404, error_body(404, "Route not found")),
    not_allowed=Reply(405, error_body(405, "Method Not Allowed")),
    too_many=error_body(429, "Too many requests"),
)
"""The gateway itself limits nobody here; 429 is what an ingress in front of it might say."""


class BifrostApi(Api):
    """The gateway's ways of authentication."""

    def __init__(self, *, mode: AuthMode, keys: Sequence[str], rate: int) -> None:
        super().__init__(errors=ERRORS, schemes=(), keys=list(keys), rate=rate)
        self._first_mode = mode
        self.mode = mode

    def reset(self) -> None:
        """Go back to how it was at the start of the process."""
        super().reset()
        self.mode = self._first_mode

    def key(self, headers: Mapping[str, str]) -> str:
        """Return the credential of a request: `user:password`, a session token, or the token of the setup."""
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic":
                return _decoded(credential)
            case "bearer":
                return credential
        return headers.get(SETUP_HEADER, "")

    def authenticate(self, key: str, headers: Mapping[str, str]) -> None:
        """Raise `RefusedError` unless the request has a credential of the way that is in force."""
        scheme = headers.get("authorization", "").partition(" ")[0].lower()
        match self.mode:
            case "open":
                return
            case "basic" | "bearer":
                if scheme != self.mode or key not in self.keys:
                    raise RefusedError(self.errors.unauthorized)
            case "setup_token":
                self._check_setup(headers.get(SETUP_HEADER, ""))

    def _check_setup(self, token: str) -> None:
        if not self.keys:
            raise refusal(403, "No setup token is set on this server")
        if not token:
            raise refusal(401, "The setup token is missing")
        if token not in self.keys:
            raise refusal(403, "The setup token is wrong")


def credentials(
    mode: AuthMode, *, username: str, password: str, tokens: Sequence[str], setup_token: str | None
) -> list[str]:
    """Return the credentials that are valid in a mode."""
    match mode:
        case "open":
            return []
        case "basic":
            return [f"{username}:{password}"]
        case "bearer":
            return list(tokens)
        case "setup_token":
            return [] if setup_token is None else [setup_token]


def _decoded(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return credential
