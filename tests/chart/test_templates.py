"""What the chart and deploy/ make, without a cluster."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from setpoint import __version__
from setpoint.resources import crd
from setpoint.settings import load
from tests.chart.helm import CHART, ROOT, VALUES, Object, helm, only, rendered, template
from tests.tools.binaries import tool

Kustomized = Callable[[str], list[Object]]
INSTALLS = ("base", "overlays/ha", "overlays/namespaced")


def container(found: list[Object]) -> Object:
    """Return the operator's container."""
    (one,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(one)


def environment(found: list[Object]) -> dict[str, str]:
    """Return what the operator's container gets."""
    return {one["name"]: one["value"] for one in container(found)["env"]}


def rules(role: Object) -> list[tuple[Any, ...]]:
    """Return the rights of a role, one by one."""
    return sorted(
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


@pytest.mark.parametrize("values", VALUES)
def test_helm_finds_nothing_to_complain_of(values: str) -> None:
    said = helm("lint", "--strict", str(CHART), "--values", str(VALUES[values])).stdout
    assert "0 chart(s) failed" in said


def test_the_template_tests_of_the_chart_pass() -> None:
    done = subprocess.run(
        [str(tool("helm-unittest")), "--strict", str(CHART)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"Tests: +(\d+) passed, (\d+) total", done.stdout)
    assert found is not None
    assert found[1] == found[2]
    assert int(found[1]) > 30


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("metrics.serviceMonitor.intervall=1m", "additional properties 'intervall' not allowed"),
        ("workers=0", "minimum"),
        ("clusterCidrs={all}", "does not match pattern"),
        ("largestAnswer=0", "minimum"),
        ("connectionsPerNamespace=-1", "minimum"),
        ("log.level=loud", "must be one of"),
        ("image.digest=latest", "does not match pattern"),
        ("namespaces={Team_A}", "does not match pattern"),
        ("connections.baseten.authScheme=Basic", "must be one of"),
        ("connections.baseten.url=ftp://x", "does not match pattern"),
    ],
)
def test_values_that_make_no_sense_are_refused(setting: str, problem: str) -> None:
    done = helm("template", "x", str(CHART), "--set", setting, check=False)
    assert done.returncode != 0
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["serviceAccount.create=false"], "serviceAccount.name is needed"),
        (["metrics.serviceMonitor.enabled=true", "metrics.podMonitor.enabled=true"], "would scrape everything twice"),
        (["metrics.serviceMonitor.enabled=true", "metrics.service.enabled=false"], "needs metrics.service.enabled"),
        (["connections.bifrost.enabled=true"], "connections.bifrost.url is needed"),
        (["connections.baseten.enabled=true", "namespaces={a}"], "ClusterConnections are not read"),
        (["networkPolicy.enabled=true"], "networkPolicy.apiServer.cidrs is needed"),
    ],
)
def test_values_that_contradict_each_other_are_refused(settings: list[str], problem: str) -> None:
    done = helm("template", "x", str(CHART), *(word for one in settings for word in ("--set", one)), check=False)
    assert done.returncode != 0
    assert problem in done.stderr


def test_every_value_is_in_the_schema_and_every_property_of_the_schema_is_a_value() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert schema["properties"].keys() == values.keys() | {"global"}


@pytest.mark.parametrize("values", VALUES)
def test_the_operator_takes_the_settings_of_the_deployment(values: str) -> None:
    found = rendered(VALUES[values])
    ours = {name: value for name, value in environment(found).items() if name.startswith("SETPOINT_")}
    names = {name.removeprefix("SETPOINT_").lower(): value for name, value in ours.items()}
    settings = load(names, ours)
    assert settings.leader_elect
    wanted = yaml.safe_load(VALUES[values].read_text(encoding="utf-8"))
    assert list(settings.watched_namespaces) == wanted.get("namespaces", [])
    assert settings.dry_run == wanted.get("dryRun", False)
    assert settings.shard == wanted.get("shard", "")


def test_the_crds_are_those_of_the_models_and_stay() -> None:
    found = [one for one in rendered({}) if one["kind"] == "CustomResourceDefinition"]
    wanted = [yaml.safe_load(text) for _, text in crd.manifests()]
    assert {one["metadata"]["name"]: one["spec"] for one in found} == {
        one["metadata"]["name"]: one["spec"] for one in wanted
    }
    assert {one["metadata"]["annotations"]["helm.sh/resource-policy"] for one in found} == {"keep"}


