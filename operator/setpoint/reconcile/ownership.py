"""One owner for each remote thing: two resources that manage the same one would correct each other for ever.

Every resource claims what it manages, by the remote's ids and the place of the API, so that it does not matter through
which namespace or connection it is reached. The oldest one owns it: by creation time, then by uid, which every process
works out alike. The others write nothing and name the owner; when it goes or manages something else, they are told.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import NamedTuple

from setpoint.reconcile.ports import Key


class Rank(NamedTuple):
    """The order of claims; the smallest one wins."""

    created: float
    """Seconds since the epoch."""
    uid: str


class Ownership:
    """Who claims what."""

    def __init__(self) -> None:
        self._claims: dict[Hashable, dict[Key, Rank]] = defaultdict(dict)
        self._claimed: dict[Key, tuple[Rank, frozenset[Hashable]]] = {}

    def owner(self, thing: Hashable) -> Key | None:
        """Return who owns a thing."""
        claims = self._claims.get(thing)
        return min(claims, key=lambda key: claims[key]) if claims else None

    def claim(self, key: Key, rank: Rank, things: frozenset[Hashable]) -> frozenset[Key]:
        """Let a resource claim these things and no others; return those whose owner is another one now."""
        known = self._claimed.get(key)
        if known == (rank, things) or (known is None and not things):
            return frozenset()
        before = known[1] if known is not None else frozenset()
        concerned = before | things
        owners = {thing: self.owner(thing) for thing in concerned}
        for thing in before:
            del self._claims[thing][key]
            if not self._claims[thing]:
                del self._claims[thing]
        for thing in things:
            self._claims[thing][key] = rank
        if things:
            self._claimed[key] = (rank, things)
        else:
            del self._claimed[key]
        affected: set[Key] = set()
        for thing in concerned:
            if self.owner(thing) != owners[thing]:
                affected.update(self._claims.get(thing, ()))
        return frozenset(affected - {key})

    def release(self, key: Key) -> frozenset[Key]:
        """Forget a resource's claims; return those who own something they did not own before, or know another owner."""
        known = self._claimed.get(key)
        return self.claim(key, known[0], frozenset()) if known is not None else frozenset()

    def rival(self, key: Key, things: frozenset[Hashable]) -> Key | None:
        """Return an owner of one of the things that is not the resource itself, or None."""
        owners = (self.owner(thing) for thing in things)
        return min((owner for owner in owners if owner is not None and owner != key), default=None)
