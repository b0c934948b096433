"""Whatever a remote answers to a write, and whatever becomes of the key: each kind ends at its spec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.faults import table
from tests.e2e.faults.ground import KINDS, NAME, PLURALS, SENTINEL, USER, WRITES, Ground
from tests.simulators.faults import DONE_UNCLEARLY, ELSEWHERE, Delay, Drop, Fault, Huge, Respond, Truncate

pytestmark = pytest.mark.cluster

MESSAGE = {"message": "no", "error": {"message": "no"}}
OTHER = "another"
NESTED = "[" * 20_000 + "]" * 20_000


@dataclass(frozen=True)
class Case:
    """A fault, and how it is told where it does not pass by itself."""

    name: str
    fault: Fault
    reason: str | None = None
    bound: int = 3


def answer(status: int, body: Any = MESSAGE, *, applied: bool = False, **headers: str) -> Respond:
    """Return an answer in the remote's place."""
    return Respond(status=status, body=body, applied=applied, headers=headers)


CASES = (
    Case("400", answer(400), "InvalidSettings"),
    Case("401", answer(401), "AuthenticationFailed"),
    Case("403", answer(403), "Forbidden"),
    Case("404", answer(404)),
    Case("409", answer(409)),
    Case("422", answer(422), "InvalidSettings"),
    Case("429 with a time", answer(429, {"error": "slow down", "retry_after": 1})),
    Case("429 without one", answer(429)),
    Case("500", answer(500, {})),
    Case("500 after the write was applied", answer(500, {}, applied=True)),
    Case("502 with HTML", answer(502, "<html>bad gateway</html>")),
    Case("503", answer(503)),
    Case("no answer in time", Delay(seconds=4)),
    Case("no answer in time, and the write was applied", Delay(seconds=4, applied=True)),
    Case("connection reset", Drop()),
    Case("connection reset after the write was applied", Drop(applied=True)),
    Case("half an answer", Truncate()),
    Case("20 MB of an answer", Huge(size=20_000_000, applied=True)),
    Case("deeply nested JSON", answer(200, NESTED, applied=True)),
    Case("wrong types", answer(200, {"status": 7, "message": [], "model_config": 3}, applied=True)),
    *(Case(f"done, and {name} in the answer", fault) for name, fault in DONE_UNCLEARLY.items() if name != "half"),
    *(Case(f"{name} instead of the API's answer", fault, "UnexpectedAnswer") for name, fault in ELSEWHERE.items()),
)


def test_each_kind_ends_at_its_spec_whatever_a_write_is_answered(here: Ground) -> None:
    """Case by case with the same three resources, which have to live with all of it."""
    value = 10
    here.apply_all(value)
    here.settled(value)
    for number, case in enumerate(CASES):
        value += 1
        before = {kind: here.writes(kind) for kind in PLURALS}
        for kind, (method, path) in WRITES.items():
            remote = here.bifrost if kind == "mcg" else here.baseten
            remote.inject(case.fault, method=method, path=path)
        here.apply_all(value)
        _recover(here, value, case, f"{number}")
        assert here.lies == [], case.name
        for kind in PLURALS:
            assert here.writes(kind) - before[kind] <= case.bound, case.name
            table.held(case.name, KINDS[kind], bound=case.bound)
        here.baseten.clear_faults()
        here.bifrost.clear_faults()


def _recover(here: Ground, value: int, case: Case, request: str) -> None:
    """Wait until each kind has its value; what does not pass by itself is told first, and asked for again then."""

    def reason(kind: str) -> str:
        return str(here.condition(kind, NAME).get("reason"))

    try:
        if case.reason is not None or case.name == "404":
            # A gateway's 404 to a change means that the row went a moment ago, which passes by itself.
            here.wait(lambda: all(reason(kind) in {case.reason, "TargetNotFound", "Synced"} for kind in PLURALS))
            for kind in PLURALS:
                here.request(kind, NAME, request)
        here.settled(value)
    except AssertionError:
        said = {kind: (here.condition(kind, NAME), here.remote(kind)) for kind in PLURALS}
        raise AssertionError(f"{case.name}: {said}") from None


def missing(here: Ground) -> None:
    """Delete the Secrets."""
    here.plane.kubectl("delete", "secret", "baseten", "bifrost", "-n", here.namespace)


def emptied(here: Ground) -> None:
    """Leave nothing in the Secrets."""
    here.plane.apply(*here.secrets("", ""))


def rotated(here: Ground) -> None:
    """Give the remotes another key and password than the Secrets have."""
    here.baseten.add_key(OTHER)
    here.baseten.revoke_key(SENTINEL)
    here.bifrost.set_auth("basic", username=USER, password=OTHER)


@pytest.mark.parametrize("trouble", [missing, emptied, rotated])
def test_each_kind_ends_at_its_spec_whatever_becomes_of_the_secret(
    here: Ground, trouble: Callable[[Ground], None]
) -> None:
    here.apply_all(10)
    here.settled(10)
    trouble(here)
    # What is kept of it is kept for a minute; to be asked for is to read it again.
    for kind in KINDS:
        here.apply(kind, 11)
        here.request(kind, NAME, "now")
    here.wait(lambda: all(here.condition(kind, NAME).get("status") == "False" for kind in KINDS))
    here.plane.apply(*(here.secrets(OTHER, OTHER) if trouble is rotated else here.secrets()))
    for kind in KINDS:
        here.request(kind, NAME, "again")
    here.settled(11)
    here.held(f"Secret {trouble.__name__}", bound=5)
