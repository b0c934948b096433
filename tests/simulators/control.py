"""The way tests talk to a simulator: `POST /_control/COMMAND` with the arguments as JSON.

These requests need no key, are not limited and do not show in the journal.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError, validate_call
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.simulators.api import Api, RefusedError, Seconds, Throttling
from tests.simulators.faults import Fault, Rule
from tests.simulators.journal import JournalEntry

Command: TypeAlias = Callable[..., Any]


def control_route(commands: Mapping[str, Command]) -> Route:
    """Return the route of the commands, whose arguments are checked against their annotations."""
    checked = {name: validate_call(command) for name, command in commands.items()}

    async def control(request: Request) -> Response:
        name = request.path_params["command"]
        if name not in checked:
            return PlainTextResponse(f"no command {name}", 404)
        try:
            result = checked[name](**await request.json())
        except ValidationError as error:
            return PlainTextResponse(f"{name}: {error}", 422)
        except RefusedError as refusal:
            return PlainTextResponse(f"{name}: {refusal.reply.body}", 404)
        return Response(to_json(result), media_type="application/json")

    return Route("/_control/{command}", control, methods=["POST"])


class ApiCommands:
    """Commands every simulator has."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def all(self) -> dict[str, Command]:
        """Return the commands by name."""
        return {
            "inject": self.inject,
            "clear_faults": self._api.faults.clear,
            "journal": self.journal,
            "last": self.last,
            "clear_journal": self.clear_journal,
            "summary": self._api.journal.summary,
            "peak": self.peak,
            "add_key": self.add_key,
            "revoke_key": self.revoke_key,
            "set_rate": self.set_rate,
        }

    def inject(
        self, fault: Fault, *, method: str | None = None, path: str = "", skip: int = 0, count: int | None = 1
    ) -> None:
        """Strike requests with a fault."""
        self._api.faults.inject(Rule(fault=fault, method=method, path=re.compile(path), skip=skip, count=count))

    def journal(
        self, *, since: int = 0, method: str | None = None, path_contains: str = "", key: str | None = None
    ) -> list[JournalEntry]:
        """Return the requests after a sequence number that fit."""
        return list(self._api.journal.entries(since=since, method=method, path_contains=path_contains, key=key))

    def last(self) -> int:
        """Return the sequence number of the latest request."""
        return self._api.journal.last

    def clear_journal(self) -> None:
        """Forget the requests and the highest rates."""
        self._api.journal.clear()
        self._api.peaks.clear()

    def peak(self, *, key: str | None = None, endpoint: str | None = None) -> int:
        """Return the most requests that came for a key and an endpoint within a second."""
        return self._api.peaks.highest(key=key, endpoint=endpoint)

    def add_key(self, key: str) -> None:
        """Let a key in."""
        self._api.keys.add(key)

    def revoke_key(self, key: str) -> None:
        """Lock a key out."""
        self._api.keys.discard(key)

    def set_rate(
        self,
        rate: int,
        *,
        retry_after: Seconds | str | None = None,
        told_in: Literal["body", "header", "both", "neither"] = "body",
    ) -> None:
        """Set the requests per second, and how a refusal tells when to come again."""
        self._api.limit.rate = rate
        self._api.throttling = Throttling(retry_after=retry_after, told_in=told_in)
