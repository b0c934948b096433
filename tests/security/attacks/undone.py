"""A tenant has the operator undo at a real remote what was never done there."""

from collections.abc import Callable
from typing import Any, TypeAlias

from tests.e2e.stage import API, KEY, Object, connection, secret
from tests.security.attacks.claims import FOUND, TARGET, begin, replicas
from tests.security.attacks.registry import attack
from tests.security.neighbour import autoscaling, gateway, governance
from tests.security.siege import Siege
from tests.simulators.bifrost.specs import GLOBAL_ROW

MAY = "is served by a ClusterConnection, and creates a Connection of the same name to a remote of his own"
GPT = {"modelName": "gpt-4o", "provider": "openai", "budget": {"maxLimit": 100, "resetDuration": "1M"}}
ENORMOUS = 1_000_000
"""Dollars, or replicas, that admission would have refused."""
FORGER = "forger"

Leave: TypeAlias = Callable[[Siege, str, str], None]


def serve(siege: Siege, name: str) -> None:
    """Let a ClusterConnection to the real remote serve the attacker's namespace."""
    key = {"name": "baseten", "key": "api-key", "namespace": siege.home.namespace}
    remotes: dict[str, Object] = {
        "bifrost": {"url": siege.ground.bifrost.gateway_url},
        "baseten": {"url": siege.ground.baseten.url, "apiKeySecretRef": key},
    }
    spec = {name: remotes[name], "namespaces": {"names": [siege.namespace]}}
    siege.ground.kube.create({"apiVersion": API, "kind": "ClusterConnection", "metadata": {"name": name}, "spec": spec})


def fall_back(siege: Siege, kind: str, remote: str) -> None:
    """Delete the attacker's Connection, have the resource looked at through the other one, and delete the resource."""
    siege.ground.kube.delete("Connection", siege.namespace, remote)
    siege.request(kind, FORGER, "now")
    siege.reach("the resource is looked at again", lambda: _handled(siege, kind))
    _go(siege, kind)


def at_once(siege: Siege, kind: str, remote: str) -> None:
    """Delete Connection and resource in the same breath."""
    siege.ground.kube.delete("Connection", siege.namespace, remote)
    _go(siege, kind)


def _handled(siege: Siege, kind: str) -> bool:
    return bool(siege.get(kind, FORGER).get("status", {}).get("lastHandledReconcileAt"))


def _go(siege: Siege, kind: str) -> None:
    siege.plane.kubectl("delete", kind, FORGER, "-n", siege.namespace, "--wait=false")
    siege.promise("the attacker's resource is gone", lambda: siege.plane.get(kind, FORGER, siege.namespace) is None)


def believed(siege: Siege, kind: str) -> None:
    """Wait until the false remote has convinced the operator."""
    siege.reach("the false remote is believed", lambda: siege.condition(kind, FORGER).get("reason") == "Synced")


def _row(siege: Siege) -> tuple[list[Any], ...]:
    """Return budgets and usage of the real row, empty where it is gone."""
    if GLOBAL_ROW not in [row["id"] for row in siege.ground.bifrost.rows()]:
        return ()
    budgets = siege.ground.bifrost.state(GLOBAL_ROW).budgets
    return [one.max_limit for one in budgets], [one.current_usage for one in budgets]


def _with_a_row(policy: str, limit: str, leave: Leave) -> Callable[[Siege], None]:
    def run(siege: Siege) -> None:
        serve(siege, "bifrost")
        before = _row(siege)
        url = siege.remote(f"false-gateway={GLOBAL_ROW},{limit}")
        siege.create(gateway("bifrost", siege.namespace, url))
        siege.create(governance(FORGER, siege.namespace, {**GPT, "deletionPolicy": policy}))
        believed(siege, "mcg")
        leave(siege, "mcg", "bifrost")
        siege.promise(
            "the real row is there, with its limits and what was used", lambda: _row(siege) == before, within=1
        )
        siege.ground.kube.delete("ClusterConnection", None, "bifrost")

    return run


def _with_a_deployment(leave: Leave) -> Callable[[Siege], None]:
    def run(siege: Siege) -> None:
        begin(siege)
        serve(siege, "baseten")
        url = siege.remote(f"false-baseten={TARGET['deployment']},{ENORMOUS}")
        siege.create(secret("baseten", siege.namespace, KEY), connection("baseten", siege.namespace, url))
        forger = autoscaling(
            FORGER, siege.namespace, TARGET, deletionPolicy="Restore", autoscaling={"maxReplica": FOUND}
        )
        del forger["spec"]["connectionRef"]
        siege.create(forger)
        believed(siege, "das")
        leave(siege, "das", "baseten")
        siege.promise("the real deployment has its replicas", lambda: replicas(siege) == FOUND, within=1)
        siege.ground.kube.delete("ClusterConnection", None, "baseten")

    return run


WAYS: dict[str, Leave] = {"and a fall back": fall_back, "all deleted in one breath": at_once}

for how, way in WAYS.items():
    attack("undone", f"a forged `created` of a row, {how}, Delete", MAY)(_with_a_row("Delete", "", way))
    attack("undone", f"a forged `baseline` of a row, {how}, Restore", MAY)(_with_a_row("Restore", str(ENORMOUS), way))
    attack("undone", f"a forged `baseline` of a deployment, {how}, Restore", MAY)(_with_a_deployment(way))
