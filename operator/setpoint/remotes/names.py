"""From the names people gave to models and chains to the ids the API wants.

The whole list is read once and serves for five minutes, since there is one request for all names but thousands of
resources that use them. What is not in it, or in it twice, is not said on the word of an old list: such an answer needs
a list that is at most ten seconds old, so that something just created is found at the next look.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from typing import TypeAlias

from setpoint.remotes.errors import AmbiguousName, TargetNotFound

Ids: TypeAlias = Mapping[str, tuple[str, ...]]
"""Ids by name; names are unique only within a team, so there may be several."""

GOOD_FOR = 300.0
MISSING_GOOD_FOR = 10.0
SHOWN = 5
COMPARED = 2000
"""Names an unknown one is compared with: more would take long enough to be felt by everything else in the process."""


class Names:
    """The names of one kind of thing; `read` returns a list whose read started after the given time of the loop."""

    def __init__(self, kind: str, read: Callable[[float], Awaitable[Ids]]) -> None:
        self._kind = kind
        self._read = read
        self._ids: Ids = {}
        self._read_at = -math.inf
        self._forgotten_at = -math.inf

    async def id(self, name: str) -> str:
        """Return the id of the thing with that name.

        Raises:
            TargetNotFound: there is none.
            AmbiguousName: there are several.
            RemoteError: the list could not be read.
        """
        ids = await self._lookup(name, GOOD_FOR)
        if len(ids) != 1:
            ids = await self._lookup(name, MISSING_GOOD_FOR)
        match ids:
            case (single,):
                return single
            case ():
                raise TargetNotFound(f"there is no {self._kind} named {name}; {self._suggestion(name)}")
            case _:
                shown = ", ".join(sorted(ids)[: 2 * SHOWN])
                raise AmbiguousName(
                    f"{len(ids)} {self._kind}s are named {name}, with the ids {shown}: "
                    f"say which one with {self._kind}Id instead of {self._kind}Name"
                )

    async def name(self, id_: str) -> str | None:
        """Return the name of the thing with that id, by a list that is not old; None where there is none.

        Raises:
            RemoteError: the list could not be read.
        """
        await self._lookup("", MISSING_GOOD_FOR)
        return next((name for name, ids in self._ids.items() if id_ in ids), None)

    def forget(self) -> None:
        """Read the list again at the next question; one that is being read now does not count."""
        self._forgotten_at = asyncio.get_running_loop().time()
        self._read_at = -math.inf

    async def _lookup(self, name: str, good_for: float) -> tuple[str, ...]:
        now = asyncio.get_running_loop().time()
        if now - self._read_at <= good_for:
            return self._ids.get(name, ())
        ids = await self._read(self._forgotten_at)
        if self._forgotten_at <= now:
            self._ids, self._read_at = ids, now
        return ids.get(name, ())

    def _suggestion(self, name: str) -> str:
        names = sorted(self._ids)
        if not names:
            return "this key sees none"
        if close := get_close_matches(name, names[:COMPARED], SHOWN):
            return f"did you mean {' or '.join(close)}?"
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return f"there are {', '.join(names[:SHOWN])}{more}"
