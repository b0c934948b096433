"""Prometheus metrics of one operator process; docs/metrics.md explains them one by one.

Counters and histograms are fed while things happen. What describes a state (resources by condition, connections, the
queue) is read from where the state is when somebody scrapes, so it cannot drift away from it, and what is gone is gone.

Labels are bounded: kinds, reasons, states and codes are few. Series of single resources exist only for those that somebody
has to look at: not Ready (the `MOST_NAMED` that are so for longest), not serving (`MOST_NAMED` of them), corrected, or with a
limit: of these the first windows of a resource, and of a namespace the `MOST_LIMITS` that are used most.
"""

import platform
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Histogram, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from setpoint import __version__
from setpoint.reconcile.conditions import DRIFT_CORRECTED, Reason
from setpoint.reconcile.ports import Event, Key
from setpoint.resources import MANAGED_KINDS
from setpoint.resources.serving import STATES, UNKNOWN
from setpoint.resources.shown import Shown

MOST_NAMED = 500
MOST_LIMITS = 10_000
PENDING = "Pending"
OTHER = "Other"
RESULTS = ("done", "retry", "superseded", "error")

LOOK = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
WAIT = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A connection, and what its status says."""

    key: Key
    provider: str
    ready: bool
    resources: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Where states are read from at a scrape; ages in seconds."""

    resources: Callable[[], Iterable[tuple[Key, Shown]]]
    connections: Callable[[], Iterable[ConnectionState]]
    stalest: Callable[[], Mapping[str, float]]
    """Of each kind, how long ago a Ready resource was seen equal to its remote, at most."""
    queued: Callable[[], int]
    longest_wait: Callable[[], float]
    under_way: Callable[[], int]
    watch_age: Callable[[], float]
    leads: Callable[[], bool]
    longest_block: Callable[[], float]


