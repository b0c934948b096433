"""Every rule of the CRDs on a real API server: one manifest that passes, one that is refused, and what a person reads."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import generated
from tests.controlplane.plane import ControlPlane
from tests.integration.manifests import API, MISSING, ROOT, Object, attempt, changed, manifest

pytestmark = pytest.mark.cluster

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

DAS: Object = {"target": {"modelId": "m1", "deployment": "development"}, "autoscaling": {"maxReplica": 3}}
CAS: Object = {
    "target": {"chainId": "c1", "environment": "production"},
    "chainlets": [{"name": "A", "autoscaling": {"maxReplica": 3}}],
}
REF: Object = {"name": "baseten", "key": "api-key"}
CONNECTION: Object = {"baseten": {"apiKeySecretRef": REF}}
BIFROST: Object = {"bifrost": {"url": "http://bifrost.ai.svc:8080"}}
CLUSTER: Object = {"baseten": {"apiKeySecretRef": {**REF, "namespace": "ml"}}}


def number(field: str, lowest: int | None, highest: int | None) -> list[tuple[str, Object, Any, str]]:
    """Return the cases at both ends of a range."""
    cases: list[tuple[str, Object, Any, str]] = []
    path = f"autoscaling.{field}"
    if lowest is not None:
        text = f"{field} in body should be greater than or equal to {lowest}"
        cases.append(("DeploymentAutoscaling", changed(DAS, path, lowest), changed(DAS, path, lowest - 1), text))
    if highest is not None:
        text = f"{field} in body should be less than or equal to {highest}"
        cases.append(("DeploymentAutoscaling", changed(DAS, path, highest), changed(DAS, path, highest + 1), text))
    return cases


def target(good: Object, bad: Object, message: str) -> tuple[str, Object, Object, str]:
    """Return a case of a deployment's target."""
    return "DeploymentAutoscaling", {**DAS, "target": good}, {**DAS, "target": bad}, message


def url(good: str, bad: str) -> tuple[str, Object, Object, str]:
    """Return a case of a URL."""
    return (
        "Connection",
        changed(CONNECTION, "baseten.url", good),
        changed(CONNECTION, "baseten.url", bad),
        "url must start with http:// or https:// and a host, and have no user info, query or fragment",
    )


INTERVAL = "interval must be a duration from 30s to 24h, such as 5m"
TIMEOUT = "timeout must be a duration from 1s to 5m, such as 30s"
ID = "an id consists of letters, digits, - and _ only, as the remote API shows it"
ENVIRONMENT = "an environment's name consists of lower-case letters, digits and -"
MODELS = "exactly one of modelId and modelName must be set in spec.target"
DEPLOYMENTS = "exactly one of deployment and environment must be set in spec.target"
ONE_SETTING = "at least one setting must be given: minReplica"
ORDER = "minReplica must not be greater than maxReplica"
LOGIN = "exactly one of basic, bearerSecretRef and setupTokenSecretRef must be set in auth"

