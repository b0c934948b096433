"""Who owns what, for any sequence of claims."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.reconcile.ownership import Ownership, Rank, Thing
from setpoint.reconcile.ports import Key

KEYS = [Key("Kind", "ns", name) for name in "abcd"]
RANKS = {key: Rank(float(number // 2), key.name) for number, key in enumerate(reversed(KEYS))}
ALL = [Thing("https://api", name) for name in "xyz"]
X = frozenset(ALL[:1])
THINGS = st.frozensets(st.sampled_from(ALL), max_size=3)
MOVES = st.lists(st.tuples(st.sampled_from(KEYS), THINGS | st.none()), max_size=20)


def owners(ownership: Ownership) -> dict[Thing, Key | None]:
    """Return who owns each thing."""
    return {thing: ownership.owner(thing) for thing in ALL}


@given(MOVES)
def test_the_claim_of_the_smallest_rank_owns_and_whoever_is_concerned_is_told(
    moves: list[tuple[Key, frozenset[Thing] | None]],
) -> None:
    ownership = Ownership()
    claims: dict[Key, frozenset[Thing]] = {}
    for key, things in moves:
        before = owners(ownership)
        if things is None:
            claims.pop(key, None)
            told = ownership.release(key)
        else:
            claims[key] = things
            told = ownership.claim(key, RANKS[key], things)
        for thing in ALL:
            claimants = [other for other, claimed in claims.items() if thing in claimed]
            owner = min(claimants, key=lambda other: RANKS[other], default=None)
            assert ownership.owner(thing) == owner
            if owner != before[thing]:
                assert set(claimants) - {key} <= told
        for other, claimed in claims.items():
            lost = {thing: owner for thing in claimed if (owner := ownership.owner(thing)) not in {None, other}}
            assert ownership.contest(other, 0.0).rivals == lost
            assert ownership.own(other) == claimed - set(lost)


def test_a_claim_that_is_repeated_tells_nobody() -> None:
    ownership = Ownership()
    ownership.claim(KEYS[0], RANKS[KEYS[0]], X)
    ownership.claim(KEYS[1], RANKS[KEYS[1]], X)
    assert ownership.claim(KEYS[0], RANKS[KEYS[0]], X) == frozenset()
    assert ownership.release(KEYS[2]) == frozenset()


def test_who_comes_while_anothers_write_is_on_its_way_is_told_when_it_ended() -> None:
    first, second, third = KEYS[:3]
    ownership = Ownership()
    ownership.claim(first, Rank(1, "a"), X)
    assert ownership.hold(first)
    assert ownership.hold(first), "a second write of the same look"
    ownership.release(first)
    for key in (second, third):
        ownership.claim(key, Rank(2, key.name), X)
    assert not ownership.hold(second)
    assert ownership.let_go(first) == {second}
    assert ownership.hold(second)
    assert ownership.let_go(second) == frozenset()


def test_what_a_resource_does_not_own_it_does_not_hold() -> None:
    first, second, _, _ = KEYS
    ownership = Ownership()
    ownership.claim(first, Rank(1, "a"), X)
    ownership.claim(second, Rank(2, "b"), frozenset(ALL[:2]))
    assert ownership.hold(second)
    assert ownership.hold(first)


def test_two_at_one_place_are_a_crowd_until_one_goes() -> None:
    first, second, _, _ = KEYS
    ownership = Ownership()
    assert not ownership.crowded(first, ALL[0])
    assert not ownership.crowded(second, ALL[1])
    assert ownership.crowded(second, ALL[0])
    assert ownership.crowded(first, ALL[0])
    ownership.release(second)
    assert not ownership.crowded(first, ALL[0])