class Metrics:
    """All metrics of a process; implements the meters of the controller, of remote clients and of the Kubernetes client."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("setpoint_build", "The version that runs.", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        self._looks = Counter(
            "setpoint_reconcile", "Looks at resources, by how they ended.", ["kind", "result"], registry=registry
        )
        self._durations = Histogram(
            "setpoint_reconcile_duration_seconds", "Length of a look.", ["kind"], buckets=LOOK, registry=registry
        )
        self._waits = Histogram(
            "setpoint_queue_wait_seconds",
            "Wait of a resource for its turn.",
            ["priority"],
            buckets=WAIT,
            registry=registry,
        )
        self._events = Counter(
            "setpoint_events", "What happened to resources.", ["kind", "type", "reason"], registry=registry
        )
        self._requests = Counter(
            "setpoint_remote_requests",
            "Requests to remote APIs, by HTTP status, timeout or unreachable.",
            ["provider", "method", "code"],
            registry=registry,
        )
        self._answers = Histogram(
            "setpoint_remote_request_duration_seconds",
            "Time from sending a request to the end of its answer.",
            ["provider", "method"],
            buckets=LOOK,
            registry=registry,
        )
        self._throttled = Histogram(
            "setpoint_remote_wait_seconds",
            "Wait of a request for its turn at the rate limiter.",
            ["provider"],
            buckets=WAIT,
            registry=registry,
        )
        self._kubernetes = Counter(
            "setpoint_kubernetes_requests",
            "The operator's own requests to the Kubernetes API, besides its watches.",
            ["method", "code"],
            registry=registry,
        )
        self._corrected: Tally[Key] = Tally()
        self._begin_at_zero()

    def watch(self, sources: Sources) -> None:
        """Read states from these sources from now on."""
        self._registry.register(_States(sources, self._corrected))

    def waited(self, service: str, seconds: float) -> None:
        """Count a request's wait for its turn."""
        self._throttled.labels(service).observe(seconds)

    def answered(self, service: str, method: str, code: str, seconds: float) -> None:
        """Count a request to a remote API."""
        self._requests.labels(service, method, OTHER if code.isdecimal() and code not in _CODES else code).inc()
        self._answers.labels(service, method).observe(seconds)

    def queued(self, key: Key, seconds: float, *, urgent: bool) -> None:
        """Count a resource's wait for its turn."""
        self._waits.labels("urgent" if urgent else "routine").observe(seconds)

    def looked(self, key: Key, seconds: float, *, result: str) -> None:
        """Count a look."""
        self._looks.labels(key.kind, result).inc()
        self._durations.labels(key.kind).observe(seconds)

    def told(self, key: Key, event: Event) -> None:
        """Count an Event."""
        self._events.labels(key.kind, event.type, event.reason).inc()
        if event.reason == DRIFT_CORRECTED:
            self._corrected[key] += 1

    def asked_kubernetes(self, method: str, code: str) -> None:
        """Count a request to the Kubernetes API."""
        self._kubernetes.labels(method, code).inc()

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """Return content type and text of all metrics, in the format that the Accept header prefers."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def _begin_at_zero(self) -> None:
        """Show what an alert waits for before it happens.

        `increase()` does not see the first step of a series that begins above zero.
        """
        for model in MANAGED_KINDS:
            for result in RESULTS:
                self._looks.labels(model.kind(), result)
            self._events.labels(model.kind(), "Warning", Reason.INTERNAL_ERROR)


class _States(Collector):
    """Reads the states at a scrape."""

    def __init__(self, sources: Sources, corrected: Tally[Key]) -> None:
        self._sources = sources
        self._corrected = corrected

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is depends on the resources."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all states."""
        yield from self._resources()
        yield from self._targets()
        yield from self._connections()
        source = self._sources
        stalest = GaugeMetricFamily(
            "setpoint_oldest_sync_age_seconds",
            "How long ago a Ready resource was seen equal to its remote, at most.",
            labels=["kind"],
        )
        for kind, age in source.stalest().items():
            stalest.add_metric([kind], age)
        yield stalest
        for name, text, value in (
            ("setpoint_queue_depth", "Resources that wait for their turn.", source.queued()),
            ("setpoint_queue_oldest_seconds", "Wait of the resource that waits longest.", source.longest_wait()),
            ("setpoint_reconciles_under_way", "Resources that are being looked at.", source.under_way()),
            ("setpoint_watch_age_seconds", "Time since the watches were last known to deliver.", source.watch_age()),
            (
                "setpoint_event_loop_longest_block_seconds",
                "Longest time in the last five minutes in which one thing kept the process from everything else.",
                source.longest_block(),
            ),
            ("setpoint_leader", "1 where this replica works, 0 where it stands by.", float(source.leads())),
        ):
            yield GaugeMetricFamily(name, text, value=value)

    def _resources(self) -> Iterator[Metric]:
        counts: Tally[tuple[str, str, str]] = Tally()
        flagged: dict[str, Tally[str]] = {word: Tally() for word, _ in _FLAGS}
        pending: list[tuple[str, Key, str]] = []
        limits: defaultdict[str, list[tuple[float, str, str, str]]] = defaultdict(list)
        left_out: Tally[str] = Tally()
        there: set[Key] = set()
        for key, shown in self._sources.resources():
            reason = shown.reason if shown.reason in _REASONS else OTHER
            ready = shown.ready if shown.ready in {"True", "False"} else "Unknown"
            counts[key.kind, ready, reason] += 1
            for word, tally in flagged.items():
                tally[key.kind] += getattr(shown, word)
            if shown.ready != "True" and not shown.suspended:
                pending.append((shown.since, key, reason))
            limits[key.namespace] += [
                (limit.ratio, key.name, limit.limit, limit.reset_duration) for limit in shown.used
            ]
            left_out[key.namespace] += shown.left_out
            if key in self._corrected:
                there.add(key)
        for gone in self._corrected.keys() - there:
            del self._corrected[gone]
        resources = GaugeMetricFamily(
            "setpoint_resources", "Resources by their Ready condition.", labels=["kind", "ready", "reason"]
        )
        for labels, count in sorted(counts.items()):
            resources.add_metric(labels, count)
        yield resources
        for word, text in _FLAGS:
            family = GaugeMetricFamily(f"setpoint_resources_{word}", text, labels=["kind"])
            for kind, count in sorted(flagged[word].items()):
                family.add_metric([kind], count)
            yield family
        yield _not_ready(pending)
        yield from _used_limits(limits, left_out)
        yield _corrections(self._corrected)

    def _targets(self) -> Iterator[Metric]:
        states: Tally[tuple[str, str]] = Tally()
        failing: list[tuple[Key, str]] = []
        for key, shown in self._sources.resources():
            if shown.state:
                states[key.kind, shown.state if shown.state in _STATES else OTHER] += 1
            if shown.failing and not shown.suspended:
                failing.append((key, shown.failing))
        targets = GaugeMetricFamily(
            "setpoint_targets", "Targets by the state that Baseten reports of them.", labels=["kind", "state"]
        )
        for labels, count in sorted(states.items()):
            targets.add_metric(labels, count)
        yield targets
        yield _not_serving(failing)

    def _connections(self) -> Iterator[Metric]:
        labels = ["kind", "namespace", "name", "provider"]
        ready = GaugeMetricFamily("setpoint_connection_ready", "1 where a connection works, else 0.", labels=labels)
        users = GaugeMetricFamily("setpoint_connection_resources", "Resources that use a connection.", labels=labels)
        for state in self._sources.connections():
            ready.add_metric([*state.key, state.provider], float(state.ready))
            users.add_metric([*state.key, state.provider], state.resources)
        yield ready
        yield users


