"""The table of docs/gitops.md, held against the real API server, kstatus, kubectl wait and Argo CD's Lua."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from setpoint.reconcile.conditions import Reason
from setpoint.resources import KINDS, Resource
from tests.controlplane.plane import ControlPlane
from tests.gitops import lua
from tests.gitops.examples import ROWS, Row, contested, is_connection, new, status, suspended
from tests.tools.binaries import tool

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
CUSTOMIZATIONS = ROOT / "deploy" / "argocd" / "resource_customizations" / "setpoint.dev"
MANAGED = [model for model in KINDS if not is_connection(model)]

Object = dict[str, Any]


def table() -> dict[str, tuple[str, str, str, str]]:
    """Return the rows of the documentation: Ready, what is also True, kstatus and Argo CD."""
    text = (ROOT / "docs" / "gitops.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| (\w*) ?\| (\w*) ?\| (\w+) \| (\w+) \|$", text, flags=re.MULTILINE)
    return {name: (ready, also, kstatus, argo) for name, ready, also, kstatus, argo in rows}


def kstatus(body: Object) -> str:
    """Return what kstatus makes of an object."""
    done = subprocess.run([str(tool("kstatus"))], input=json.dumps([body]), capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["status"])


def health(body: Object) -> str:
    """Return what Argo CD makes of an object."""
    code = (CUSTOMIZATIONS / body["kind"] / "health.lua").read_text(encoding="utf-8")
    return str(lua.run(code, body)["status"])


@pytest.fixture(scope="module")
def served(controlplane: ControlPlane) -> Iterator[ControlPlane]:
    """A cluster that serves the kinds, and nobody who looks at them."""
    crds = str(ROOT / "crds")
    controlplane.kubectl("apply", "-f", crds)
    controlplane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", crds)
    controlplane.kubectl("create", "namespace", "ml")
    yield controlplane
    controlplane.kubectl("delete", "clusterconnections.setpoint.dev", "example", "--ignore-not-found")
    controlplane.kubectl("delete", "namespace", "ml", "--wait=false")


class Shown:
    """A resource on the API server."""

    def __init__(self, plane: ControlPlane, model: type[Resource], **spec: Any) -> None:
        self._plane = plane
        self._scope = ("-n", "ml") if model.SCOPE == "Namespaced" else ()
        self.name = f"{model.PLURAL}.setpoint.dev/example"
        body = new(model)
        plane.kubectl("delete", self.name, *self._scope, "--ignore-not-found")
        plane.apply({**body, "spec": {**body["spec"], **spec}})

    def tell(self, state: Object) -> None:
        """Write the status as the operator does."""
        patch = json.dumps({"status": state})
        self._plane.kubectl("patch", self.name, *self._scope, "--subresource=status", "--type=merge", "-p", patch)

    def patch(self, change: Object) -> None:
        """Change anything else."""
        self._plane.kubectl("patch", self.name, *self._scope, "--type=merge", "-p", json.dumps(change))

    def get(self) -> Object:
        """Return it as the API server shows it."""
        body = self._plane.get(*self.name.split("/"), *self._scope[1:])
        assert body is not None
        return body

    def delete(self) -> None:
        """Ask for its deletion."""
        self._plane.kubectl("delete", self.name, *self._scope, "--wait=false")

    def waits(self, condition: str) -> bool:
        """Tell whether `kubectl wait` for a condition ends well."""
        words = (f"--for=condition={condition}", "--timeout=1s")
        return self._plane.kubectl("wait", self.name, *self._scope, *words, check=False).returncode == 0


def test_the_table_has_every_reason_once() -> None:
    assert {row.verdict.reason for row in ROWS} | {Reason.SUSPENDED, Reason.REPEATEDLY_CORRECTED} == set(Reason)
    rest = {"RepeatedlyCorrected", "Suspended", "not looked at yet, or edited", "being deleted"}
    assert {row.name for row in ROWS} == table().keys() - rest


def says(row: Row, model: type[Resource]) -> bool:
    return row.connection if is_connection(model) else row.managed


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.kind())
def test_kstatus_argo_cd_and_kubectl_wait_say_what_is_documented(served: ControlPlane, model: type[Resource]) -> None:
    documented = table()
    shown = Shown(served, model)
    assert (kstatus(shown.get()), health(shown.get())) == ("InProgress", "Progressing"), "before anybody looked"
    for row in ROWS:
        if not says(row, model):
            continue
        ready, also, wanted, argo = documented[row.name]
        shown.tell(status(row.verdict))
        body = shown.get()
        listed = {one["type"]: one["status"] for one in body["status"]["conditions"]}
        assert listed == {"Ready": ready, **({also: "True"} if also else {})}, row.name
        assert (kstatus(body), health(body)) == (wanted, argo), row.name
        if model is MANAGED[0]:
            assert shown.waits("Ready") == (wanted == "Current"), row.name
            assert shown.waits("Stalled") == (wanted == "Failed"), row.name


@pytest.mark.parametrize("model", MANAGED, ids=lambda model: model.kind())
def test_suspended_edited_contested_and_deleted_resources(served: ControlPlane, model: type[Resource]) -> None:
    synced = ROWS[0].verdict
    shown = Shown(served, model)
    shown.tell(status(synced))
    shown.patch({"spec": {"interval": "1h"}})
    body = shown.get()
    assert body["metadata"]["generation"] == 2
    assert (kstatus(body), health(body)) == ("InProgress", "Progressing"), "edited"
    assert not shown.waits("Ready"), "kubectl wait heeds the generation of the condition"
    shown.tell(contested(generation=2))
    body = shown.get()
    assert (kstatus(body), health(body)) == ("Current", "Healthy"), "contested"
    shown.patch({"spec": {"suspend": True}})
    shown.tell(suspended(generation=3))
    assert (kstatus(shown.get()), health(shown.get())) == ("Current", "Suspended")
    shown.patch({"metadata": {"finalizers": ["setpoint.dev/finalizer"]}})
    shown.delete()
    assert (kstatus(shown.get()), health(shown.get())) == ("Terminating", "Progressing")
    shown.patch({"metadata": {"finalizers": None}})


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.kind())
def test_the_customizations_pass_their_own_tests(model: type[Resource]) -> None:
    folder = CUSTOMIZATIONS / model.kind()
    tests = yaml.safe_load((folder / "health_test.yaml").read_text(encoding="utf-8"))["tests"]
    assert len(tests) >= 6
    code = (folder / "health.lua").read_text(encoding="utf-8")
    for test in tests:
        body = yaml.safe_load((folder / test["inputPath"]).read_text(encoding="utf-8"))
        assert lua.run(code, body) == test["healthStatus"], test["inputPath"]


@pytest.mark.parametrize("model", MANAGED, ids=lambda model: model.kind())
def test_the_actions_pass_their_own_tests(model: type[Resource]) -> None:
    folder = CUSTOMIZATIONS / model.kind() / "actions"
    tests = yaml.safe_load((folder / "action_test.yaml").read_text(encoding="utf-8"))

    def load(path: str) -> Object:
        body: Object = yaml.safe_load((folder / path).read_text(encoding="utf-8"))
        return body

    for test in tests["discoveryTests"]:
        code = (folder / "discovery.lua").read_text(encoding="utf-8")
        offered = lua.run(code, load(test["inputPath"]))
        assert [{"name": name, **offered[name]} for name in sorted(offered)] == test["result"]
    assert {test["action"] for test in tests["actionTests"]} == {"suspend", "resume"}
    for test in tests["actionTests"]:
        code = (folder / test["action"] / "action.lua").read_text(encoding="utf-8")
        assert lua.run(code, load(test["inputPath"])) == load(test["expectedOutputPath"])
    refreshed = lua.run((folder / "refresh" / "action.lua").read_text(encoding="utf-8"), load("testdata/resumed.yaml"))
    stamp = refreshed["metadata"]["annotations"]["reconcile.setpoint.dev/requestedAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp)


def test_the_patch_of_argocd_cm_has_what_the_files_have() -> None:
    data = yaml.safe_load((ROOT / "deploy" / "argocd" / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    for model in KINDS:
        folder = CUSTOMIZATIONS / model.kind()
        kind = f"setpoint.dev_{model.kind()}"
        assert data[f"resource.customizations.health.{kind}"] == (folder / "health.lua").read_text(encoding="utf-8")
        if model in MANAGED:
            actions = yaml.safe_load(data[f"resource.customizations.actions.{kind}"])
            assert {one["name"] for one in actions["definitions"]} == {"refresh", "suspend", "resume"}
