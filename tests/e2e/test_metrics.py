"""Each documented metric exists on a real operator, and moves when what it tells of happens."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from prometheus_client.parser import text_string_to_metric_families

from setpoint.reconcile.corrections import SEVERAL
from tests import documented
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import ROOT, OperatorProcess
from tests.e2e.stage import GatewayStage, Stage
from tests.promql import Scrapes
from tests.simulators.bifrost.specs import BudgetSpec, RowSpec
from tests.simulators.faults import Delay, Respond
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

CONSTANT = {"setpoint_build_info"}
HISTOGRAM_PARTS = re.compile(r"_(bucket|sum|count|created)$")


class Scraper:
    """Keeps all values that documented metrics were seen with; that there was none is a value, too."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self.seen: dict[str, set[float | None]] = defaultdict(set)
        self.types: dict[str, str] = {}
        self.samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.scrapes = Scrapes()

    def look(self) -> None:
        """Scrape once."""
        status, text = self._operator.probe("/metrics")
        assert status == 200
        self.scrapes.add(text, time.time(), job="setpoint", instance="operator")
        totals: dict[str, float] = defaultdict(float)
        self.samples = {}
        for family in text_string_to_metric_families(text):
            if family.name.endswith("_created"):
                continue
            for sample in family.samples:
                self.samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
                name = HISTOGRAM_PARTS.sub("", sample.name) if family.type == "histogram" else sample.name
                if not sample.name.endswith("_bucket"):
                    totals[name] += sample.value
                self.types[name] = family.type
        for name in documented.metrics() | {name for name in totals if name.startswith("setpoint_")}:
            self.seen[name].add(totals.get(name))

    def value(self, metric: str, /, **labels: str) -> float | None:
        """Scrape, and return the only sample with at least these labels; None where there is none."""
        self.look()
        found = [
            value for (name, there), value in self.samples.items() if name == metric and labels.items() <= set(there)
        ]
        assert len(found) <= 1
        return found[0] if found else None


def _equals(read: Callable[[], float | None], value: float) -> bool:
    return read() == value


@pytest.fixture
def scraper(installed: ControlPlane) -> Iterator[Scraper]:
    """An operator with one worker for each connection, which waits for the Lease first."""
    settings = {"SETPOINT_LEADER_ELECT": "true", "SETPOINT_WORKERS": "1"}
    with (
        OperatorProcess.start(installed, {"SETPOINT_LEADER_ELECT": "true"}) as first,
        OperatorProcess.start(installed, settings) as operator,
    ):
        scraper = Scraper(operator)
        assert scraper.value("setpoint_leader") == 0
        first.stop()
        eventually(lambda: scraper.value("setpoint_leader") == 1, timeout=30)
        yield scraper


def _limits_are_told(scraper: Scraper, gateway: GatewayStage) -> None:
    """Spend of a limit, and have more limits than are named."""
    budgets = [BudgetSpec(max_limit=100, reset_duration="1M", current_usage=85)]
    gateway.bifrost.add_row(RowSpec(model_name="spent", provider="openai", budgets=budgets))
    gateway.mcg("gpt", "spent", budget={"maxLimit": 100, "resetDuration": "1M"})
    gateway.until("mcg", "gpt", "Synced")
    budget = {"name": "gpt", "namespace": gateway.namespace, "limit": "budget"}
    assert eventually(lambda: scraper.value("setpoint_budget_used_ratio", **budget)) == pytest.approx(0.85)

    many = [BudgetSpec(max_limit=1, reset_duration=f"{hours}h") for hours in range(1, 13)]
    gateway.bifrost.add_row(RowSpec(model_name="many", provider="openai", budgets=many))
    gateway.mcg("many", "many", budget={"maxLimit": 1, "resetDuration": "1h"}, mode="Observe")
    gateway.until("mcg", "many", "DriftDetected")
    left_out = partial(scraper.value, "setpoint_budgets_left_out", namespace=gateway.namespace)
    assert eventually(left_out) == 2
    assert gateway.get("mcg", "many")["status"]["omittedWindows"] == 2


