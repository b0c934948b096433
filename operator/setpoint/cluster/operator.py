"""Puts the operator together and runs it until it is told to stop.

kopf cancels, when it stops, every task that was created after it started. So everything that has to outlive it for a moment,
the workers with their writes in flight, the poster of Events and the health endpoints, is started before it.
"""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, cast
from uuid import uuid4

import kopf

from setpoint.cluster import api
from setpoint.cluster.apiserver import ApiServerGuard
from setpoint.cluster.audit import Audit
from setpoint.cluster.connections import ConnectionPool
from setpoint.cluster.events import EventPoster
from setpoint.cluster.handlers import register
from setpoint.cluster.informer import informer_settings, new_registry
from setpoint.cluster.leader import LEASE, Elector
from setpoint.cluster.load import load
from setpoint.cluster.monitor import ConnectionMonitor
from setpoint.cluster.pulse import Pulse
from setpoint.cluster.secrets import Secrets
from setpoint.cluster.status import StatusWriter
from setpoint.cluster.store import Store
from setpoint.cluster.web import WebServer, metrics_page, probe_page
from setpoint.metrics import ConnectionState, Metrics, Sources
from setpoint.reconcile.base import Reconciler
from setpoint.reconcile.chain_autoscaling import ChainReconciler
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.deployment_autoscaling import DeploymentReconciler
from setpoint.reconcile.model_config_governance import GovernanceReconciler
from setpoint.reconcile.ports import Clock, ClusterUnavailable, LoopClock, ResourceGone
from setpoint.remotes.commons import Commons
from setpoint.remotes.limits import Limits
from setpoint.resources import (
    GROUP,
    KINDS,
    VERSION,
    ChainAutoscaling,
    DeploymentAutoscaling,
    ModelConfigGovernance,
)
from setpoint.resources.common import clean_message
from setpoint.settings import Settings

log = logging.getLogger(__name__)

GRACE = 8.0
"""Seconds the looks under way may take to end after a signal; Kubernetes allows 30 for all of it."""

SHARD_LABEL = f"sharding.{GROUP}/key"
_CRD_PATIENCE = 2.0


class WatchFailed(Exception):
    """The API server ended a watch in a way from which only a new process recovers, for instance with its CRD."""


async def run(settings: Settings) -> None:
    """Run the operator until SIGTERM or SIGINT.

    Raises:
        NoCluster: there is neither a service account nor a kubeconfig.
        OSError: the address for health or metrics cannot be used.
        LeadershipLost: another replica may lead from now on.
        WatchFailed: a watch cannot go on; what was under way has ended, and another replica may lead at once.
    """
    # What was imported stays. Left to the garbage collector, which looks at all there is from time to time, it would take
    # half of a tenth of a second of the event loop each time.
    gc.freeze()
    metrics = Metrics()
    kube = await api.connect(metrics.asked_kubernetes)
    try:
        await _run_with(kube, settings, metrics)
    finally:
        await kube.aclose()


