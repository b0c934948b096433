"""helm and kubectl on a real API server: install, upgrade, uninstall, admission and strict validation."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.chart.cleaning import PLURALS, clean
from tests.chart.helm import CHART, ROOT, VALUES, Object, helm, only, rendered
from tests.controlplane.plane import ControlPlane
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

MONITORING = {"ServiceMonitor": "servicemonitors", "PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"}
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"

Kustomized = Callable[[str], list[Object]]


def stub_crd(kind: str, plural: str) -> Object:
    """Return a CRD that takes anything for a kind of the Prometheus operator, which is not installed here."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com",
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture(scope="module")
def empty(controlplane: ControlPlane) -> Iterator[ControlPlane]:
    """A cluster that has never heard of Setpoint, but of the Prometheus operator's kinds."""
    clean(controlplane)
    controlplane.apply(*(stub_crd(kind, plural) for kind, plural in MONITORING.items()))
    names = [f"crd/{plural}.monitoring.coreos.com" for plural in MONITORING.values()]
    controlplane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    controlplane.kubectl("create", "namespace", "team-a")
    controlplane.kubectl("create", "namespace", "team-b")
    yield controlplane
    controlplane.kubectl("delete", "namespace", "team-a", "team-b", "--wait=false")
    clean(controlplane)


@contextmanager
def home(plane: ControlPlane) -> Iterator[str]:
    """A namespace that admits only restricted pods."""
    name = f"home-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    plane.kubectl("label", "namespace", name, RESTRICTED)
    try:
        yield name
    finally:
        plane.kubectl("delete", "namespace", name, "--wait=false")


def pods_admitted(plane: ControlPlane, namespace: str, deployment: str, count: int) -> None:
    """Wait until the replicas' pods were made, which nobody runs here, and nothing was refused."""

    def there() -> bool:
        return len(plane.items("pods", namespace)) == count

    if not plane.controllers:
        return
    try:
        eventually(there, timeout=60)
    except AssertionError:
        events = plane.kubectl("get", "events", "-n", namespace).stdout
        raise AssertionError(f"the pods of {deployment} were not admitted:\n{events}") from None


def connection_names(plane: ControlPlane) -> dict[str, Object]:
    """Return all ClusterConnections."""
    return {one["metadata"]["name"]: one for one in plane.items("clusterconnections.setpoint.dev")}


def run(plane: ControlPlane, *args: str) -> str:
    """Run helm on the cluster."""
    return helm(*args, kubeconfig=plane.kubeconfig).stdout


@pytest.mark.parametrize("values", VALUES)
def test_every_values_file_installs_upgrades_and_uninstalls(empty: ControlPlane, values: str) -> None:
    clean(empty)
    file = str(VALUES[values])
    found = rendered(VALUES[values])
    deployment = only(found, "Deployment")
    crds = [one for one in found if one["kind"] == "CustomResourceDefinition"]
    with home(empty) as namespace:
        if values == "bare":
            account = {"name": "sp-operator", "namespace": namespace}
            empty.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        run(empty, "install", "setpoint", str(CHART), "-n", namespace, "-f", file)
        pods_admitted(empty, namespace, deployment["metadata"]["name"], deployment["spec"]["replicas"])
        if crds:
            names = [f"crd/{name}" for name in PLURALS]
            empty.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
        before = connection_names(empty) if values == "full" else {}
        run(empty, "upgrade", "setpoint", str(CHART), "-n", namespace, "-f", file)
        run(empty, "upgrade", "setpoint", str(CHART), "-n", namespace, "-f", file)
        if values == "full":
            after = connection_names(empty)
            assert after.keys() == before.keys() == {"baseten", "bifrost"}
            for name, connection in after.items():
                assert connection["metadata"]["uid"] == before[name]["metadata"]["uid"], (
                    "never taken away and made anew"
                )
        run(empty, "uninstall", "setpoint", "-n", namespace)
        left = empty.kubectl("get", "crd", "-o", "name").stdout
        assert all((name in left) == bool(crds) for name in PLURALS)


def previous(folder: Path) -> Path:
    """Return a chart as an older release might be: an older version, and a CRD that lacks a column and a field."""
    chart = folder / "setpoint"
    shutil.copytree(CHART, chart)
    meta = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**meta, "version": "0.0.9", "appVersion": "0.0.9"}))
    crd = chart / "files" / "crds" / "deploymentautoscalings.yaml"
    body = yaml.safe_load(crd.read_text(encoding="utf-8"))
    (version,) = body["spec"]["versions"]
    version["additionalPrinterColumns"].pop()
    del version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]["lastHandledReconcileAt"]
    crd.write_text(yaml.safe_dump(body, sort_keys=False))
    return chart


