"""Every rule of ModelConfigGovernance on a real API server: what passes, what is refused, and what a person reads."""

import json
from typing import Any

import pytest

from tests.controlplane.plane import ControlPlane
from tests.integration.manifests import MISSING, Object, attempt, changed, manifest

pytestmark = pytest.mark.cluster

KIND = "ModelConfigGovernance"
LARGEST = 9_223_372_036_854_775_807
DAY = {"maxLimit": 10, "resetDuration": "1d"}
MCG: Object = {"modelName": "gpt-4o", "provider": "openai", "budget": DAY}
RATE: Object = {"modelName": "gpt-4o", "rateLimit": {"requestMaxLimit": 10, "requestResetDuration": "1m"}}

DURATION = "a duration is a whole number and one of s, m (minutes), h, d, w, M (30 days) and Y, such as 1h or 1M"
BUDGET_DURATION = (
    "a budget's duration is a whole number and one of s, m (minutes), h, d, w, M (30 days), Q (quarters) and Y, "
    "such as 1h or 1M"
)
TOO_LONG = "a window must not be longer than 292 years, which is the most that the gateway can count"
BLANK = "a name must not begin or end with a blank or an invisible character"
QUARTER: Object = {"modelName": "m", "budget": {"maxLimit": 1, "resetDuration": "1Q"}}
APRIL: Object = changed(QUARTER, "budget.resetConfig", {"quarterStartMonth": 4})
SCOPE = "scopeId must be given with scope virtualKey or user, and only then"
EMPTY = "at least one of budget, budgets and rateLimit must be given"
POSITIVE = "maxLimit must be greater than 0 US dollars"
TOGETHER = "MaxLimit and {0}ResetDuration must be given together"


def windows(count: int) -> Object:
    """Return a spec with so many budgets."""
    return {**MCG, "budget": MISSING, "budgets": [{"maxLimit": 1, "resetDuration": f"{n + 1}d"} for n in range(count)]}


def without_missing(spec: Object) -> Object:
    """Return a spec without the fields that are MISSING."""
    return {name: value for name, value in spec.items() if value is not MISSING}


def rate(field: str, value: Any) -> Object:
    """Return a spec with a token limit, one of whose fields is this."""
    limit = {"tokenMaxLimit": 5, "tokenResetDuration": "1h", field: value}
    return {**RATE, "rateLimit": without_missing(limit)}


CASES: list[tuple[Object, Object, str]] = [
    (MCG, changed(MCG, "modelName", MISSING), "spec.modelName: Required value"),
    ({**MCG, "modelName": "*"}, {**MCG, "modelName": ""}, "spec.modelName in body should be at least 1 chars"),
    ({**MCG, "modelConfigId": "0b6f-a_Z9"}, {**MCG, "modelConfigId": "a/b"}, "an id consists of letters"),
    ({**MCG, "scope": "user", "scopeId": "u"}, {**MCG, "scope": "user"}, SCOPE),
    ({**MCG, "scope": "virtualKey", "scopeId": "k"}, {**MCG, "scope": "virtualKey"}, SCOPE),
    ({**MCG, "scope": "global"}, {**MCG, "scopeId": "k"}, SCOPE),
    ({**MCG, "scope": "global"}, {**MCG, "scope": "team"}, 'supported values: "global", "virtualKey", "user"'),
    (MCG, {**MCG, "budgets": [DAY]}, "only one of budget and budgets may be set in spec"),
    (MCG, {**MCG, "budgets": []}, "only one of budget and budgets may be set in spec"),
    (without_missing({**MCG, "budget": MISSING, "budgets": []}), changed(MCG, "budget", MISSING), EMPTY),
    ({"modelName": "m", "rateLimit": {}}, {"modelName": "m"}, EMPTY),
    ({"modelName": "m", "budget": DAY, "rateLimit": None}, {"modelName": "m", "budget": None}, EMPTY),
    *(
        (changed(MCG, "budget.maxLimit", good), changed(MCG, "budget.maxLimit", bad), message)
        for good, bad, message in [
            (10.5, 0, POSITIVE),
            (0.001, -1, POSITIVE),
            (1e9, "10", "must be of type number"),
            (1, MISSING, "spec.budget.maxLimit: Required value"),
        ]
    ),
    *(
        (changed(MCG, "budget.resetDuration", good), changed(MCG, "budget.resetDuration", bad), BUDGET_DURATION)
        for good, bad in [
            ("1m", "1h30m"),
            ("1M", "0h"),
            ("1Y", "monthly"),
            ("30s", "01d"),
            ("2w", ""),
            ("12h", "1D"),
            ("1d", "-1d"),
            ("1d", "1.5d"),
        ]
    ),
    (without_missing(windows(8)), without_missing(windows(9)), "must have at most 8 items"),
    (without_missing(windows(1)), {"modelName": "m", "budgets": [DAY, DAY]}, "Duplicate value"),
    (RATE, rate("tokenResetDuration", MISSING), "token" + TOGETHER.format("token")),
    (RATE, rate("tokenMaxLimit", MISSING), "token" + TOGETHER.format("token")),
    (RATE, {**RATE, "rateLimit": {"requestMaxLimit": 10}}, "request" + TOGETHER.format("request")),
    (
        {**RATE, "rateLimit": {"tokenMaxLimit": None}},
        {**RATE, "rateLimit": {"tokenMaxLimit": None, "tokenResetDuration": "1h"}},
        "token" + TOGETHER.format("token"),
    ),
    (rate("tokenMaxLimit", 1), rate("tokenMaxLimit", 0), "should be greater than or equal to 1"),
    (rate("tokenMaxLimit", LARGEST), rate("tokenMaxLimit", LARGEST + 1), "must be of type integer"),
    (rate("tokenMaxLimit", 10), rate("tokenMaxLimit", 10.5), "must be of type integer"),
    (rate("tokenResetDuration", "1w"), rate("tokenResetDuration", "weekly"), DURATION),
    (rate("tokenResetDuration", "1Y"), rate("tokenResetDuration", "1Q"), DURATION),
    *(
        (changed(MCG, "budget.resetDuration", good), changed(MCG, "budget.resetDuration", bad), TOO_LONG)
        for good, bad in [
            ("9223372036s", "9223372037s"),
            ("153722867m", "153722868m"),
            ("2562047h", "2562048h"),
            ("106751d", "106752d"),
            ("15250w", "15251w"),
            ("3558M", "3559M"),
            ("1186Q", "1187Q"),
            ("292Y", "293Y"),
            ("292Y", "999999999999999Y"),
        ]
    ),
    (rate("tokenResetDuration", "292Y"), rate("tokenResetDuration", "293Y"), TOO_LONG),
    *(
        ({**MCG, "modelName": good}, {**MCG, "modelName": bad}, BLANK)
        for good, bad in [
            ("*", " "),
            ("g", "gpt-4o "),
            ("gpt 4o", " gpt-4o"),
            ("日本", "gpt-4o\u200b"),
            ("gpt\u200b4o", "\u00a0gpt-4o"),
            ("gpt-4o", "gpt-4o\n"),
            ("gpt-4o", "gpt-4o\t"),
        ]
    ),
    ({**MCG, "provider": "OpenAI"}, {**MCG, "provider": "openai "}, BLANK),
    ({**MCG, "scope": "user", "scopeId": "u"}, {**MCG, "scope": "user", "scopeId": " u"}, BLANK),
    (QUARTER, changed(APRIL, "budget.resetDuration", "1M"), "resetConfig is for windows of quarters only, such as 1Q"),
    (APRIL, changed(APRIL, "budget.resetConfig", {}), "quarterStartMonth must be given in resetConfig"),
    (
        changed(APRIL, "budget.resetConfig.quarterStartMonth", 1),
        changed(APRIL, "budget.resetConfig.quarterStartMonth", 0),
        "should be greater than or equal to 1",
    ),
    (
        changed(APRIL, "budget.resetConfig.quarterStartMonth", 12),
        changed(APRIL, "budget.resetConfig.quarterStartMonth", 13),
        "should be less than or equal to 12",
    ),
    ({**MCG, "calendarAligned": False}, {**MCG, "calendarAligned": "yes"}, "must be of type boolean"),
    ({**MCG, "calendarAligned": True}, {"modelName": "m", "calendarAligned": True}, EMPTY),
]


