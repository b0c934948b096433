"""Who owns what, for any sequence of claims."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.reconcile.ownership import Ownership, Rank
from setpoint.reconcile.ports import Key

KEYS = [Key("Kind", "ns", name) for name in "abcd"]
RANKS = {key: Rank(float(number // 2), key.name) for number, key in enumerate(reversed(KEYS))}
THINGS = st.frozensets(st.sampled_from("xyz"), max_size=3)
MOVES = st.lists(st.tuples(st.sampled_from(KEYS), THINGS | st.none()), max_size=20)


def owners(ownership: Ownership) -> dict[str, Key | None]:
    """Return who owns each thing."""
    return {thing: ownership.owner(thing) for thing in "xyz"}


@given(MOVES)
def test_the_claim_of_the_smallest_rank_owns_and_whoever_is_concerned_is_told(
    moves: list[tuple[Key, frozenset[str] | None]],
) -> None:
    ownership = Ownership()
    claims: dict[Key, frozenset[str]] = {}
    for key, things in moves:
        before = owners(ownership)
        if things is None:
            claims.pop(key, None)
            told = ownership.release(key)
        else:
            claims[key] = things
            told = ownership.claim(key, RANKS[key], things)
        for thing in "xyz":
            claimants = [other for other, claimed in claims.items() if thing in claimed]
            owner = min(claimants, key=lambda other: RANKS[other], default=None)
            assert ownership.owner(thing) == owner
            if owner != before[thing]:
                assert set(claimants) - {key} <= told
        for other, claimed in claims.items():
            rival = ownership.rival(other, claimed)
            assert (rival is None) == all(ownership.owner(thing) == other for thing in claimed)


def test_a_claim_that_is_repeated_tells_nobody() -> None:
    ownership = Ownership()
    ownership.claim(KEYS[0], RANKS[KEYS[0]], frozenset("x"))
    ownership.claim(KEYS[1], RANKS[KEYS[1]], frozenset("x"))
    assert ownership.claim(KEYS[0], RANKS[KEYS[0]], frozenset("x")) == frozenset()
    assert ownership.release(KEYS[2]) == frozenset()