CASES: list[tuple[str, Object, Object, str]] = [
    target({"modelName": "m", "environment": "e"}, {"environment": "e"}, MODELS),
    target(DAS["target"], {"modelId": "m", "modelName": "m", "environment": "e"}, MODELS),
    target({"modelId": "m", "environment": "e"}, {"modelId": "m"}, DEPLOYMENTS),
    target(DAS["target"], {"modelId": "m", "deployment": "d", "environment": "e"}, DEPLOYMENTS),
    target(
        {"modelName": "m", "team": "Red Team", "environment": "e"},
        {"modelId": "m", "team": "Red Team", "environment": "e"},
        "team says which team's modelName is meant: leave team out where modelId is given",
    ),
    target(
        {"modelName": "m", "environment": "e"}, {"modelName": "m", "team": "", "environment": "e"}, "at least 1 chars"
    ),
    (
        "ChainAutoscaling",
        changed(CAS, "target", {"chainName": "c", "team": "t-1", "environment": "e"}),
        changed(CAS, "target", {"chainId": "c", "team": "t-1", "environment": "e"}),
        "team says which team's chainName is meant: leave team out where chainId is given",
    ),
    target({"modelId": "aZ_9-", "deployment": "q-1"}, {"modelId": "a/b", "deployment": "d"}, ID),
    target(DAS["target"], {"modelId": "m", "deployment": ".."}, ID),
    *(
        target({"modelId": "m", "environment": good}, {"modelId": "m", "environment": bad}, ENVIRONMENT)
        for good, bad in [("a", "A"), ("pre-prod-2", "-a"), ("0", "a-"), ("a0", "a_b")]
    ),
    ("DeploymentAutoscaling", DAS, {**DAS, "autoscaling": {}}, ONE_SETTING),
    (
        "DeploymentAutoscaling",
        {**DAS, "autoscaling": {"minReplica": 5, "maxReplica": None}},
        {**DAS, "autoscaling": {"minReplica": None, "maxReplica": None}},
        ONE_SETTING,
    ),
    (
        "DeploymentAutoscaling",
        {**DAS, "autoscaling": {"minReplica": 3, "maxReplica": 3}},
        {**DAS, "autoscaling": {"minReplica": 4, "maxReplica": 3}},
        ORDER,
    ),
    (
        "ChainAutoscaling",
        changed(CAS, "chainlets.0.autoscaling", {"minReplica": 1, "maxReplica": 1}),
        changed(CAS, "chainlets.0.autoscaling", {"minReplica": 2, "maxReplica": 1}),
        ORDER,
    ),
    *number("minReplica", 0, None),
    *number("maxReplica", 1, None),
    *number("autoscalingWindow", 10, 3600),
    *number("scaleDownDelay", 0, 3600),
    *number("concurrencyTarget", 1, None),
    *number("targetUtilizationPercentage", 1, 100),
    *number("targetInFlightTokens", 1, None),
    *number("maxScaleDownRate", 1, 50),
    *(
        ("DeploymentAutoscaling", {**DAS, "interval": good}, {**DAS, "interval": bad}, INTERVAL)
        for good, bad in [("30s", "29s"), ("24h", "25h"), ("1h30m", "5"), ("5m", "often"), ("90s", ""), ("5m", "1.5h")]
    ),
    *(
        ("Connection", {**CONNECTION, "timeout": good}, {**CONNECTION, "timeout": bad}, TIMEOUT)
        for good, bad in [("1s", "0s"), ("5m", "301s")]
    ),
    (
        "DeploymentAutoscaling",
        {**DAS, "mode": "Observe"},
        {**DAS, "mode": "Watch"},
        'supported values: "Enforce", "Obs',
    ),
    (
        "ChainAutoscaling",
        {**CAS, "deletionPolicy": "Orphan"},
        {**CAS, "deletionPolicy": "Delete"},
        'supported values: "Orphan"',
    ),
    (
        "DeploymentAutoscaling",
        {**DAS, "connectionRef": {"kind": "ClusterConnection"}},
        {**DAS, "connectionRef": {"kind": "Secret"}},
        'supported values: "Connection", "ClusterConnection"',
    ),
    (
        "ChainAutoscaling",
        changed(CAS, "target", {"chainName": "c", "environment": "e"}),
        changed(CAS, "target", {"chainId": "c", "chainName": "c", "environment": "e"}),
        "exactly one of chainId and chainName must be set in spec.target",
    ),
    ("ChainAutoscaling", CAS, changed(CAS, "target.environment", MISSING), "spec.target.environment: Required value"),
    (
        "ChainAutoscaling",
        {**CAS, "chainlets": [{"name": f"c{i}", "autoscaling": {"minReplica": 0}} for i in range(64)]},
        {**CAS, "chainlets": [{"name": f"c{i}", "autoscaling": {"minReplica": 0}} for i in range(65)]},
        "must have at most 64 items",
    ),
    ("ChainAutoscaling", CAS, {**CAS, "chainlets": []}, "should have at least 1 items"),
    ("ChainAutoscaling", CAS, {**CAS, "chainlets": CAS["chainlets"] * 2}, "Duplicate value"),
    ("Connection", CONNECTION, {}, "exactly one of baseten and bifrost must be set in spec"),
    ("Connection", BIFROST, {**CONNECTION, **BIFROST}, "exactly one of baseten and bifrost must be set in spec"),
    ("ClusterConnection", CLUSTER, {}, "exactly one of baseten and bifrost must be set in spec"),
    url("https://api.baseten.co", "ftp://api.baseten.co"),
    url("http://gateway.ml.svc:8080/prefix", "https://"),
    url("https://[::1]:8443", "https://user:word@api.baseten.co"),
    url("https://api.baseten.co/", "https://api.baseten.co?x=1"),
    url("https://api.baseten.co/v1", "https://api.baseten.co#x"),
    url("http://localhost", "api.baseten.co"),
    (
        "Connection",
        changed(CONNECTION, "baseten.authScheme", "Api-Key"),
        changed(CONNECTION, "baseten.authScheme", "Basic"),
        'supported values: "Bearer", "Api-Key"',
    ),
    ("Connection", CONNECTION, {"baseten": {}}, "spec.baseten.apiKeySecretRef: Required value"),
    (
        "Connection",
        changed(CONNECTION, "rateLimit.requestsPerSecond", 1),
        changed(CONNECTION, "rateLimit.requestsPerSecond", 0),
        "requestsPerSecond in body should be greater than or equal to 1",
    ),
    (
        "Connection",
        changed(CONNECTION, "rateLimit.requestsPerSecond", 10000),
        changed(CONNECTION, "rateLimit.requestsPerSecond", 10001),
        "requestsPerSecond in body should be less than or equal to 10000",
    ),
    (
        "Connection",
        changed(BIFROST, "bifrost.auth", {"bearerSecretRef": REF}),
        changed(BIFROST, "bifrost.auth", {"bearerSecretRef": REF, "setupTokenSecretRef": REF}),
        LOGIN,
    ),
    (
        "Connection",
        changed(BIFROST, "bifrost.auth", {"basic": {"usernameSecretRef": REF, "passwordSecretRef": REF}}),
        changed(BIFROST, "bifrost.auth", {}),
        LOGIN,
    ),
    (
        "ClusterConnection",
        CLUSTER,
        CONNECTION,
        "spec.baseten.apiKeySecretRef.namespace: Required value",
    ),
    (
        "ClusterConnection",
        {**CLUSTER, "namespaces": {"names": ["a", "b"]}},
        {**CLUSTER, "namespaces": {"names": ["a", "a"]}},
        "Duplicate value",
    ),
    (
        "ClusterConnection",
        {**CLUSTER, "namespaces": {"selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}},
        {**CLUSTER, "namespaces": {"selector": {"matchExpressions": [{"key": "a", "operator": "Has"}]}}},
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ),
    ("DeploymentAutoscaling", DAS, changed(DAS, "autoscaling.maxReplicas", 3), "unknown field"),
]


@pytest.mark.parametrize(("kind", "good", "bad", "message"), CASES)
def test_rule_accepts_and_refuses(served: ControlPlane, kind: str, good: Object, bad: Object, message: str) -> None:
    accepted, problem, _ = attempt(served, kind, good)
    assert accepted, problem
    accepted, problem, _ = attempt(served, kind, bad)
    assert not accepted
    assert message in problem


def test_defaults_are_filled_in(served: ControlPlane) -> None:
    _, _, das = attempt(served, "DeploymentAutoscaling", DAS)
    assert das["spec"] == DAS | {
        "connectionRef": {"name": "baseten"},
        "interval": "5m",
        "mode": "Enforce",
        "suspend": False,
        "deletionPolicy": "Orphan",
    }
    assert das["status"] == {"observedGeneration": -1}
    _, _, connection = attempt(served, "Connection", CONNECTION)
    assert connection["spec"] == {
        "baseten": {"url": "https://api.baseten.co", "authScheme": "Bearer", "apiKeySecretRef": REF},
        "rateLimit": {"requestsPerSecond": 80},
        "timeout": "30s",
    }


@pytest.mark.parametrize(
    ("kind", "spec", "target"),
    [
        ("DeploymentAutoscaling", DAS, {"modelId": "m2", "deployment": "development"}),
        ("ChainAutoscaling", CAS, {"chainId": "c1", "environment": "staging"}),
        ("DeploymentAutoscaling", changed(DAS, "target", {"modelName": "m", "deployment": "d"}), {"team": "Red"}),
        (
            "ChainAutoscaling",
            changed(CAS, "target", {"chainName": "c", "team": "A", "environment": "e"}),
            {"team": "B"},
        ),
    ],
)
def test_the_target_is_immutable_and_the_rest_is_not(
    served: ControlPlane, namespace: str, kind: str, spec: Object, target: Object
) -> None:
    served.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest(kind, spec)))
    served.kubectl("patch", kind, "case", "-n", namespace, "--type=merge", "-p", '{"spec":{"interval":"1m"}}')
    patch = json.dumps({"spec": {"target": target}})
    done = served.kubectl("patch", kind, "case", "-n", namespace, "--type=merge", "-p", patch, check=False)
    assert done.returncode != 0
    assert "spec.target is immutable: delete this resource and create another one" in done.stderr


