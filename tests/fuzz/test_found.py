"""Answers that once led astray, each as small as it can be."""

import json
from typing import Any

import pytest

from tests.fuzz.garbling import MARK, Garbled
from tests.fuzz.stage import SECRET
from tests.fuzz.test_remote_answers import SPECS, Story
from tests.simulators.bifrost.specs import GLOBAL_ROW
from tests.virtual_time import run

ROW = {"id": GLOBAL_ROW, "model_name": "gpt-4o", "provider": "openai", "scope": "global"}
BUDGET = {"id": "b", "max_limit": 150.5, "reset_duration": "1d"}
LIMITS = {
    "budgets": [BUDGET, {"id": "c", "max_limit": 3, "reset_duration": "1h"}],
    "rate_limit": {"request_max_limit": 1000, "request_reset_duration": "1m"},
}
MEANT = Garbled()


def body(value: Any) -> Garbled:
    """Return an answer with this body."""
    return Garbled(body=json.dumps(value).encode())


def rows(**changes: Any) -> Garbled:
    """Return a list of one row."""
    row = {**ROW, "budgets": [BUDGET], **changes}
    return body({"model_configs": [{name: value for name, value in row.items() if value != ""}]})


def row(**changes: Any) -> Garbled:
    """Return the answer to a change of the row."""
    return body({"model_config": {**ROW, **changes}})


def deployments(**changes: Any) -> Garbled:
    """Return a list of one deployment."""
    return body({"deployments": [{"id": "d-1", "name": "one", "autoscaling_settings": {}, **changes}]})


FOUND: dict[str, tuple[str, list[Garbled]]] = {
    "a change is answered with another row that has the limits": (
        "budgets and rate limit",
        [MEANT, row(id="other", **LIMITS)],
    ),
    "a gateway without scopes makes a row for everybody": (
        "new row",
        [
            body({"model_configs": []}),
            body("unknown"),
            body(
                {"model_config": {"id": "x", "model_name": "new", "budget": BUDGET, "rate_limit": LIMITS["rate_limit"]}}
            ),
        ],
    ),
    "a limit that no floating-point number holds": ("no limits", [rows(budgets=[{**BUDGET, "max_limit": 10**400}])]),
    "a usage that no floating-point number holds": (
        "no limits",
        [rows(budgets=[{**BUDGET, "current_usage": 10**400}])],
    ),
    "a row without an id is still a row": ("no limits", [rows(id="")]),
    "an id as long as a page": ("budget", [rows(id="x" * 5000, rate_limit={})]),
    "an id with control characters": ("budget", [rows(id="a\x1b[31m", rate_limit={})]),
    "a duration as long as a page": ("no limits", [MEANT, row(budgets=[{**BUDGET, "reset_duration": "1" * 2000}])]),
    "a duration that is an object": (
        "budgets and rate limit",
        [MEANT, row(rate_limit={"request_max_limit": 1000, "request_reset_duration": {"note": MARK}})],
    ),
    "a provider that is an object": ("rate limit", [rows(provider={"note": MARK})]),
    "a release that is the credential": ("budgets and rate limit", [body([]), body(SECRET)]),
    "a row that is named by the credential": ("budgets and rate limit", [rows(id=SECRET)]),
    "a deployment that is named by the credential": ("production", [MEANT, MEANT, deployments(name=SECRET)] * 2),
    "a deployment whose name is an object": ("production", [MEANT, MEANT, deployments(name={"note": MARK})] * 2),
    "a deployment whose id has control characters": (
        "production",
        [MEANT, MEANT, deployments(id="a\x1b[31m", is_production=True)],
    ),
}


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_stays_mended(found: str) -> None:
    name, coming = FOUND[found]
    kind, spec, generation = SPECS[name]
    run(Story(kind, spec, generation, list(coming)).play())
