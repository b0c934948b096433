"""Whom the gateway lets in: everybody, or those with a login, a session, or the token of the setup."""

import base64
import binascii
import re
from collections.abc import Callable, Container, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.routing import Route

from tests.simulators.api import Api, Errors, RefusedError, Reply, Table
from tests.simulators.bifrost import dashboard
from tests.simulators.bifrost.releases import Release
from tests.simulators.bifrost.specs import VERSIONS, AuthMode

SETUP_HEADER = "x-bifrost-setup-token"
COOKIE = "token"


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return {"is_bifrost_error": False, "status_code": status, "error": {"message": message}, "extra_fields": {}}


def refusal(status: int, message: str) -> RefusedError:
    """Return a refusal."""
    return RefusedError(Reply(status, error_body(status, message)))


def told_by(release: Release, refused: RefusedError) -> RefusedError:
    """Return a refusal as a release tells it."""
    reply = refused.reply
    if not release.routing_info or not isinstance(reply.body, dict) or "extra_fields" not in reply.body:
        return refused
    return RefusedError(Reply(reply.status, reply.body | {"extra_fields": {"routing_info": {}}}, reply.headers))


ERRORS = Errors(
    unauthorized=Reply(401, error_body(401, "Unauthorized")),
    not_found=dashboard.NO_BACKEND,
    not_allowed=dashboard.NOT_ALLOWED,
    too_many=error_body(429, "Too many requests"),
)
"""The gateway itself limits nobody here; 429 is what an ingress in front of it might say."""


class BifrostApi(Api):
    """The gateway's ways of authentication, and its dashboard, which is at all other paths."""

    def __init__(self, *, mode: AuthMode, keys: Sequence[str], rate: int) -> None:
        super().__init__(errors=ERRORS, schemes=(), keys=list(keys), rate=rate)
        self._first_mode = mode
        self.mode = mode
        self.release: Callable[[], Release] = lambda: Release.of(2, VERSIONS[2])
        self._prefix = ""
        self._known: dict[re.Pattern[str], Container[str]] = {}

    def reset(self) -> None:
        """Go back to how it was at the start of the process."""
        super().reset()
        self.mode = self._first_mode

    def routes(self, table: Table, *, prefix: str = "", public: Container[str] = ()) -> list[Route]:
        """Return the routes of the gateway, and remember its paths."""
        self._prefix = prefix
        self._known = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): handlers for path, handlers in table.items()}
        return super().routes(table, prefix=prefix, public=public)

    def elsewhere(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Return the answer at a path that is none of the API's."""
        if not path.startswith(f"{self._prefix}/"):
            return self.errors.not_found
        rest = path.removeprefix(self._prefix)
        bare = rest.removesuffix("/")
        methods = next((methods for known, methods in self._known.items() if known.fullmatch(bare)), None)
        if rest == bare or methods is None:
            return dashboard.answer(method, rest)
        if method not in methods:
            return told_by(self.release(), refusal(404, f"Route not found: {rest}")).reply
        # Of the ingress and its prefix the gateway knows nothing.
        return dashboard.moved(method, f"http://{headers['host']}{bare}")

    def key(self, headers: Mapping[str, str]) -> str:
        """Return the credential of a request: `user:password`, a session, or the token of the setup."""
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        match scheme.lower():
            case "basic":
                return _decoded(credential) or credential
            case "bearer":
                return credential
        return headers.get(SETUP_HEADER, "") or _cookie(headers)

    def authenticate(self, key: str, headers: Mapping[str, str]) -> None:
        """Raise `RefusedError` unless the request has a credential of the way that is in force."""
        refused: RefusedError | None = None
        match self.mode:
            case "basic" | "bearer" if not self._logged_in(headers):
                refused = RefusedError(self.errors.unauthorized)
            case "setup_token":
                refused = self._setup_refused(headers.get(SETUP_HEADER, ""))
        if refused is not None:
            raise told_by(self.release(), refused)

    def _logged_in(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request has a valid login or session. The names of the schemes are valid in these letters only.

        Of old, a bearer's token may also be what Basic has after its name.
        """
        scheme, _, credential = headers.get("authorization", "").partition(" ")
        login = _decoded(credential)
        if not scheme:
            return _is_session(_cookie(headers)) and _cookie(headers) in self.keys
        if scheme == "Bearer" and _is_session(credential) and credential in self.keys:
            return True
        return scheme in {"Basic", "Bearer"} and not _is_session(login) and login in self.keys

    def _setup_refused(self, token: str) -> RefusedError | None:
        if not self.keys:
            return refusal(403, "No setup token is set on this server")
        if not token:
            return refusal(401, "The setup token is missing")
        return None if token in self.keys else refusal(403, "The setup token is wrong")


def credentials(
    mode: AuthMode, *, username: str, password: str, tokens: Sequence[str], setup_token: str | None
) -> list[str]:
    """Return the credentials that are valid in a mode."""
    match mode:
        case "open":
            return []
        case "basic" | "bearer":
            return [*([f"{username}:{password}"] if password else []), *tokens]
        case "setup_token":
            return [] if setup_token is None else [setup_token]


def _is_session(key: str) -> bool:
    """Tell a session, or the key of the enterprise edition, from a login with its colon."""
    return bool(key) and ":" not in key


def _decoded(credential: str) -> str:
    try:
        return base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