@pytest.mark.parametrize(("good", "bad", "message"), CASES)
def test_rule_accepts_and_refuses(served: ControlPlane, good: Object, bad: Object, message: str) -> None:
    accepted, problem, _ = attempt(served, KIND, good)
    assert accepted, problem
    accepted, problem, _ = attempt(served, KIND, bad)
    assert not accepted
    assert message in problem


def test_defaults_are_filled_in(served: ControlPlane) -> None:
    _, _, found = attempt(served, KIND, MCG)
    assert found["spec"] == MCG | {
        "connectionRef": {"name": "bifrost"},
        "scope": "global",
        "interval": "5m",
        "mode": "Enforce",
        "suspend": False,
        "deletionPolicy": "Orphan",
    }
    assert found["status"] == {"observedGeneration": -1}


def test_numbers_are_kept_as_they_are(served: ControlPlane) -> None:
    _, _, found = attempt(served, KIND, rate("tokenMaxLimit", LARGEST))
    assert found["spec"]["rateLimit"]["tokenMaxLimit"] == LARGEST
    _, _, found = attempt(served, KIND, changed(MCG, "budget.maxLimit", 10.5))
    assert found["spec"]["budget"]["maxLimit"] == 10.5


@pytest.mark.parametrize(
    "change", [{"modelName": "m"}, {"provider": "p"}, {"provider": None}, {"scope": "user", "scopeId": "u"}]
)
def test_the_identity_is_immutable(served: ControlPlane, namespace: str, change: Object) -> None:
    served.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest(KIND, MCG)))
    patch = json.dumps({"spec": change})
    done = served.kubectl("patch", "mcg", "case", "-n", namespace, "--type=merge", "-p", patch, check=False)
    assert "modelName, provider, scope and scopeId are immutable" in done.stderr


def test_an_identity_without_a_part_gets_none_later(served: ControlPlane, namespace: str) -> None:
    served.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest(KIND, RATE)))
    for change, allowed in (({"provider": "openai"}, False), ({"budget": DAY, "modelConfigId": "x"}, True)):
        patch = json.dumps({"spec": change})
        done = served.kubectl("patch", "mcg", "case", "-n", namespace, "--type=merge", "-p", patch, check=False)
        assert (done.returncode == 0) is allowed, done.stderr


def test_explain_tells_units_and_what_empty_means(served: ControlPlane) -> None:
    def told(path: str) -> str:
        return " ".join(served.kubectl("explain", path).stdout.split())

    tree = served.kubectl("explain", "mcg.spec", "--recursive").stdout
    for field in ("modelConfigId", "scopeId", "maxLimit", "requestResetDuration"):
        assert f"{field}\t" in tree
    assert "US dollars that may be spent in a window, greater than 0." in told("mcg.spec.budget.maxLimit")
    assert "[] removes them" in told("mcg.spec.budgets")
    assert "{} removes it" in told("mcg.spec.rateLimit")
    assert "M (30 days)" in told("mcg.spec.budget.resetDuration")
