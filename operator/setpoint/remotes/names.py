"""From the names people gave to models and chains to the ids the API wants, and back.

The whole list is read once and serves for five minutes, since there is one request for all names but thousands of
resources that use them. What is not in it, or in it twice, is not said on the word of an old list: such an answer needs
a list that is at most ten seconds old, so that something just created is found at the next look.
"""

import asyncio
import math
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from heapq import nlargest, nsmallest
from typing import NamedTuple

from setpoint.remotes.errors import AmbiguousName, TargetNotFound

GOOD_FOR = 300.0
MISSING_GOOD_FOR = 10.0
SHOWN = 5
COMPARED = 200
"""Names an unknown one is compared with, those next to it in the alphabet: more would be felt by the whole process."""
COMPARED_CLOSELY = 20
"""Of these, the ones with the most letters in common are compared letter by letter, which may take a millisecond each."""
LONGEST_COMPARED = 64
"""Characters of a name that is compared with others."""
CLOSE = 0.6


class Named(NamedTuple):
    """Something that has an id and a name."""

    id: str
    name: str
    team: str | None = None
    """Name of the team it belongs to, where the list tells."""

    def __str__(self) -> str:
        return f"{self.id} (team {self.team})" if self.team is not None else self.id


class Listing:
    """One list, by name and by id; names are unique only within a team, so there may be several of one name."""

    def __init__(self, things: Iterable[Named] = ()) -> None:
        self.by_id: dict[str, Named] = {}
        self._by_name: dict[str, list[Named]] = {}
        for thing in things:
            self.by_id[thing.id] = thing
            self._by_name.setdefault(thing.name, []).append(thing)

    def named(self, name: str) -> Sequence[Named]:
        """Return all things of that name."""
        return self._by_name.get(name, ())

    def suggestion(self, name: str) -> str:
        """Return what there is instead of something that is not there, for people."""
        if not self._by_name:
            return "this key sees none"
        if close := _close(name, self._in_order):
            return f"did you mean {' or '.join(close)}?"
        more = f" and {len(self._in_order) - SHOWN} more" if len(self._in_order) > SHOWN else ""
        return f"there are {', '.join(self._in_order[:SHOWN])}{more}"

    @cached_property
    def _in_order(self) -> list[str]:
        return sorted(self._by_name)


def _close(name: str, names: Sequence[str]) -> list[str]:
    """Return a few of the names that look like a misspelt one, the most like it first; `names` are in order."""
    if len(name) > LONGEST_COMPARED:
        return []
    middle = bisect_left(names, name)
    begin = max(min(middle - COMPARED // 2, len(names) - COMPARED), 0)
    matcher = SequenceMatcher()
    matcher.set_seq2(name)

    def alike(other: str, ratio: Callable[[], float]) -> float:
        matcher.set_seq1(other)
        return ratio()

    there = [other for other in names[begin : begin + COMPARED] if len(other) <= LONGEST_COMPARED]
    near = nlargest(COMPARED_CLOSELY, there, key=lambda other: alike(other, matcher.quick_ratio))
    found = [(ratio, other) for other in near if (ratio := alike(other, matcher.ratio)) >= CLOSE]
    return [other for _, other in nlargest(SHOWN, found)]


class Names:
    """The names of one kind of thing; `read` returns a list whose read started after the given time of the loop.

    `where` says in messages where the things are, where that is not everywhere the key can see.
    """

    def __init__(self, kind: str, read: Callable[[float], Awaitable[Listing]], where: str = "") -> None:
        self._kind = kind
        self._read = read
        self._where = where
        self._listing = Listing()
        self._read_at = -math.inf
        self._forgotten_at = -math.inf

    async def id(self, name: str) -> str:
        """Return the id of the thing with that name.

        Raises:
            TargetNotFound: there is none.
            AmbiguousName: there are several.
            RemoteError: the list could not be read.
        """
        listing = await self._listed(GOOD_FOR)
        if len(listing.named(name)) != 1:
            listing = await self._listed(MISSING_GOOD_FOR)
        match listing.named(name):
            case (single,):
                return single.id
            case []:
                missing = f"there is no {self._kind} named {name}{self._where}"
                raise TargetNotFound(f"{missing}; {listing.suggestion(name)}")
            case several:
                raise AmbiguousName(
                    f"{len(several)} {self._kind}s are named {name}{self._where}, with the ids {_shown(several)}: "
                    f"say which one {self._choice(several)}"
                )

    async def name(self, id_: str) -> str | None:
        """Return the name of the thing with that id, as a list says that is at most ten seconds old; None where it is gone.

        Raises:
            RemoteError: the list could not be read.
        """
        there = (await self._listed(MISSING_GOOD_FOR)).by_id.get(id_)
        return None if there is None else there.name

    async def find(self, text: str) -> Named:
        """Return the thing with that id, or else the one with that name.

        Raises:
            TargetNotFound: there is neither.
            AmbiguousName: there are several of that name.
            RemoteError: the list could not be read.
        """
        listing = await self._listed(GOOD_FOR)
        if text not in listing.by_id:
            listing = await self._listed(MISSING_GOOD_FOR)
        if text in listing.by_id:
            return listing.by_id[text]
        match listing.named(text):
            case (single,):
                return single
            case []:
                missing = f"there is no {self._kind} with the id or name {text}{self._where}"
                raise TargetNotFound(f"{missing}; {listing.suggestion(text)}")
            case several:
                raise AmbiguousName(
                    f"{len(several)} {self._kind}s are named {text}{self._where}, with the ids {_shown(several)}: "
                    "say which one by its id"
                )

    def forget(self) -> None:
        """Read the list again at the next question; one that is being read now does not count."""
        self._forgotten_at = asyncio.get_running_loop().time()
        self._read_at = -math.inf

    async def _listed(self, good_for: float) -> Listing:
        now = asyncio.get_running_loop().time()
        if now - self._read_at <= good_for:
            return self._listing
        listing = await self._read(self._forgotten_at)
        if self._forgotten_at <= now:
            self._listing, self._read_at = listing, now
        return listing

    def _choice(self, several: Sequence[Named]) -> str:
        by_id = f"with {self._kind}Id instead of {self._kind}Name"
        teams = {thing.team for thing in several}
        return f"with target.team, or {by_id}" if len(teams) == len(several) else by_id


def _shown(things: Sequence[Named]) -> str:
    return ", ".join(nsmallest(2 * SHOWN, map(str, things)))
