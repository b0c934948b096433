"""What the plugin prints is shown by a terminal and never obeyed, whoever wrote it."""

import io
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from setpoint.kubectl import cli, objects, show
from setpoint.kubectl.objects import Cluster, Found, NotFound
from setpoint.resources import ChainAutoscaling, ClusterConnection, Connection, Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ATTACK = (
    "good\x1b[2J\x1b]0;owned\x07\x1b]8;;https://evil.example\x1b\\\x9b31m\r\x08\x7f\nReady\u2028\u2029"
    "\u202eevil\u202c\u2066\u200b\ufeff\u00ad\U000e0041"
)
FORBIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}


def hostile(status: str = "False", *, length: int = 1) -> list[Found]:
    """Return a resource, its connection and another one, with the attack wherever there is a text."""
    word = ATTACK * length
    conditions = [
        {"type": "Ready", "status": status, "reason": word, "message": word, "lastTransitionTime": word},
        {"type": "Stalled", "status": "True", "reason": word, "message": word},
    ]
    response = {"status": word, "message": word, "time": word}
    drift = [{"field": word, "desired": word, "observed": word, "chainlet": word}] * 500
    full = {"observedGeneration": 1, "conditions": conditions, "response": response, "drift": drift}
    metadata = {"name": word, "namespace": word, "generation": 1}
    ref = {"connectionRef": {"name": word}, "suspend": True}

    def one(model: type[Resource], spec: dict[str, Any]) -> Found:
        return Found(model, {"metadata": metadata, "spec": spec, "status": full})

    return [one(ChainAutoscaling, ref), one(Connection, {}), one(ClusterConnection, {})]


def rendered(found: list[Found]) -> str:
    out = io.StringIO()
    Console(file=out, soft_wrap=True, force_terminal=False).print(show.tree(found, NOW))
    return out.getvalue()


def assert_harmless(text: str, *, longest: int) -> None:
    for line in text.splitlines():
        assert len(line) <= longest
        assert not {char for char in line if unicodedata.category(char) in FORBIDDEN}


@pytest.mark.parametrize("status", ["True", "False", "Unknown", ATTACK], ids=["True", "False", "Unknown", "hostile"])
@pytest.mark.parametrize("length", [1, 50])
def test_no_text_of_a_resource_reaches_the_terminal_as_it_is(status: str, length: int) -> None:
    found = hostile(status, length=length)
    for view in (rendered(found), *("\n".join(show.explanation(one, NOW)) for one in found)):
        assert "good" in view, "what is harmless is shown"
        assert_harmless(view, longest=4 * 1024)
    assert len(show.explanation(found[0], NOW)) < 50
    lines = rendered(found).splitlines()
    assert len(lines) == len(found), "no line of its own for what only looks like one"


async def _nothing(self: Cluster, *_: Any, **__: Any) -> Any:
    raise NotFound(f"there is no {ATTACK} in any namespace")


@pytest.mark.parametrize("words", [["status"], ["explain", "x"], ["reconcile", "x"], ["suspend", "x"], ["resume", "x"]])
def test_nor_does_that_of_an_error(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Kube:
        namespace = "ml"

        async def aclose(self) -> None:
            """Have nothing to close."""

    async def connect(**_: Any) -> Kube:
        return Kube()

    monkeypatch.setattr("setpoint.kubectl.cli.api.connect", connect)
    monkeypatch.setattr(objects.Cluster, "find", _nothing)
    monkeypatch.setattr(objects.Cluster, "all", _nothing)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 1
    assert "there is no good" in done.output
    assert_harmless(done.output, longest=1024)


def test_what_is_in_order_is_shown_as_it_is() -> None:
    conditions = [{"type": "Ready", "status": "True", "reason": "Synced", "message": "größer als 3 → 5"}]
    body = {
        "metadata": {"name": "a", "namespace": "ml", "generation": 1},
        "spec": {},
        "status": {"observedGeneration": 1, "conditions": conditions},
    }
    told = show.explanation(Found(ChainAutoscaling, body), NOW)
    assert told[:2] == ["cas ml/a: Ready since ?, Synced", "Why: größer als 3 → 5"]
