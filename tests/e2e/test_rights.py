"""Every right in deploy/ is needed, for both installations: without it the operator asks for it in vain, and says so."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

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
FREE = {"modelId": "m-greeter", "deployment": "d-free"}
FILES = {
    "cluster-wide": ["operator/operator.yaml", "base/clusterrole.yaml"],
    "namespaced": ["operator/operator.yaml", "access/access.yaml"],
}
"""What is installed, below deploy/."""


class Right(NamedTuple):
    """One verb of one rule of one role of an installation."""

    install: str
    role: str
    rule: int
    verb: str

    def __str__(self) -> str:
        resources = "+".join(roles(self.install)[self.role]["rules"][self.rule]["resources"])
        return f"{self.install}: {self.verb} {resources}"


def roles(install: str) -> dict[str, Object]:
    """Return the roles of an installation, by name."""
    texts = ((ROOT / "deploy" / name).read_text(encoding="utf-8") for name in FILES[install])
    manifests = [one for text in texts for one in yaml.safe_load_all(text)]
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] in {"ClusterRole", "Role"}}


def rights() -> list[Right]:
    """Return every right there is."""
    return [
        Right(install, name, number, verb)
        for install in FILES
        for name, role in roles(install).items()
        for number, rule in enumerate(role["rules"])
        for verb in rule["verbs"]
    ]


class Scene:
    """A namespace in which everything the operator may do has to be done."""

    def __init__(self, stage: Stage, install: str) -> None:
        self.stage = stage
        self.install = install
        self.settings = {"SETPOINT_LEADER_ELECT": "true", "SETPOINT_LOG_FORMAT": "text"}
        if install == "namespaced":
            self.settings["SETPOINT_NAMESPACES"] = stage.namespace
        metadata = {"name": LIMITED, "namespace": NAMESPACE}
        stage.plane.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        stage.open()
        stage.das("free", FREE, {"maxReplica": 3}, deletionPolicy="Restore")
        ref = self._cluster_connection() if install == "cluster-wide" else {}
        stage.das("staging", {"modelId": "m-greeter", "environment": "staging"}, {"maxReplica": 4}, **ref)

    def _cluster_connection(self) -> Object:
        stage = self.stage
        stage.plane.kubectl("label", "namespace", stage.namespace, f"{SELECTED}=yes")
        connection = stage.get("spconn", "baseten")["spec"]
        connection["baseten"]["apiKeySecretRef"]["namespace"] = stage.namespace
        cluster = {
            "apiVersion": API,
            "kind": "ClusterConnection",
            "metadata": {"name": stage.namespace},
            "spec": {**connection, "namespaces": {"selector": {"matchLabels": {SELECTED: "yes"}}}},
        }
        stage.plane.apply(cluster)
        return {"connectionRef": {"kind": "ClusterConnection", "name": stage.namespace}}

    def grant(self, without: Right | None) -> None:
        """Give the ServiceAccount all rights of the installation but one."""
        for name, role in roles(self.install).items():
            limited = copy.deepcopy(role)
            limited["metadata"]["name"] = LIMITED
            if role["kind"] == "Role":
                limited["metadata"].setdefault("namespace", self.stage.namespace)
            if without is not None and without.role == name:
                limited["rules"][without.rule]["verbs"].remove(without.verb)
                limited["rules"] = [rule for rule in limited["rules"] if rule["verbs"]]
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": f"{role['kind']}Binding",
                "metadata": limited["metadata"],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role["kind"], "name": LIMITED},
                "subjects": [{"kind": "ServiceAccount", "name": LIMITED, "namespace": NAMESPACE}],
            }
            self.stage.plane.apply(limited, binding)
        self.stage.plane.kubectl("delete", "lease", "--all", "-n", NAMESPACE)

    def start(self, *, ready: bool) -> OperatorProcess:
        """Start an operator with these rights."""
        return OperatorProcess.start(self.stage.plane, self.settings, ready=ready, serviceaccount=LIMITED)

    def close(self) -> None:
        """Take away what is not of the namespace alone, and what would keep the namespace from going."""
        plane, namespace = self.stage.plane, self.stage.namespace
        none = '{"metadata":{"finalizers":null}}'
        if plane.get("das", "free", namespace) is not None:
            plane.kubectl("patch", "das", "free", "-n", namespace, "--type=merge", "-p", none)
        plane.kubectl("delete", "das", "free", "staging", "-n", namespace, "--ignore-not-found")
        plane.kubectl("delete", "spcconn", namespace, "--ignore-not-found")
        # What one installation was given must not hide what another one lacks.
        plane.kubectl("delete", "clusterrole,clusterrolebinding", LIMITED, "--ignore-not-found")
        plane.kubectl("delete", "role,rolebinding", LIMITED, "-n", NAMESPACE, "--ignore-not-found")


@pytest.fixture
def scene(request: pytest.FixtureRequest, stage: Stage, installed: ControlPlane) -> Iterator[Scene]:
    """The scene of the installation that is the parameter, or has the right that is."""
    made = Scene(stage, request.param.install if isinstance(request.param, Right) else request.param)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("scene", "right"), [(right, right) for right in rights()], indirect=["scene"], ids=map(str, rights())
)
def test_a_right_that_is_missing_is_missed(scene: Scene, right: Right) -> None:
    scene.grant(right)
    rule = roles(right.install)[right.role]["rules"][right.rule]
    resources = [name.partition("/")[0] for name in rule["resources"]]
    with scene.start(ready=False) as operator:

        def missed() -> bool:
            text = operator.log().replace('\\"', '"')
            return any(f'cannot {right.verb} resource "{name}' in text for name in resources)

        eventually(missed, timeout=30)
        operator.kill()


@pytest.mark.parametrize("scene", list(FILES), indirect=True)
def test_with_all_rights_nothing_is_missed(scene: Scene) -> None:
    scene.grant(None)
    stage = scene.stage
    with scene.start(ready=True) as operator:
        stage.until("das", "free", "Synced")
        stage.until("das", "staging", "Synced")
        stage.until("spconn", "baseten", "Connected")
        eventually(lambda: stage.events("free"))
        stage.plane.kubectl("delete", "das", "free", "-n", stage.namespace, "--wait=false")
        eventually(lambda: stage.plane.get("das", "free", stage.namespace) is None, timeout=20)
        stage.das("free", FREE, {"maxReplica": 3})
        stage.until("das", "free", "Synced")
        assert "cannot" not in operator.log()
