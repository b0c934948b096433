"""One owner for each remote thing: two resources that manage the same one would correct each other for ever.

Every resource claims what it manages, by the remote's ids and the place of the API, so that it does not matter through
which namespace or connection it is reached. The oldest one owns it: by creation time, then by uid, which every process
works out alike. The others write nothing and name the owner; when it goes or manages something else, they are told.

A new owner may be found while the old one's write is on its way. So whoever writes holds the things until its look ends,
and whoever comes meanwhile is told afterwards.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import NamedTuple

from setpoint.reconcile.ports import Key


class Thing(NamedTuple):
    """Something at a remote API that can be managed."""

    place: str
    """Where the API is."""
    id: Hashable
    """What it is there."""


class Rank(NamedTuple):
    """The order of claims; the smallest one wins."""

    created: float
    """Seconds since the epoch."""
    uid: str


class Ownership:
    """Who claims what."""

    def __init__(self) -> None:
        self._claims: dict[Thing, dict[Key, Rank]] = defaultdict(dict)
        self._claimed: dict[Key, tuple[Rank, frozenset[Thing]]] = {}
        self._near: dict[Thing, set[Key]] = defaultdict(set)
        self._nearness: dict[Key, Thing] = {}
        self._held: dict[Thing, Key] = {}
        self._waiting: dict[Key, set[Key]] = defaultdict(set)

    def owner(self, thing: Thing) -> Key | None:
        """Return who owns a thing."""
        claims = self._claims.get(thing)
        return min(claims, key=lambda key: claims[key]) if claims else None

    def claim(self, key: Key, rank: Rank, things: frozenset[Thing]) -> frozenset[Key]:
        """Let a resource claim these things and no others; return those whose owner is another one now."""
        known, before = self._claimed.get(key), self.claimed(key)
        if known == (rank, things) or (known is None and not things):
            return frozenset()
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
        self._leave(key)
        known = self._claimed.get(key)
        return self.claim(key, known[0], frozenset()) if known is not None else frozenset()

    def rivals(self, key: Key, things: frozenset[Thing]) -> Mapping[Thing, Key]:
        """Return which of the things another resource owns, and which resource that is."""
        owners = ((thing, self.owner(thing)) for thing in things)
        return {thing: owner for thing, owner in owners if owner is not None and owner != key}

    def claimed(self, key: Key) -> frozenset[Thing]:
        """Return what a resource claims, whether it owns it or not."""
        known = self._claimed.get(key)
        return known[1] if known is not None else frozenset()

    def own(self, key: Key) -> frozenset[Thing]:
        """Return what a resource owns of what it claims."""
        return frozenset(thing for thing in self.claimed(key) if self.owner(thing) == key)

    def crowded(self, key: Key, place: Thing) -> bool:
        """Put a resource among those at a place, and tell whether it is not the only one there."""
        if self._nearness.get(key) != place:
            self._leave(key)
            self._nearness[key] = place
            self._near[place].add(key)
        return len(self._near[place]) > 1

    def hold(self, key: Key) -> bool:
        """Let a resource write to what it owns; False where another one's write may be on its way still."""
        things = self.own(key)
        holder = next((held for thing in things if (held := self._held.get(thing, key)) != key), None)
        if holder is not None:
            self._waiting[holder].add(key)
            return False
        self._held.update(dict.fromkeys(things, key))
        return True

    def let_go(self, key: Key) -> frozenset[Key]:
        """Tell that nothing of a resource is on its way any more; return those who waited for that."""
        for thing in [thing for thing, holder in self._held.items() if holder == key]:
            del self._held[thing]
        return frozenset(self._waiting.pop(key, ()))

    def _leave(self, key: Key) -> None:
        place = self._nearness.pop(key, None)
        if place is not None:
            self._near[place].discard(key)
            if not self._near[place]:
                del self._near[place]