async def _run_with(kube: api.KubeApi, settings: Settings, metrics: Metrics) -> None:
    clock = LoopClock()
    random = Random()  # noqa: S311 - jitter, no secret
    namespaces = settings.watched_namespaces
    store = Store(kube, clock)
    events = EventPoster(kube, clock)
    connections = ConnectionPool(
        kube=kube,
        store=store,
        secrets=Secrets(kube, clock),
        limits=Limits(),
        hosts=settings.hosts,
        clock=clock,
        cluster_wide=not namespaces,
        connections_per_namespace=settings.connections_per_namespace,
        meter=metrics,
        commons=Commons(settings.largest_answer),
    )
    elector = Elector(
        kube,
        clock,
        random,
        namespace=settings.lease_namespace or kube.namespace,
        identity=f"{socket.gethostname()}_{uuid4().hex[:8]}",
        name=f"{LEASE}-{settings.shard.lower()}" if settings.shard else LEASE,
    )
    controller = Controller(
        view=store,
        reporter=StatusWriter(kube, store, events),
        reconcilers=_reconcilers(connections, clock, settings),
        clock=clock,
        random=random,
        workers=settings.workers,
        may_write=elector.held if settings.leader_elect else None,
        telemetry=metrics,
    )
    audit = Audit(
        kube=kube,
        store=store,
        controller=controller,
        clock=clock,
        namespaces=namespaces,
        label_selector=_shard_selector(settings),
    )
    monitor = ConnectionMonitor(
        kube=kube, store=store, pool=connections, controller=controller, clock=clock, random=random
    )
    guard = ApiServerGuard(kube, connections)
    pulse = Pulse(clock)
    signals = _Signals()
    metrics.watch(
        Sources(
            resources=store.shown,
            connections=lambda: _connection_states(store),
            stalest=controller.stalest,
            queued=lambda: controller.backlog,
            longest_wait=lambda: controller.longest_wait,
            under_way=lambda: controller.under_way,
            watch_age=lambda: audit.watch_age,
            leads=elector.held if settings.leader_elect else lambda: True,
            longest_block=lambda: pulse.longest_block,
        )
    )
    servers = _servers(settings, metrics, audit, signals)
    for server in servers:
        await server.start()
    working = asyncio.create_task(controller.run(), name="controller")
    essential = [
        working,
        asyncio.create_task(events.run(), name="events"),
        asyncio.create_task(audit.run(), name="audit"),
        asyncio.create_task(pulse.run(), name="pulse"),
    ]
    taking = asyncio.create_task(signals.take_back(), name="signals")
    try:
        signals.listen()
        if await _wait_for_crds(kube, signals.stopping) and await _elected(settings, elector, signals):
            if settings.leader_elect:
                essential.append(asyncio.create_task(elector.hold(lost=lambda: _abort(working)), name="lease"))
            await guard.look()
            essential.append(asyncio.create_task(guard.run(), name="guard"))
            await load(
                kube,
                store,
                controller,
                namespaces=namespaces,
                label_selector=_shard_selector(settings),
                stopping=signals.stopping,
            )
            essential.append(asyncio.create_task(monitor.run(), name="monitor"))
            await _watch(settings, store, controller, monitor, signals, essential)
        await _wind_down(controller, working, events, elector)
    except WatchFailed:
        await _wind_down(controller, working, events, elector)
        raise
    finally:
        for task in (*essential, taking):
            task.cancel()
        await asyncio.gather(*essential, taking, return_exceptions=True)
        await connections.aclose()
        for server in servers:
            await server.stop()
    log.info("stopped")


def _servers(settings: Settings, metrics: Metrics, audit: Audit, signals: "_Signals") -> list[WebServer]:
    health = {
        "/healthz": probe_page(lambda: audit.dead_watch),
        "/readyz": probe_page(lambda: audit.dead_watch if signals.ready.is_set() else "not watching yet"),
    }
    servers = [WebServer(settings.health_address, health)]
    if settings.metrics_address:
        servers.append(WebServer(settings.metrics_address, {"/metrics": metrics_page(metrics.exposition)}))
    return servers


def _connection_states(store: Store) -> Iterator[ConnectionState]:
    for key, connection in store.connections().items():
        yield ConnectionState(
            key=key,
            provider="Baseten" if connection.spec.baseten is not None else "Bifrost",
            ready=connection.status.ready,
            resources=connection.status.resources or 0,
        )


def _abort(working: asyncio.Task[None]) -> None:
    """Cancel what is under way: another replica may begin in a few seconds."""
    working.cancel()


