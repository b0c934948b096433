"""Metrics: what is counted, what is read at a scrape, and that labels stay bounded."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from setpoint.metrics import MOST_LIMITS, MOST_NAMED, ConnectionState, Metrics, Sources
from setpoint.reconcile.ports import Event, EventType, Key
from setpoint.resources import MANAGED_KINDS
from setpoint.resources.shown import Shown, UsedLimit, shown

LLAMA = Key("DeploymentAutoscaling", "ml", "llama")
GPT = Key("ModelConfigGovernance", "ai", "gpt")
SINCE = "2026-01-01T00:00:00Z"
READY = Shown("True", "Synced", SINCE, suspended=False, used=())
REFUSED = Shown("False", "InvalidSettings", SINCE, suspended=False, used=())

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(metrics: Metrics) -> Samples:
    """Return every sample by name and labels."""
    content_type, body = metrics.exposition("text/plain")
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def sample(found: Samples, metric: str, /, **labels: str) -> float | None:
    """Return one sample, None where there is none."""
    return found.get((metric, tuple(sorted(labels.items()))))


def watching(there: dict[Key, Shown], **connections: bool) -> Metrics:
    """Return metrics of these resources, and of connections that are ready or not."""
    metrics = Metrics()
    metrics.watch(
        Sources(
            resources=lambda: iter(there.items()),
            connections=lambda: [
                ConnectionState(Key("Connection", "ml", name), "Baseten", ready, 7)
                for name, ready in connections.items()
            ],
            stalest=lambda: {"DeploymentAutoscaling": 12.5},
            queued=lambda: 3,
            longest_wait=lambda: 4.5,
            under_way=lambda: 2,
            watch_age=lambda: 60.0,
            leads=lambda: True,
            longest_block=lambda: 0.25,
        )
    )
    return metrics


def test_what_an_alert_waits_for_begins_at_zero() -> None:
    found = samples(Metrics())
    for model in MANAGED_KINDS:
        assert sample(found, "setpoint_reconcile_total", kind=model.kind(), result="error") == 0
        bug = {"type": "Warning", "reason": "InternalError"}
        assert sample(found, "setpoint_events_total", kind=model.kind(), **bug) == 0


def test_resources_are_counted_by_kind_and_condition_and_named_while_not_ready() -> None:
    paused = REFUSED._replace(suspended=True)
    there = {LLAMA: READY, LLAMA._replace(name="bad"): REFUSED, LLAMA._replace(name="paused"): paused}
    there |= {LLAMA._replace(name="seen"): READY._replace(reason="DriftDetected", drifted=True)}
    there |= {LLAMA._replace(name="fought"): READY._replace(reason="Applying", contested=True)}
    found = samples(watching(there))
    kind = "DeploymentAutoscaling"
    assert sample(found, "setpoint_resources", kind=kind, ready="True", reason="Synced") == 1
    assert sample(found, "setpoint_resources", kind=kind, ready="False", reason="InvalidSettings") == 2
    assert [
        sample(found, f"setpoint_resources_{word}", kind=kind) for word in ("suspended", "drifted", "contested")
    ] == [
        1,
        1,
        1,
    ]
    named = {name: value for (name, _), value in found.items() if "not_ready" in name}
    assert named == {"setpoint_resource_not_ready_since_timestamp_seconds": 1767225600.0}


def test_of_many_that_are_not_ready_those_are_named_that_are_so_for_longest() -> None:
    there = {
        LLAMA._replace(name=f"r{number}"): REFUSED._replace(since=f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z")
        for number in range(MOST_NAMED + 100)
    }
    found = samples(watching(there))
    names = {dict(labels)["name"] for (name, labels) in found if "not_ready_since" in name}
    assert names == {f"r{number}" for number in range(MOST_NAMED)}


def test_a_reason_that_nobody_knows_makes_no_label_of_its_own() -> None:
    there = {LLAMA._replace(name=f"r{number}"): REFUSED._replace(reason=f"Made up {number}") for number in range(9)}
    found = samples(watching(there))
    assert sample(found, "setpoint_resources", kind=LLAMA.kind, ready="False", reason="Other") == 9


def test_corrections_are_counted_by_resource_and_forgotten_with_it() -> None:
    there = {LLAMA: READY, GPT: READY}
    metrics = watching(there)
    event = Event(EventType.NORMAL, "DriftCorrected", "maxReplica")
    for key in (LLAMA, LLAMA, GPT):
        metrics.told(key, event)
    name = "setpoint_drift_corrected_total"
    assert sample(samples(metrics), name, **LLAMA._asdict()) == 2
    del there[LLAMA]
    found = samples(metrics)
    assert sample(found, name, **LLAMA._asdict()) is None
    assert sample(found, name, **GPT._asdict()) == 1
    labels = {"kind": LLAMA.kind, "type": "Normal", "reason": "DriftCorrected"}
    assert sample(found, "setpoint_events_total", **labels) == 2


def serving(status: str, **chainlets: str) -> Shown:
    """Return what is counted of a status that tells of these states."""
    told = [{"name": name, "status": state} for name, state in chainlets.items()]
    return shown({"metadata": {}, "status": {"serving": {"status": status, "chainlets": told}}})


def test_targets_are_counted_by_state_and_named_while_they_do_not_serve() -> None:
    chain = Key("ChainAutoscaling", "ml", "rag")
    there = {
        LLAMA: serving("ACTIVE"),
        LLAMA._replace(name="asleep"): serving("SCALED_TO_ZERO"),
        LLAMA._replace(name="broken"): serving("BUILD_FAILED"),
        LLAMA._replace(name="paused"): serving("INACTIVE")._replace(suspended=True),
        chain: serving("ACTIVE", A="ACTIVE", B="UNHEALTHY"),
        GPT: READY,
    }
    found = samples(watching(there))
    counts = {labels: value for (name, labels), value in found.items() if name == "setpoint_targets"}
    assert counts == {
        (("kind", LLAMA.kind), ("state", "ACTIVE")): 1,
        (("kind", LLAMA.kind), ("state", "SCALED_TO_ZERO")): 1,
        (("kind", LLAMA.kind), ("state", "BUILD_FAILED")): 1,
        (("kind", LLAMA.kind), ("state", "INACTIVE")): 1,
        (("kind", chain.kind), ("state", "ACTIVE")): 1,
    }
    name = "setpoint_target_not_serving"
    assert sample(found, name, kind=LLAMA.kind, namespace="ml", name="broken", state="BUILD_FAILED") == 1
    assert sample(found, name, **chain._asdict(), state="UNHEALTHY") == 1
    assert len([one for one in found if one[0] == name]) == 2


def test_states_make_no_more_series_than_there_is_room_for() -> None:
    there = {LLAMA._replace(name=f"r{number:03}"): serving(f"MADE_UP_{number}") for number in range(9)}
    failed = {LLAMA._replace(name=f"r{number:03}"): serving("FAILED") for number in range(9, MOST_NAMED + 100)}
    found = samples(watching({**there, **failed}))
    assert sample(found, "setpoint_targets", kind=LLAMA.kind, state="Other") == 9
    assert len([one for one in found if one[0] == "setpoint_target_not_serving"]) == MOST_NAMED


def test_used_limits_are_ratios_of_what_the_status_tells() -> None:
    usage = [
        {"limit": "budget", "resetDuration": "1M", "maxLimit": 150, "currentUsage": 120.0},
        {"limit": "requests", "resetDuration": "1m", "maxLimit": 1000, "currentUsage": 0},
    ]
    seen = shown({"metadata": {}, "status": {"usage": usage}})
    found = samples(watching({GPT: seen}))
    labels = {"namespace": "ai", "name": "gpt"}
    name = "setpoint_budget_used_ratio"
    assert sample(found, name, **labels, limit="budget", reset_duration="1M") == 0.8
    assert sample(found, name, **labels, limit="requests", reset_duration="1m") == 0


def window(number: int, **fields: Any) -> dict[str, Any]:
    """Return the usage of one window, as a status tells it."""
    return {
        "limit": "budget",
        "resetDuration": f"{number}h",
        "maxLimit": 100,
        "currentUsage": number % 100,
        **fields,
    }


def test_one_resource_has_few_limits_however_many_windows_its_remote_has() -> None:
    many = [window(number) for number in range(5000)]
    there = {
        GPT._replace(name=f"r{number}"): shown({"metadata": {}, "status": {"usage": many}}) for number in range(20)
    }
    metrics = watching(there)
    found = samples(metrics)
    assert len([one for one in found if one[0] == "setpoint_budget_used_ratio"]) == 20 * 10
    assert sample(found, "setpoint_budgets_left_out", namespace="ai") == 20 * 4990
    assert len(metrics.exposition("text/plain")[1].splitlines()) < 1000
    assert sum(len(seen.used) for seen in there.values()) == 200, "no more is kept in memory"


def test_what_a_status_left_out_is_counted_too() -> None:
    status = {"usage": [window(number) for number in range(12)], "omittedWindows": 30}
    found = samples(watching({GPT: shown({"metadata": {}, "status": status})}))
    assert sample(found, "setpoint_budgets_left_out", namespace="ai") == 32
    odds: tuple[object, ...] = ("30", -3, None, [], 1.5)
    for odd in odds:
        assert shown({"metadata": {}, "status": {"omittedWindows": odd}}).left_out == 0


def test_of_very_many_limits_of_a_namespace_those_are_named_that_are_used_most() -> None:
    used = (UsedLimit("budget", "1d", 0.5), UsedLimit("tokens", "1h", 0.9), UsedLimit("requests", "1h", 0.1))
    crowd = {GPT._replace(name=f"r{number:05}"): READY._replace(used=used) for number in range(MOST_LIMITS // 2)}
    neighbour = GPT._replace(namespace="other")
    found = samples(watching({**crowd, neighbour: READY._replace(used=used)}))
    named = [dict(labels) for (name, labels) in found if name == "setpoint_budget_used_ratio"]
    assert len([one for one in named if one["namespace"] == "ai"]) == MOST_LIMITS
    assert {one["limit"] for one in named if one["namespace"] == "ai"} == {"budget", "tokens"}
    assert len([one for one in named if one["namespace"] == "other"]) == 3
    assert sample(found, "setpoint_budgets_left_out", namespace="ai") == MOST_LIMITS // 2
    assert sample(found, "setpoint_budgets_left_out", namespace="other") is None


def test_words_of_a_remote_are_short_and_printable_and_name_one_series() -> None:
    odd = "1\x1b[2J\n\u202e" + "h" * 100_000
    usage = [window(1, resetDuration=odd), window(2, resetDuration=odd), window(3, limit=odd)]
    conditions = [{"type": "Ready", "status": odd, "reason": odd, "lastTransitionTime": odd}]
    seen = shown({"metadata": {}, "status": {"usage": usage, "conditions": conditions, "serving": {"status": odd}}})
    metrics = watching({GPT: seen})
    text = metrics.exposition("text/plain")[1].decode()
    assert max(map(len, text.splitlines())) < 400
    assert not [char for char in text if char != "\n" and not char.isprintable()]
    assert sum(line.startswith("setpoint_budget_used_ratio{") for line in text.splitlines()) == 2
    assert sample(samples(metrics), "setpoint_budgets_left_out", namespace="ai") == 1
    assert max(len(part) for part in seen if isinstance(part, str)) <= 64


def test_a_remotes_status_codes_make_few_series() -> None:
    metrics = Metrics()
    for code in [*map(str, range(100, 1000)), "timeout", "unreachable"]:
        metrics.answered("Baseten", "GET", code, 0.1)
    counts = {dict(labels)["code"] for (name, labels) in samples(metrics) if name == "setpoint_remote_requests_total"}
    assert {"200", "404", "429", "503", "timeout", "unreachable", "Other"} <= counts
    assert len(counts) < 80


def test_states_are_read_when_somebody_asks() -> None:
    metrics = watching({}, works=True, broken=False)
    found = samples(metrics)
    labels = {"kind": "Connection", "namespace": "ml", "provider": "Baseten"}
    assert sample(found, "setpoint_connection_ready", **labels, name="works") == 1
    assert sample(found, "setpoint_connection_ready", **labels, name="broken") == 0
    assert sample(found, "setpoint_connection_resources", **labels, name="works") == 7
    assert sample(found, "setpoint_oldest_sync_age_seconds", kind="DeploymentAutoscaling") == 12.5
    values = {
        "queue_depth": 3,
        "queue_oldest_seconds": 4.5,
        "reconciles_under_way": 2,
        "watch_age_seconds": 60,
        "leader": 1,
    }
    assert {name: sample(found, f"setpoint_{name}") for name in values} == values


def test_the_format_is_the_one_that_is_asked_for() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    content_type, body = watching({}).exposition(accept)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_status_that_somebody_else_wrote_is_counted_without_a_failure() -> None:
    broken: tuple[Any, ...] = (
        None,
        [],
        {"conditions": None},
        {"conditions": ["x"]},
        {"usage": [None, {"maxLimit": 0}]},
        {"usage": -3},
        {"conditions": 5},
        {"usage": [{"maxLimit": "7", "currentUsage": []}]},
        {"usage": [{"maxLimit": 10**400, "currentUsage": 1.5}]},
    )
    for status in broken:
        seen = shown({"metadata": {"creationTimestamp": SINCE}, "status": status})
        assert seen == Shown("Unknown", "Pending", SINCE, suspended=False, used=())
