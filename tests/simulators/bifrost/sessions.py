"""Logging in to the gateway, as its dashboard does."""

from typing import Any

from tests.simulators.api import Call, RefusedError, Reply, Table
from tests.simulators.bifrost.auth import COOKIE, BifrostApi, refusal, told_by
from tests.simulators.bifrost.rows import new_id
from tests.simulators.journal import parsed

LOGIN = "/api/session/login"


def session_table(api: BifrostApi) -> Table:
    """Return the handlers of sessions."""

    def login(call: Call) -> Reply:
        try:
            return _login(api, parsed(call.body))
        except RefusedError as refused:
            raise told_by(api.release(), refused) from None

    return {LOGIN: {"POST": login}}


def _login(api: BifrostApi, body: Any) -> Reply:
    if not isinstance(body, dict):
        raise refusal(400, "Invalid request format")
    if api.mode not in {"basic", "bearer"}:
        raise refusal(403, "Authentication is not enabled")
    if f"{body.get('username')}:{body.get('password')}" not in api.keys:
        raise refusal(401, "Invalid username or password")
    token = new_id()
    api.keys.add(token)
    # The answer has the session in the cookie alone.
    cookie = f"{COOKIE}={token}; path=/; HttpOnly; SameSite=Lax"
    return Reply(200, {"message": "Login successful"}, {"set-cookie": cookie})