class _Signals:
    """What has been reached and what was asked of the process."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.watching = asyncio.Event()
        self.ready = asyncio.Event()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    async def take_back(self) -> None:
        """Take the signals back from kopf, which claims them at its start, so that work stops the moment one comes."""
        await self.watching.wait()
        self.ready.set()
        self.listen()


async def _elected(settings: Settings, elector: Elector, signals: _Signals) -> bool:
    """Wait until this replica leads; False where a signal came first. A replica that stands by is ready."""
    if not settings.leader_elect:
        return True
    signals.ready.set()
    return await elector.acquire(signals.stopping)


async def _watch(
    settings: Settings,
    store: Store,
    controller: Controller,
    monitor: ConnectionMonitor,
    signals: _Signals,
    essential: list[asyncio.Task[None]],
) -> None:
    """Watch until a signal comes; anything else that ends is a failure of the whole process.

    Raises:
        LeadershipLost: another replica may lead from now on.
        WatchFailed: a watch cannot go on.
        RuntimeError: a part that should run for ever ended.
    """
    if signals.stopping.is_set():
        return
    namespaces = settings.watched_namespaces
    registry = new_registry(LoopClock())
    register(registry, store, controller, monitor, cluster_wide=not namespaces)
    log.info("watching %s", ", ".join(namespaces) if namespaces else "all namespaces")
    watch = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=informer_settings(_shard_selector(settings)),
            standalone=True,
            # kopf would ask for the name of the user, whom a container may not know.
            identity=cast("Any", "setpoint"),
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=signals.watching,
            stop_flag=signals.stopping,
        ),
        name="watch",
    )
    stopped = asyncio.create_task(signals.stopping.wait(), name="stopped")
    await asyncio.wait({watch, stopped, *essential}, return_when=asyncio.FIRST_COMPLETED)
    asked = signals.stopping.is_set()
    if asked:
        controller.stop()
    try:
        if not asked:
            # The lease comes last in the list and first here: its loss ends the others.
            for task in (*reversed(essential), watch):
                if task.done() and not task.cancelled():
                    if task is watch and (error := task.exception()):
                        raise WatchFailed(clean_message(f"a watch ended: {type(error).__name__}: {error}")) from error
                    task.result()
                    raise RuntimeError(f"{task.get_name()} ended by itself")
            raise RuntimeError("a part of the operator was cancelled")
    finally:
        signals.stopping.set()
        stopped.cancel()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(GRACE):
                await asyncio.gather(watch, return_exceptions=True)


async def _wait_for_crds(kube: api.KubeApi, stopping: asyncio.Event) -> bool:
    """Wait until the API server serves every kind; False where a signal came first."""
    told = False
    wanted = {model.PLURAL for model in KINDS}
    while not stopping.is_set():
        try:
            served = await kube.get(f"/apis/{GROUP}/{VERSION}")
            missing = wanted - {entry["name"] for entry in served.get("resources", [])}
            problem = f"CRDs are missing: {', '.join(sorted(missing))} (kubectl apply -f crds/)" if missing else None
        except ResourceGone:
            problem = "the CRDs are not installed (kubectl apply -f crds/)"
        except (ClusterUnavailable, api.RequestRefused) as error:
            problem = str(error)
        if problem is None:
            return True
        if not told:
            log.warning("waiting: %s", problem)
            told = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CRD_PATIENCE):
                await stopping.wait()
    return False


async def _wind_down(
    controller: Controller, working: asyncio.Task[None], events: EventPoster, elector: Elector
) -> None:
    """Let the looks under way end and their Events go out, within the grace; then another replica may begin."""
    controller.stop()
    try:
        async with asyncio.timeout(GRACE):
            await asyncio.shield(working)
    except TimeoutError:
        log.warning("some looks did not end within %d s", GRACE)
    await events.drain(1.0)
    await elector.release()


def _reconcilers(
    connections: ConnectionPool, clock: Clock, settings: Settings
) -> Mapping[str, Reconciler[Any, Any, Any, Any]]:
    return {
        DeploymentAutoscaling.kind(): DeploymentReconciler(connections, clock, dry_run=settings.dry_run),
        ChainAutoscaling.kind(): ChainReconciler(connections, clock, dry_run=settings.dry_run),
        ModelConfigGovernance.kind(): GovernanceReconciler(connections, clock, dry_run=settings.dry_run),
    }


def _shard_selector(settings: Settings) -> str | None:
    return f"{SHARD_LABEL}={settings.shard}" if settings.shard else None