def test_status_records_what_the_spec_may_not_say(served: ControlPlane, namespace: str) -> None:
    served.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(manifest("DeploymentAutoscaling", DAS)))
    status = {"observed": {"autoscalingWindow": 9999, "minReplica": 9, "maxReplica": 1}}
    patch = json.dumps({"status": status})
    served.kubectl("patch", "das", "case", "-n", namespace, "--type=merge", "--subresource=status", "-p", patch)
    found = served.get("das", "case", namespace)
    assert found is not None
    assert found["status"]["observed"] == status["observed"]


def test_crds_fit_client_side_apply(served: ControlPlane) -> None:
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        name = yaml.safe_load(file.read_text(encoding="utf-8"))["metadata"]["name"]
        found = served.get("crd", name)
        assert found is not None
        assert 0 < len(found["metadata"]["annotations"][LAST_APPLIED]) < 262144 // 4


def test_explain_tells_unit_default_and_range(served: ControlPlane) -> None:
    tree = served.kubectl("explain", "das.spec.autoscaling", "--recursive").stdout
    for field in ("minReplica", "maxReplica", "autoscalingWindow", "targetInFlightTokens", "maxScaleDownRate"):
        assert f"{field}\t<integer>" in tree
    text = " ".join(served.kubectl("explain", "das.spec.autoscaling.autoscalingWindow").stdout.split())
    assert "Seconds of traffic considered for a decision, 10 to 3600. Platform default: 60." in text
    text = " ".join(served.kubectl("explain", "cas.spec.chainlets").stdout.split())
    assert "1 to 64, each named once" in text


def test_short_names_and_category(served: ControlPlane) -> None:
    listed = served.kubectl("api-resources", "--api-group=setpoint.dev", "-o", "wide").stdout
    for short in ("das", "cas", "mcg", "spconn", "spcconn"):
        assert f" {short} " in listed
    rows = [line for line in listed.splitlines() if API in line]
    assert len(rows) == 5
    assert all(line.rstrip().endswith("setpoint") for line in rows)


@pytest.mark.parametrize("sample", sorted((ROOT / "deploy" / "samples").glob("*.yaml")), ids=lambda file: file.stem)
def test_samples_are_accepted(served: ControlPlane, sample: Path) -> None:
    served.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(sample))


def test_generated_files_are_up_to_date() -> None:
    assert generated.stale() == []
