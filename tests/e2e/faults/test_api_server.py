"""Whatever the API server does to the operator: each kind ends at its spec, and what is gone is not enforced."""

import re
from collections import Counter

import pytest

from tests.e2e.faults import table
from tests.e2e.faults.ground import KINDS, NAME, PLURALS, Ground
from tests.e2e.faults.proxy import Rule, Seen, refusal, watch_error
from tests.waiting import eventually

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("status", [409, 429, 500])
def test_status_writes_that_are_refused_are_made_again(here: Ground, status: int) -> None:
    here.kube.rules += [
        Rule(
            f"{kind} {status}",
            "PATCH",
            re.compile(f"/{plural}/[^/]+/status"),
            "before",
            answer=refusal(status, f"answered {status}"),
            count=2,
        )
        for kind, plural in PLURALS.items()
    ]
    here.apply_all(7)
    here.settled(7)
    assert len(here.kube.fired) == 6
    here.held(f"API server answers {status} to status writes", bound=2)


def test_the_api_server_is_restarted(here: Ground) -> None:
    here.apply_all(7)
    here.settled(7)
    here.plane.crash_api_server()
    here.plane.start_api_server()
    here.apply_all(8)
    here.settled(8)
    here.held("API server restarted", bound=3)


def test_what_is_edited_while_the_watch_is_cut_is_written(here: Ground) -> None:
    here.apply_all(7)
    here.settled(7)
    here.kube.watches = False
    here.apply_all(8)
    here.kube.watches = True
    here.settled(8)
    here.held("watch cut while the spec is edited", bound=3)


@pytest.mark.parametrize(
    ("code", "count", "fault"),
    [(410, 5, "410 Gone at a watch"), (500, 1, "error at a watch that ends the process")],
)
def test_a_watch_that_reports_an_error_is_begun_anew(here: Ground, code: int, count: int, fault: str) -> None:
    """410 Gone, as after a compaction of etcd, is listed anew; after any other error another process begins."""
    here.apply_all(7)
    here.settled(7)
    watch = re.compile("watch=true", re.IGNORECASE)
    here.kube.rules.append(
        Rule(str(code), "GET", watch, "before", answer=watch_error(code, "as the test wants"), count=count)
    )
    here.kube.watches = False
    here.apply_all(8)
    here.kube.watches = True
    here.settled(8)
    assert str(code) in here.kube.fired
    here.held(fault, bound=3)


def test_credentials_that_are_refused_for_a_while_end_nothing(here: Ground) -> None:
    """401, as from an API server that has just started, or whose authenticators cannot be reached.

    kopf's own session was closed at each of them, under watches whose answer had just begun: they waited in vain for 70 s, or
    ended the process with `RuntimeError: Connection closed.`
    """
    here.apply_all(7)
    here.settled(7)
    operator = here.operator
    everything = re.compile(f"/({'|'.join(PLURALS.values())}|connections|clusterconnections)")
    here.kube.rules.append(Rule("401", "GET", everything, "before", answer=refusal(401, "Unauthorized"), count=12))
    here.kube.watches = False
    here.apply_all(8)
    here.kube.watches = True
    here.settled(8)
    assert here.kube.fired == ["401"] * 12
    assert here.operator is operator, "it went on"
    here.held("API server answers 401 to lists, watches and reads", bound=3)


def test_a_watch_that_is_refused_leaves_the_others_alone(here: Ground) -> None:
    """Each of the others is begun once after the cut, whatever one of them is answered meanwhile."""
    here.apply_all(7)
    here.settled(7)
    opened: Counter[str] = Counter()
    inspect = here.kube.inspect

    def count(seen: Seen) -> None:
        inspect(seen)
        if "watch=true" in seen.path:
            opened[seen.path.partition("?")[0].rpartition("/")[2]] += 1

    here.kube.watches = False
    here.kube.inspect = count
    refused = re.compile("/deploymentautoscalings.*watch=true")
    here.kube.rules.append(Rule("401", "GET", refused, "before", answer=refusal(401, "Unauthorized"), count=3))
    here.apply_all(8)
    here.kube.watches = True
    here.settled(8)
    assert here.kube.fired == ["401"] * 3
    assert opened == dict.fromkeys([*PLURALS.values(), "connections", "clusterconnections"], 1)


@pytest.mark.parametrize("kind", PLURALS)
def test_what_is_deleted_while_the_watch_is_cut_is_not_enforced(here: Ground, kind: str) -> None:
    here.apply_all(7)
    here.settled(7)
    here.kube.watches = False
    here.plane.kubectl("delete", kind, NAME, "-n", here.namespace)
    here.kube.watches = True
    # A sign that the operator watches again.
    others = [other for other in PLURALS if other != kind]
    for other in others:
        here.apply(other, 8)
    here.wait(lambda: all(here.synced(other, 8) for other in others))
    before = here.writes(kind)
    if kind == "mcg":
        rows = here.bifrost.find("gpt-4o", "openai")
        here.bifrost.delete_row(rows[0]["id"])
    for other in others:
        here.request(other, NAME, "look")
        here.handled(other, NAME, "look")
    assert here.writes(kind) == before
    table.held("deleted while the watch is cut", KINDS[kind], bound=1)


def test_a_successor_that_came_while_the_watch_was_cut_has_its_own_way(here: Ground) -> None:
    here.apply_all(7)
    here.settled(7)
    here.kube.watches = False
    for kind in PLURALS:
        here.plane.kubectl("delete", kind, NAME, "-n", here.namespace)
    here.apply_all(9)
    here.kube.watches = True
    here.settled(9)
    eventually(lambda: all(here.remote(kind) == 9 for kind in PLURALS))
    here.held("replaced by one of the same name while the watch is cut", bound=3)
