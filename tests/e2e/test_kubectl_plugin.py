"""`kubectl setpoint`, run by kubectl as users run it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import GatewayStage, Stage

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

FREE = {"modelId": "m-greeter", "deployment": "d-free"}
PROGRAMS = Path(sys.executable).parent


class Plugin:
    """Runs the plugin in the namespace of a test."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._environment = {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "KUBECONFIG": str(stage.plane.kubeconfig),
            "HOME": "/nonexistent",
            "NO_COLOR": "1",
        }

    def run(self, *words: str, code: int = 0) -> str:
        """Return what a command says, on both outputs."""
        done = self._call("kubectl-setpoint", *words, "-n", self._stage.namespace)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def by_kubectl(self, *words: str) -> str:
        """Return what a command says when kubectl runs it."""
        kubectl = str(self._stage.plane._kubectl._command[0])
        done = self._call(kubectl, "setpoint", *words, "-n", self._stage.namespace)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def completions(self, *words: str) -> list[str]:
        """Return what kubectl would offer."""
        return self._call("kubectl_complete-setpoint", *words).stdout.split()

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = PROGRAMS / words[0]
        command = [str(program) if program.exists() else words[0], *words[1:]]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def plugin(stage: Stage) -> Plugin:
    return Plugin(stage)


def test_status_shows_resources_by_connection(stage: Stage, gateway: GatewayStage, plugin: Plugin) -> None:
    assert "there are no resources" in plugin.run("status")
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.das("lost", {"modelId": "nowhere", "environment": "production"}, {"maxReplica": 3})
    gateway.mcg("gpt", "gpt-4o", budget={"maxLimit": 5, "resetDuration": "1d"})
    stage.until("das", "free", "Synced")
    stage.until("das", "lost", "TargetNotFound")
    gateway.until("mcg", "gpt", "ConnectionNotFound")
    stage.until("spconn", "baseten", "Connected")
    shown = plugin.run("status", code=1).splitlines()
    place = stage.namespace
    heads = [number for number, line in enumerate(shown) if line.startswith(("Connection", "ClusterConnection"))]
    assert shown[heads[0]].startswith(f"Connection {place}/baseten  Ready Connected")
    assert f"das {place}/free  Ready Synced" in shown[1]
    assert f"das {place}/lost  not Ready TargetNotFound" in shown[2]
    assert shown[heads[1]] == f"Connection {place}/bifrost  is not there"
    assert "mcg" in shown[heads[1] + 1]
    assert plugin.by_kubectl("explain", "das/free").startswith(f"das {place}/free: Ready since")


def test_explain_says_why_and_what_to_do(stage: Stage, plugin: Plugin) -> None:
    stage.open()
    stage.das("lost", {"modelId": "nowhere", "environment": "production"}, {"maxReplica": 3})
    stage.until("das", "lost", "TargetNotFound")
    said = plugin.run("explain", "lost")
    assert "not Ready since" in said
    assert "Why: Baseten answered 404" in said or "nowhere" in said
    assert "What to do: Correct the ids or names" in said
    assert "there is no das/found" in plugin.run("explain", "das/found", code=1)
    assert "no kind of Setpoint" in plugin.run("explain", "pod/lost", code=1)
    stage.das("baseten", FREE, {"maxReplica": 3})
    assert "may mean" in plugin.run("explain", "baseten", code=1)


def test_suspend_resume_and_reconcile(stage: Stage, plugin: Plugin) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    assert "suspended" in plugin.run("suspend", "das/free")
    assert stage.get("das", "free")["spec"]["suspend"] is True
    assert "resumed" in plugin.run("resume", "free")
    assert stage.get("das", "free")["spec"]["suspend"] is False
    stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", deployment="d-free")
    assert "Ready since" in plugin.run("reconcile", "das/free")
    corrected = stage.baseten.settings(model="m-greeter", deployment="d-free")
    assert corrected is not None
    assert corrected["max_replica"] == 3
    assert "asked for" in plugin.run("reconcile", "das/free", "--no-wait")
    assert "is a connection" in plugin.run("suspend", "spconn/baseten", code=1)


def test_a_terminal_shows_what_users_wrote_and_obeys_none_of_it(stage: Stage, plugin: Plugin) -> None:
    stage.das("odd", FREE, {"maxReplica": 3}, connectionRef={"name": "x\x1b[2J\x1b]0;owned\x07\u202e\nReady"})
    stage.until("das", "odd", "ConnectionNotFound")
    for words in (("status",), ("explain", "das/odd")):
        # Whether it counts as stalled yet makes no difference here.
        said = plugin._call("kubectl-setpoint", *words, "-n", stage.namespace).stdout
        assert "owned" in said
        assert all(line.isprintable() for line in said.splitlines())
        assert not [line for line in said.splitlines() if line.startswith("Ready")]


def test_a_long_request_is_answered_by_its_digest(stage: Stage) -> None:
    stage.open()
    stage.das("free", FREE, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    text = "now " * 10_000
    stage.request("das", "free", text)
    found = stage.handled("das", "free", f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
    assert len(json.dumps(found["status"])) < 4096


def test_completion_offers_commands_and_names(stage: Stage, plugin: Plugin) -> None:
    assert plugin.completions("re") == ["reconcile", "resume", ":4"]
    assert plugin.completions("explain", "")[-1] == ":4"


def test_a_cluster_that_is_not_there_is_one_sentence(plugin: Plugin, tmp_path: Path) -> None:
    plugin._environment["KUBECONFIG"] = str(tmp_path / "none")
    said = plugin.run("status", code=1)
    assert said.splitlines()[-1].startswith("kubectl-setpoint: no cluster to work on")
    assert "Traceback" not in said