def test_chart_and_kustomize_give_the_same_rights(kustomized: Kustomized) -> None:
    chart, base = rendered({}), kustomized("base")
    for kind, name in (("ClusterRole", "setpoint"), ("Role", "setpoint-leader")):
        assert rules(only(chart, kind, name)) == rules(only(base, kind, name))
    chart, overlay = rendered({"namespaces": ["team-a", "team-b"]}), kustomized("overlays/namespaced")
    for found in (chart, overlay):
        assert not [one for one in found if one["kind"] == "ClusterRoleBinding"]
    theirs = {one["metadata"]["namespace"]: rules(one) for one in overlay if one["kind"] == "Role"}
    assert {one["metadata"]["namespace"]: rules(one) for one in chart if one["kind"] == "Role"} == theirs
    assert theirs.keys() == {"team-a", "team-b", "setpoint-system"}


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("base", {"replicaCount": 1}),
        ("overlays/ha", {"replicaCount": 2}),
        ("overlays/namespaced", {"replicaCount": 1, "namespaces": ["team-a", "team-b"]}),
    ],
)
def test_chart_and_kustomize_run_the_same_operator(kustomized: Kustomized, folder: str, values: Object) -> None:
    chart, base = rendered(values), kustomized(folder)
    theirs, ours = container(base), container(chart)
    assert environment(base) == environment(chart)
    for same in ("args", "ports", "livenessProbe", "readinessProbe", "securityContext", "resources", "image"):
        assert theirs[same] == ours[same], same
    pod, charted = (only(found, "Deployment")["spec"]["template"]["spec"] for found in (base, chart))
    for same in (
        "serviceAccountName",
        "securityContext",
        "automountServiceAccountToken",
        "terminationGracePeriodSeconds",
    ):
        assert pod[same] == charted[same], same
    assert only(base, "Deployment")["spec"]["replicas"] == values["replicaCount"]


def test_the_version_is_that_of_the_package(kustomized: Kustomized) -> None:
    meta = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert meta["version"] == meta["appVersion"] == __version__
    for found in (rendered({}), kustomized("base")):
        assert container(found)["image"].endswith(f":{__version__}")


def test_notes_say_what_to_do_next() -> None:
    def notes(*args: str) -> str:
        said = helm("install", "x", str(CHART), "--dry-run=client", *args).stdout
        return said.partition("NOTES:")[2]

    assert "kubectl create secret generic baseten" in notes()
    assert "team-a" in notes("--set", "namespaces={team-a}")
    assert "serves no namespace yet" in notes("--set", "connections.baseten.enabled=true")
    assert "kubectl apply -f crds/" in notes("--set", "crds.install=false")
    policy = ("--set", "networkPolicy.enabled=true,networkPolicy.apiServer.cidrs={10.0.0.1/32}")
    assert "reach no remote yet" in notes(*policy)
    assert "reach no remote yet" not in notes(*policy, "--set", "connections.baseten.enabled=true")
    assert "reach no remote yet" not in notes()


KUBE_SCORE_EXCEPTIONS = {
    "container-image-pull-policy": "a released tag is never moved, so IfNotPresent saves a pull at every start",
    "container-resources": "no CPU limit on purpose: it would throttle the lease's renewal (CPU requests are set)",
    "pod-networkpolicy": "off by default, since only the installer knows where the remotes are; networkPolicy.enabled",
    "deployment-has-poddisruptionbudget": "made where there is more than one replica",
    "deployment-replicas": "one replica is what base and the namespaced example say on purpose",
    "deployment-has-host-podantiaffinity": "with one replica there is nothing to spread",
    "container-security-context-user-group-id": "where the platform chooses the user, the chart names none",
}


def test_kube_score_finds_only_what_is_explained(kustomized: Kustomized) -> None:
    texts = {name: template(file) for name, file in VALUES.items()}
    texts |= {folder: yaml.safe_dump_all(kustomized(folder)) for folder in INSTALLS}
    used: set[str] = set()
    for name, text in texts.items():
        done = subprocess.run(
            [str(tool("kube-score")), "score", "--output-format", "json", "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        for scored in json.loads(done.stdout):
            for check in scored["checks"]:
                if check["skipped"] or check["grade"] > 5:
                    continue
                problem = f"{name}: {scored['object_name']}: {check['check']['id']}: {check['comments']}"
                assert check["check"]["id"] in KUBE_SCORE_EXCEPTIONS, problem
                used.add(check["check"]["id"])
    assert used == KUBE_SCORE_EXCEPTIONS.keys()


def test_a_rendering_with_everything_is_documented_in_the_values() -> None:
    text = (ROOT / "charts" / "setpoint" / "values.yaml").read_text(encoding="utf-8")
    assert all(f"\n{name}:" in f"\n{text}" for name in yaml.safe_load(VALUES["full"].read_text(encoding="utf-8")))
