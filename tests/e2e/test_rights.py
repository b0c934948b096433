"""Every right in deploy/rbac.yaml is needed: without it the operator asks for it in vain, and says so."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.controlplane.plane import ControlPlane
from tests.e2e.process import NAMESPACE, ROOT, OperatorProcess
from tests.e2e.stage import API, Stage
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

Object = dict[str, Any]

LIMITED = "limited"
SELECTED = "example.com/served"


def roles() -> dict[str, Object]:
    """Return the ClusterRole and the Role of the operator, by kind."""
    manifests = yaml.safe_load_all((ROOT / "deploy" / "rbac.yaml").read_text(encoding="utf-8"))
    return {one["kind"]: one for one in manifests if one["kind"] in {"ClusterRole", "Role"}}


def rights() -> list[tuple[str, int, str]]:
    """Return every right: kind of role, number of the rule, verb."""
    return [
        (kind, number, verb)
        for kind, role in roles().items()
        for number, rule in enumerate(role["rules"])
        for verb in rule["verbs"]
    ]


def named(right: tuple[str, int, str]) -> str:
    """Return a right for people."""
    kind, number, verb = right
    return f"{verb} {'+'.join(roles()[kind]['rules'][number]['resources'])}"


@pytest.fixture
def scene(stage: Stage, installed: ControlPlane) -> Iterator[Stage]:
    """A namespace in which everything the operator may do has to be done."""
    metadata = {"name": LIMITED, "namespace": NAMESPACE}
    installed.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    installed.kubectl("label", "namespace", stage.namespace, f"{SELECTED}=yes")
    stage.open()
    connection = stage.get("spconn", "baseten")["spec"]
    connection["baseten"]["apiKeySecretRef"]["namespace"] = stage.namespace
    cluster = {
        "apiVersion": API,
        "kind": "ClusterConnection",
        "metadata": {"name": stage.namespace},
        "spec": {**connection, "namespaces": {"selector": {"matchLabels": {SELECTED: "yes"}}}},
    }
    installed.apply(cluster)
    stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3}, deletionPolicy="Restore")
    stage.das(
        "staging",
        {"modelId": "m-greeter", "environment": "staging"},
        {"maxReplica": 4},
        connectionRef={"kind": "ClusterConnection", "name": stage.namespace},
    )
    yield stage
    for kind in ("das", "clusterconnection"):
        where = ("-n", stage.namespace) if kind == "das" else ()
        names = ("free", "staging") if kind == "das" else (stage.namespace,)
        installed.kubectl("patch", kind, names[0], *where, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        installed.kubectl("delete", kind, *names, *where, "--ignore-not-found")


def grant(plane: ControlPlane, without: tuple[str, int, str] | None) -> None:
    """Give the ServiceAccount all rights but one."""
    for kind, role in roles().items():
        limited = copy.deepcopy(role)
        limited["metadata"]["name"] = LIMITED
        if without is not None and without[0] == kind:
            limited["rules"][without[1]]["verbs"].remove(without[2])
            limited["rules"] = [rule for rule in limited["rules"] if rule["verbs"]]
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": f"{kind}Binding",
            "metadata": limited["metadata"],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": LIMITED},
            "subjects": [{"kind": "ServiceAccount", "name": LIMITED, "namespace": NAMESPACE}],
        }
        plane.apply(limited, binding)
    plane.kubectl("delete", "lease", "--all", "-n", NAMESPACE)


@pytest.mark.parametrize("right", rights(), ids=named)
def test_a_right_that_is_missing_is_missed(scene: Stage, right: tuple[str, int, str]) -> None:
    kind, number, verb = right
    grant(scene.plane, right)
    resources = [name.partition("/")[0] for name in roles()[kind]["rules"][number]["resources"]]
    settings = {"SETPOINT_LEADER_ELECT": "true", "SETPOINT_LOG_FORMAT": "text"}
    with OperatorProcess.start(scene.plane, settings, ready=False, serviceaccount=LIMITED) as operator:

        def missed() -> bool:
            text = operator.log()
            return any(f'cannot {verb} resource "{name}' in text.replace('\\"', '"') for name in resources)

        eventually(missed, timeout=30)
        operator.kill()


def test_with_all_rights_nothing_is_missed(scene: Stage) -> None:
    grant(scene.plane, None)
    settings = {"SETPOINT_LEADER_ELECT": "true", "SETPOINT_LOG_FORMAT": "text"}
    with OperatorProcess.start(scene.plane, settings, serviceaccount=LIMITED) as operator:
        scene.until("das", "free", "Synced")
        scene.until("das", "staging", "Synced")
        scene.until("spconn", "baseten", "Connected")
        eventually(lambda: scene.events("free"))
        scene.plane.kubectl("delete", "das", "free", "-n", scene.namespace, "--wait=false")
        eventually(lambda: scene.plane.get("das", "free", scene.namespace) is None, timeout=20)
        scene.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
        scene.until("das", "free", "Synced")
        assert "cannot" not in operator.log()