def test_every_documented_metric_is_there_and_moves(scraper: Scraper, stage: Stage, gateway: GatewayStage) -> None:
    das = {"kind": "DeploymentAutoscaling", "namespace": stage.namespace}

    stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3}, interval="30s")
    stage.until("das", "free", "ConnectionNotFound")
    since = eventually(lambda: scraper.value("setpoint_resource_not_ready_since_timestamp_seconds", **das, name="free"))
    assert since > 1.7e9
    stage.open()
    gateway.open()
    stage.until("das", "free", "Synced")
    stage.until("spconn", "baseten", "Connected")
    labels = {"namespace": stage.namespace, "name": "baseten", "provider": "Baseten"}
    assert eventually(lambda: scraper.value("setpoint_connection_resources", **labels)) == 1
    assert scraper.value("setpoint_connection_ready", **labels) == 1
    assert scraper.value("setpoint_resource_not_ready_since_timestamp_seconds", **das, name="free") is None

    _limits_are_told(scraper, gateway)

    for number in range(1, SEVERAL + 1):
        stage.baseten.set_settings({"max_replica": 9}, model="m-greeter", deployment="d-free")
        stage.request("das", "free", f"now {number}")
        corrected = partial(scraper.value, "setpoint_drift_corrected_total", **das, name="free")
        eventually(partial(_equals, corrected, number), timeout=20)
    eventually(lambda: scraper.value("setpoint_resources_contested", kind="DeploymentAutoscaling") == 1, timeout=20)
    assert stage.condition("das", "free", "Contested")["reason"] == "RepeatedlyCorrected"
    columns = stage.plane.kubectl("get", "das", "free", "-n", stage.namespace).stdout
    assert "RepeatedlyCorrected" in columns

    stage.baseten.set_deployment_status("m-greeter", "d-free", "UNHEALTHY")
    stage.request("das", "free", "again")
    failing = {**das, "name": "free", "state": "UNHEALTHY"}
    eventually(lambda: scraper.value("setpoint_target_not_serving", **failing) == 1, timeout=20)
    assert scraper.value("setpoint_targets", kind="DeploymentAutoscaling", state="UNHEALTHY") == 1

    stage.baseten.inject(Respond(status=429, body={"error": "slow down", "retry_after": 1}), count=1)
    stage.baseten.inject(Delay(seconds=3), count=1)
    for name in ("staging", "production"):
        stage.das(name, {"modelId": "m-greeter", "environment": name}, {"maxReplica": 4})
    eventually(lambda: scraper.value("setpoint_queue_depth"), timeout=20, interval=0.02)
    assert (scraper.value("setpoint_queue_oldest_seconds") or 0) > 0
    assert scraper.value("setpoint_reconciles_under_way") == 1
    for name in ("staging", "production"):
        stage.until("das", name, "Synced")
    stage.patch("das", "staging", {"suspend": True})
    eventually(lambda: scraper.value("setpoint_resources_suspended", kind="DeploymentAutoscaling") == 1, timeout=20)
    eventually(lambda: (scraper.value("setpoint_remote_requests_total", code="429") or 0) > 0)
    stage.patch("das", "production", {"mode": "Observe", "autoscaling": {"maxReplica": 5}})
    eventually(lambda: scraper.value("setpoint_resources_drifted", kind="DeploymentAutoscaling") == 1, timeout=20)

    assert {name for name, values in scraper.seen.items() if values == {None}} == set(), "documented and not there"
    assert scraper.seen.keys() == documented.metrics()
    assert {name for name, values in scraper.seen.items() if len(values) == 1} == CONSTANT

    # Each panel of the dashboard has something to show of it.
    queries = documented.queries()
    answers = zip(queries, scraper.scrapes.ask(queries, step=1), strict=True)
    assert [query for query, found in answers if not any(one.numbers() for one in found)] == []


def test_metrics_tell_nothing_secret_and_keep_their_types(scraper: Scraper, stage: Stage) -> None:
    stage.open()
    stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
    stage.until("das", "free", "Synced")
    scraper.look()
    rows = re.findall(
        r"^\| `(setpoint_\w+)` \| (\w+) \| ([^|]*) \|",
        (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    labels: dict[str, set[str]] = defaultdict(set)
    for name, there in scraper.samples:
        labels[HISTOGRAM_PARTS.sub("", name)] |= {label for label, _ in there} - {"le"}
    for name, kind, documented_labels in rows:
        if name not in scraper.types or scraper.types[name] == "info":
            continue
        assert scraper.types[name] == kind, name
        if labels[name]:
            assert labels[name] == {part.strip() for part in documented_labels.split(",")}, name
    assert "m-greeter" not in json.dumps([list(key) for key in scraper.samples])