_FLAGS = (
    ("suspended", "Suspended resources."),
    ("drifted", "Resources whose remote differs, which mode Observe or a schedule of the platform leaves alone."),
    ("contested", "Resources of which a field is corrected again and again, because somebody else sets it, too."),
)
_REASONS = {*Reason, PENDING}
_STATES = STATES | {UNKNOWN}
_CODES = {str(status.value) for status in HTTPStatus}


def _not_ready(pending: list[tuple[str, Key, str]]) -> Metric:
    family = GaugeMetricFamily(
        "setpoint_resource_not_ready_since_timestamp_seconds",
        f"When a resource became not Ready; the {MOST_NAMED} that are so for longest, without suspended ones.",
        labels=["kind", "namespace", "name", "reason"],
    )
    for since, key, reason in sorted(pending)[:MOST_NAMED]:
        family.add_metric([*key, reason], _timestamp(since))
    return family


def _used_limits(
    limits: Mapping[str, list[tuple[float, str, str, str]]], left_out: Mapping[str, int]
) -> Iterator[Metric]:
    """Yield the limits of each namespace, given as ratio, name and further labels, and how many have no series."""
    used = GaugeMetricFamily(
        "setpoint_budget_used_ratio",
        "Part of a limit that was used, as the resource's status tells: 1 is all of it.",
        labels=["namespace", "name", "limit", "reset_duration"],
    )
    unnamed = GaugeMetricFamily(
        "setpoint_budgets_left_out",
        "Limits that have no series of their own, because there are too many.",
        labels=["namespace"],
    )
    for namespace, listed in sorted(limits.items()):
        for ratio, *labels in sorted(listed, reverse=True)[:MOST_LIMITS]:
            used.add_metric([namespace, *labels], ratio)
        missing = max(len(listed) - MOST_LIMITS, 0) + left_out.get(namespace, 0)
        if missing:
            unnamed.add_metric([namespace], missing)
    yield used
    yield unnamed


def _not_serving(failing: list[tuple[Key, str]]) -> Metric:
    family = GaugeMetricFamily(
        "setpoint_target_not_serving",
        f"1 for a target whose state means that it does not serve; the first {MOST_NAMED} by name, without suspended ones.",
        labels=["kind", "namespace", "name", "state"],
    )
    for key, state in sorted(failing)[:MOST_NAMED]:
        family.add_metric([*key, state], 1)
    return family


def _corrections(corrected: Mapping[Key, int]) -> Metric:
    family = CounterMetricFamily(
        "setpoint_drift_corrected",
        "Times that drift of a resource was corrected.",
        labels=["kind", "namespace", "name"],
    )
    for key, count in sorted(corrected.items()):
        family.add_metric(key, count)
    return family


def _timestamp(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
