"""One owner for each remote thing: two resources that manage the same one would correct each other for ever.

Every resource claims what it manages, by the remote's ids and the place of the API, so that it does not matter through
which namespace or connection it is reached. Anybody may claim anything, so a claim counts only once its own connection has
opened the thing (`Standing`): who has no key for it takes it from nobody. Of those that hold it the oldest one owns it: by
creation time, then by uid, which every process works out alike. The others write nothing and name the owner; when it goes or
manages something else, they are told. One that is being deleted owns until it has put back what it found.

Before anybody has opened a thing, the oldest of those that have just asked goes first, for a moment (`PATIENCE`): long enough
for a first look where nothing is wrong, and too short to keep anybody out.

A new owner may be found while the old one's write is on its way. So whoever writes holds the things until its look ends,
and whoever comes meanwhile is told afterwards.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from setpoint.reconcile.ports import Key


class Thing(NamedTuple):
    """Something at a remote API that can be managed."""

    place: str
    """Where the API is."""
    id: Hashable
    """What it is there."""


PATIENCE = 3.0
"""Seconds for which a claim that was not tried yet goes before those of younger resources."""


class Standing(IntEnum):
    """What a claim is worth; a smaller one goes before a greater one, whatever their ranks."""

    HELD = 0
    """The thing was read or written through the resource's own connection, and that has not been refused since."""
    ASKED = 1
    """Nobody has tried yet."""
    VOID = 2
    """It was tried in vain, or was not tried for too long."""


class Rank(NamedTuple):
    """The order of claims of one standing; the smallest one wins."""

    created: float
    """Seconds since the epoch."""
    uid: str


class Contest(NamedTuple):
    """What stands against a claim."""

    rivals: Mapping[Thing, Key]
    """Who goes before it, of those things where anybody does."""
    settled: bool = True
    """The rivals hold what they claim; where not, it is known in a moment."""
    proof: bool = False
    """Somebody younger holds a part of it, so that it has to be opened before it is owned."""


@dataclass(frozen=True, slots=True)
class _Claim:
    rank: Rank
    standing: Standing
    since: float
    things: frozenset[Thing]

    @property
    def order(self) -> tuple[Standing, Rank]:
        return self.standing, self.rank


class Ownership:
    """Who claims what; times are monotonic seconds."""

    def __init__(self) -> None:
        self._claims: dict[Thing, set[Key]] = defaultdict(set)
        self._claimed: dict[Key, _Claim] = {}
        self._near: dict[Thing, set[Key]] = defaultdict(set)
        self._nearness: dict[Key, Thing] = {}
        self._held: dict[Thing, Key] = {}
        self._waiting: dict[Key, set[Key]] = defaultdict(set)

    def owner(self, thing: Thing) -> Key | None:
        """Return who owns a thing."""
        claims = self._claims.get(thing)
        return min(claims, key=lambda key: self._claimed[key].order) if claims else None

    def claim(
        self, key: Key, rank: Rank, things: frozenset[Thing], standing: Standing = Standing.HELD, now: float = 0.0
    ) -> frozenset[Key]:
        """Let a resource claim these things and no others; return those whose owner is another one now."""
        known, before = self._claimed.get(key), self.claimed(key)
        same = known is not None and (known.rank, known.things, known.standing) == (rank, things, standing)
        if same or (known is None and not things):
            return frozenset()
        concerned = before | things
        owners = {thing: self.owner(thing) for thing in concerned}
        for thing in before - things:
            self._claims[thing].discard(key)
            if not self._claims[thing]:
                del self._claims[thing]
        for thing in things:
            self._claims[thing].add(key)
        if things:
            self._claimed[key] = _Claim(rank, standing, now, things)
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
        return self.claim(key, known.rank, frozenset()) if known is not None else frozenset()

    def contest(self, key: Key, now: float) -> Contest:
        """Return what stands against what a resource claims."""
        mine = self._claimed.get(key)
        if mine is None:
            return Contest({})
        rivals: dict[Thing, Key] = {}
        settled, proof = True, False
        for thing in mine.things:
            for other in self._claims[thing] - {key}:
                self._expire(other, now)
            ahead = [other for other in self._claims[thing] - {key} if self._is_ahead(self._claimed[other], mine)]
            if ahead:
                first = min(ahead, key=lambda other: self._claimed[other].order)
                rivals[thing] = first
                settled = settled and self._claimed[first].standing is Standing.HELD
            elif mine.standing is not Standing.HELD:
                proof = proof or any(self._claimed[other].standing is Standing.HELD for other in self._claims[thing])
        return Contest(rivals, settled=settled, proof=proof)

    @staticmethod
    def _is_ahead(other: _Claim, mine: _Claim) -> bool:
        """Tell whether another claim goes before one, even if that turns out to be held."""
        if other.standing > mine.standing or other.standing is Standing.VOID:
            return False
        return other.rank < mine.rank or mine.standing is Standing.VOID

    def _expire(self, key: Key, now: float) -> None:
        known = self._claimed[key]
        if known.standing is Standing.ASKED and now - known.since >= PATIENCE:
            self._claimed[key] = replace(known, standing=Standing.VOID)

    def claimed(self, key: Key) -> frozenset[Thing]:
        """Return what a resource claims, whether it owns it or not."""
        known = self._claimed.get(key)
        return known.things if known is not None else frozenset()

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