def test_an_upgrade_brings_new_crds_and_keeps_resources_and_an_uninstall_keeps_both(
    empty: ControlPlane, tmp_path: Path
) -> None:
    clean(empty)
    wanted = only(rendered({}), "CustomResourceDefinition", "deploymentautoscalings.setpoint.dev")
    sample = str(ROOT / "deploy" / "samples" / "development.yaml")

    def columns() -> int:
        crd = empty.get("crd", "deploymentautoscalings.setpoint.dev")
        assert crd is not None
        return len(crd["spec"]["versions"][0]["additionalPrinterColumns"])

    with home(empty) as namespace:
        run(empty, "install", "setpoint", str(previous(tmp_path)), "-n", namespace)
        empty.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{name}" for name in PLURALS))
        empty.kubectl("apply", "-n", "team-a", "-f", sample)
        before = empty.get("das", "llama-development", "team-a")
        assert before is not None
        full = len(wanted["spec"]["versions"][0]["additionalPrinterColumns"])
        assert columns() == full - 1
        run(empty, "upgrade", "setpoint", str(CHART), "-n", namespace)
        assert columns() == full
        assert empty.get("das", "llama-development", "team-a") == before
        run(empty, "rollback", "setpoint", "1", "-n", namespace)
        assert empty.get("das", "llama-development", "team-a") == before
        run(empty, "upgrade", "setpoint", str(CHART), "-n", namespace)
        run(empty, "uninstall", "setpoint", "-n", namespace)
        assert empty.get("das", "llama-development", "team-a") == before
        again = run(empty, "install", "setpoint", str(CHART), "-n", namespace)
        assert "STATUS: deployed" in again
        assert empty.get("das", "llama-development", "team-a") == before
        run(empty, "uninstall", "setpoint", "-n", namespace)


@pytest.mark.parametrize("server_side", [True, False], ids=["server-side", "client-side"])
@pytest.mark.parametrize("folder", ["base", "overlays/ha", "overlays/namespaced"])
def test_deploy_applies_and_is_admitted(
    empty: ControlPlane, kustomized: Kustomized, folder: str, *, server_side: bool
) -> None:
    clean(empty)
    flags = ["--server-side"] if server_side else []
    path = str(ROOT / "deploy" / folder)
    # The namespace of an earlier installation may still be going.
    eventually(lambda: empty.get("namespace", "setpoint-system") is None, timeout=60)
    try:
        empty.kubectl("apply", *flags, "--validate=strict", "-k", path)
        replicas = only(kustomized(folder), "Deployment")["spec"]["replicas"]
        pods_admitted(empty, "setpoint-system", "setpoint", replicas)
        empty.kubectl("apply", *flags, "--validate=strict", "-k", path)
        empty.kubectl("diff", *flags, "-k", path)
    finally:
        empty.kubectl("delete", "-k", path, "--wait=false", "--ignore-not-found")
    eventually(lambda: empty.get("namespace", "setpoint-system") is None, timeout=60)


@pytest.mark.parametrize("values", VALUES)
def test_every_manifest_passes_the_servers_own_strict_validation(empty: ControlPlane, values: str) -> None:
    found = rendered(VALUES[values])
    empty.apply(*(one for one in rendered({}) if one["kind"] == "CustomResourceDefinition"))
    with home(empty) as namespace:
        for one in found:
            inside = one["metadata"].get("namespace") == "setpoint-system"
            moved = {**one, "metadata": {**one["metadata"], **({"namespace": namespace} if inside else {})}}
            text = yaml.safe_dump(moved)
            empty.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def test_the_aggregated_roles_let_namespace_users_do_what_they_should(empty: ControlPlane) -> None:
    clean(empty)
    if not empty.controllers:
        pytest.fail("aggregation needs a controller manager")
    with home(empty) as namespace:
        run(empty, "install", "setpoint", str(CHART), "-n", namespace)

        def may(role: str, verb: str, resource: str) -> bool:
            flags = ("-n", "team-a", f"--as={role}-user")
            return empty.kubectl("auth", "can-i", verb, resource, *flags, check=False).stdout.strip() == "yes"

        for role in ("view", "edit", "admin"):
            binding = (f"--clusterrole={role}", f"--user={role}-user", "-n", "team-a")
            empty.kubectl("create", "rolebinding", f"{role}-test", *binding)
        resource = "deploymentautoscalings.setpoint.dev"
        eventually(lambda: may("edit", "create", resource), timeout=30)
        assert [may("view", verb, resource) for verb in ("get", "create")] == [True, False]
        assert may("admin", "delete", resource)
        assert may("edit", "create", "connections.setpoint.dev")
        assert not may("admin", "create", "clusterconnections.setpoint.dev")
        run(empty, "uninstall", "setpoint", "-n", namespace)
