"""What a simulator can be told to do wrong, and to which requests.

The faults are those of networks, proxies and servers in trouble. They come before everything else a simulator does, as
a proxy in front of the API would, so that a request with a fault may neither be authenticated nor counted by the rate
limit.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Encoding: TypeAlias = Literal["gzip", "deflate"]


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Respond(_Fault):
    """Gives this answer instead of the API's own."""

    kind: Literal["respond"] = "respond"
    status: int = 200
    body: Any = None
    """A text is sent as it is, so that it need not be JSON; anything else as JSON, None as an empty body."""
    headers: dict[str, str] = {}
    """Content-Type is JSON's unless given."""
    applied: bool = False
    """Whether the request takes effect all the same."""


class Delay(_Fault):
    """Answers late."""

    kind: Literal["delay"] = "delay"
    seconds: float | None
    """None never answers."""
    applied: bool = False
    """Whether the request takes effect at once and only the answer is late; else it takes effect late as well."""


class Drop(_Fault):
    """Closes the connection without an answer."""

    kind: Literal["drop"] = "drop"
    applied: bool = False
    """Whether the request takes effect all the same."""


class Huge(_Fault):
    """Answers with a JSON text of many bytes, sent piece by piece without telling its length before."""

    kind: Literal["huge"] = "huge"
    size: int
    status: int = 200
    encoding: Encoding | None = None
    """How it is compressed, which makes few bytes of many."""
    applied: bool = False
    """Whether the request takes effect all the same."""


class Truncate(_Fault):
    """Announces the whole answer, sends half of it and closes the connection; the request takes effect."""

    kind: Literal["truncate"] = "truncate"


class Compress(_Fault):
    """Compresses the API's own answer, whatever the client accepts; the request takes effect."""

    kind: Literal["compress"] = "compress"
    encoding: Encoding = "gzip"


Fault = Annotated[Respond | Delay | Drop | Huge | Truncate | Compress, Field(discriminator="kind")]

_HTML = "<!doctype html><html><head><title>Console</title></head><body></body></html>"

DONE_UNCLEARLY: Mapping[str, Fault] = {
    "no status": Respond(body={"message": "done"}, applied=True),
    "no content": Respond(status=204, applied=True),
    "no body": Respond(applied=True),
    "a list": Respond(body=[], applied=True),
    "no JSON": Respond(body="done", headers={"Content-Type": "text/plain"}, applied=True),
    "a page": Respond(body=_HTML, headers={"Content-Type": "text/html"}, applied=True),
    "gzip": Compress(encoding="gzip"),
    "deflate": Compress(encoding="deflate"),
    "no gzip": Respond(body="done", headers={"Content-Encoding": "gzip"}, applied=True),
    "half": Truncate(),
}
"""Answers to a write that took effect, which leave a reader in doubt whether it did."""

ELSEWHERE: Mapping[str, Fault] = {
    "a redirect": Respond(status=302, headers={"Location": "/login"}),
    "a page": Respond(body=_HTML, headers={"Content-Type": "text/html"}),
}
"""Answers of something that is not the API: a wrong URL, a captive portal, a login in front of it."""


class Rule(BaseModel):
    """A fault and the requests it strikes."""

    model_config = ConfigDict(extra="forbid")

    fault: Fault
    method: str | None = None
    path: re.Pattern[str] = re.compile("")
    """Searched for in the path as it was sent."""
    skip: int = 0
    """Requests that are spared first."""
    count: int | None = 1
    """Requests that are struck then; None strikes all."""

    def strikes(self, method: str, path: str) -> bool:
        """Tell whether a request is struck, and count it."""
        if self.count == 0 or self.method not in {None, method} or not self.path.search(path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.count is not None:
            self.count -= 1
        return True


class Faults:
    """The rules in force; the first that strikes a request decides."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def inject(self, rule: Rule) -> None:
        """Add a rule after the others."""
        self._rules.append(rule)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that strikes a request, if any."""
        return next((rule.fault for rule in self._rules if rule.strikes(method, path)), None)

    def clear(self) -> None:
        """Forget all rules."""
        self._rules.clear()
