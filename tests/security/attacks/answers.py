"""A tenant's Connection leads to a remote of his own, which controls every byte of its answers."""

import time
from typing import Any

from tests.e2e.stage import KEY, connection, secret
from tests.security.attacks.registry import attack
from tests.security.hostile import LETTERS, alike
from tests.security.neighbour import autoscaling, gateway
from tests.security.siege import Siege

ONE = "creates one Connection, to a remote of his own"
EIGHT = "creates eight Connections, to a remote of his own"


QUIET = 2.0
"""Seconds."""
SEVERAL = 8
"""Connections to the same remote, where an answer costs more the more there are of it."""


def baseten_at(siege: Siege, how: str, count: int = 1, **spec: Any) -> None:
    """Create Connections to a false Baseten that answers that way; the first one is the default of resources."""
    key = {"apiKeySecretRef": {"name": "baseten", "key": "api-key"}}
    url = siege.remote(how)
    names = ["baseten", *(f"baseten-{number}" for number in range(1, count))]
    siege.create(secret("baseten", siege.namespace, KEY))
    siege.create(*(connection(name, siege.namespace, url, baseten=key, **spec) for name in names))


def asked(siege: Siege, how: str, times: int = 1) -> bool:
    """Tell whether the remote was asked so often."""
    return len(siege.sent(how)) >= times


class Settled:
    """Tells whether no more requests come to a remote: those that are turned away never will."""

    def __init__(self, siege: Siege, how: str) -> None:
        self._siege, self._how = siege, how
        self._times, self._since = 0, time.monotonic()

    def __call__(self) -> bool:
        """Look again."""
        times = len(self._siege.sent(self._how))
        if times != self._times:
            self._times, self._since = times, time.monotonic()
        return times > 0 and time.monotonic() - self._since > QUIET


@attack("answers", "a list of 760,000 equal names, 16 MiB", ONE)
def equal_names(siege: Siege) -> None:
    """The probe reads it, and a resource looks a name up in it."""
    siege.create(autoscaling("one", siege.namespace, {"modelName": "a", "deployment": "production"}))
    baseten_at(siege, "equal-names")
    siege.endure(lambda: asked(siege, "equal-names"))


@attack("answers", "2000 crafted names and a misspelt target", "creates a Connection and a resource")
def crafted_names(siege: Siege) -> None:
    """What was meant is looked for among the names there are."""
    siege.create(autoscaling("one", siege.namespace, {"modelName": alike(0, LETTERS), "deployment": "production"}))
    baseten_at(siege, "crafted-names")
    siege.endure(lambda: asked(siege, "crafted-names"))


@attack("answers", "600,000 rows of a gateway, by the probe alone", ONE)
def rows(siege: Siege) -> None:
    """Nothing but the Connection is needed."""
    siege.create(gateway("bifrost", siege.namespace, siege.remote("rows")))
    siege.endure(lambda: asked(siege, "rows"))


@attack("answers", "an answer in chunks of one byte", EIGHT)
def chunks(siege: Siege) -> None:
    """Each of them costs more than the byte."""
    baseten_at(siege, "chunks", SEVERAL, timeout="5m")
    siege.endure(lambda: asked(siege, "chunks", SEVERAL))


@attack("answers", "100 Continue without an end", EIGHT)
def interim(siege: Siege) -> None:
    """The answer itself never begins."""
    baseten_at(siege, "interim", SEVERAL, timeout="5m")
    siege.endure(lambda: asked(siege, "interim", SEVERAL))


@attack("answers", "headers without an end", EIGHT)
def headers(siege: Siege) -> None:
    """The body never begins."""
    baseten_at(siege, "headers", SEVERAL, timeout="5m")
    siege.endure(lambda: asked(siege, "headers", SEVERAL))


@attack("answers", "lists in lists, 8 million deep", ONE)
def deep(siege: Siege) -> None:
    """No parser that calls itself survives it."""
    baseten_at(siege, "deep")
    siege.endure(lambda: asked(siege, "deep"))
