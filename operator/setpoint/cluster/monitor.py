"""Tells of every connection whether it works, before and without a resource that needs it.

Each connection is tried with one cheap read when it appears or changes, and from time to time. A refused credential is
tried by the gate's rules, like any resource: one probe after each pause. The status is written when something in it
changed, so a connection that works costs the API server nothing.

Tries take turns, those of one namespace's Connections among themselves (`reconcile.turns`): hundreds that do not answer keep
nobody else from being told within moments that his new one works.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from random import Random

from pydantic import ValidationError

from setpoint.cluster import api
from setpoint.cluster.connections import ConnectionPool
from setpoint.cluster.status import operations, still
from setpoint.cluster.store import Store
from setpoint.reconcile import conditions
from setpoint.reconcile.conditions import Reason, Verdict
from setpoint.reconcile.controller import Controller
from setpoint.reconcile.ports import (
    Clock,
    ClusterUnavailable,
    ConnectionNotAllowed,
    ConnectionNotFound,
    Key,
    ResourceGone,
    lane_of,
)
from setpoint.reconcile.turns import Seats
from setpoint.remotes.errors import RemoteError, TransientError
from setpoint.resources import ClusterConnection, Connection
from setpoint.resources.connection import ConnectionStatus

log = logging.getLogger(__name__)

ROUND = 5.0
"""Seconds between two looks at what is due."""
PAUSE = 0.2
"""Seconds between two looks at least: somebody who changes a connection all the time makes none of them more often."""
AT_ONCE = 32
"""Connections tried at once, and statuses written at once; of one namespace a quarter of each."""
WORKING = 300.0
BROKEN = 15.0
"""Seconds between two tries of a connection that works, and of one that does not."""

_OF_THE_CONNECTION = {Reason.UNEXPECTED_ANSWER, Reason.CONNECTION_NOT_ALLOWED}
"""Reasons of resources that are their connection's; those of missing and refused credentials are tried again by themselves."""


class ConnectionMonitor:
    """Keeps the status of connections."""

    def __init__(
        self,
        *,
        kube: api.KubeApi,
        store: Store,
        pool: ConnectionPool,
        controller: Controller,
        clock: Clock,
        random: Random,
    ) -> None:
        self._kube = kube
        self._store = store
        self._pool = pool
        self._controller = controller
        self._clock = clock
        self._random = random
        self._due: dict[Key, float] = {}
        self._states: dict[Key, tuple[object, ...]] = {}
        """What a connection was when it was tried last."""
        self._under_way: dict[Key, tuple[Seats, asyncio.Task[None]]] = {}
        """Who has a seat or waits for one, and where."""
        self._asking: set[Key] = set()
        """Those of which an answer is awaited."""
        self._news = asyncio.Event()
        self._trying = Seats(seats=1, total=AT_ONCE)
        self._telling = Seats(seats=1, total=AT_ONCE)
        """For what asks no remote and does not wait for those that do not answer."""
        self._users: Counter[Key] = Counter()

    def changed(self) -> None:
        """Tell that a connection is new or another one, so that it is looked at at once."""
        self._news.set()

    async def run(self) -> None:
        """Look after the connections for ever, each by itself: one that does not answer holds up no other."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                self._users = Counter(self._store.connection_uses())
                there = self._store.connections()
                for known in (self._due, self._states):
                    for key in known.keys() - there.keys():
                        del known[key]
                await self._pool.keep(there.keys())
                for key, (seats, task) in self._under_way.items():
                    if seats is self._trying and self._is_moot(key):
                        task.cancel()
                for key in there.keys() - self._under_way.keys():
                    if self._is_due(key) or there[key].status.resources != self._users[key]:
                        seats = self._trying if self._asks_remote(key) else self._telling
                        self._under_way[key] = seats, group.create_task(self._guarded(key, seats))
                await asyncio.sleep(PAUSE)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROUND * self._random.uniform(0.8, 1.0)):
                        await self._news.wait()

    async def _guarded(self, key: Key, seats: Seats) -> None:
        try:
            # One that is new or another one goes before those that are tried once more.
            level = 0 if self._is_news(key) else 1
            async with seats.seat(lane_of(key), level=level):
                # As it is now: it may have waited for its turn.
                connection = self._store.connection(*key)
                if connection is not None and (seats is self._trying or not self._asks_remote(key)):
                    await self._look(key, connection)
        except api.RequestRefused as error:
            log.warning("the status of %s was not written: %s", key, error)
        except (ClusterUnavailable, ResourceGone, ValidationError) as error:
            log.debug("the status of %s was not written: %s", key, error)
        except Exception:  # what only tells must not stop what works
            log.exception("the operator failed on this connection", extra={"object": key._asdict()})
        except asyncio.CancelledError:
            self.changed()
            raise
        finally:
            del self._under_way[key]

    async def _look(self, key: Key, connection: Connection | ClusterConnection) -> None:
        status = connection.status.model_copy(update={"resources": self._users[key]})
        now = self._clock.monotonic()
        if self._is_due(key):
            self._states[key] = self._state(connection)
            verdict, version = await self._tried(key, connection)
            generation = connection.metadata.generation
            status = status.model_copy(
                update={
                    "observed_generation": generation,
                    "remote_version": version or status.remote_version,
                    "conditions": conditions.apply(status.conditions, verdict, generation, self._clock.now()),
                }
            )
            if verdict.ready == "True" and not connection.status.ready:
                self._wake(key)
            # One that is not admitted is tried when it is.
            steady = verdict.ready == "True" or not self._pool.is_admitted(connection)
            self._due[key] = now + (WORKING if steady else BROKEN) * self._random.uniform(0.9, 1.1)
        await self._write(key, connection, status)

    def _asks_remote(self, key: Key) -> bool:
        connection = self._store.connection(*key)
        return connection is not None and self._is_due(key) and self._pool.is_admitted(connection)

    def _is_moot(self, key: Key) -> bool:
        """Tell whether it is of no use any more to try a connection as it was when that began."""
        connection = self._store.connection(*key)
        if connection is None or not self._pool.is_admitted(connection):
            return True
        return key in self._asking and self._is_news(key)

    def _is_due(self, key: Key) -> bool:
        """Tell whether a connection is to be tried: it is new or another one, or it is time."""
        return self._is_news(key) or self._clock.monotonic() >= self._due.get(key, float("-inf"))

    def _is_news(self, key: Key) -> bool:
        """Tell whether a connection was not tried yet as it is now."""
        connection = self._store.connection(*key)
        return connection is not None and self._states.get(key) != self._state(connection)

    def _state(self, connection: Connection | ClusterConnection) -> tuple[object, ...]:
        meta = connection.metadata
        return meta.uid, meta.generation, self._pool.is_admitted(connection)

    def _wake(self, key: Key) -> None:
        """Have those looked at of which the connection's trouble was told; they would wait for their interval."""
        for user in self._store.users_of(*key):
            if self._store.reason(user) in _OF_THE_CONNECTION:
                self._controller.connection_changed(user)

    async def _tried(self, key: Key, connection: Connection | ClusterConnection) -> tuple[Verdict, str | None]:
        try:
            self._asking.add(key)
            # What is broken is perhaps being repaired, so its Secret is read again.
            version, woken = await self._pool.probe(key, connection, fresh=not connection.status.ready)
        except ConnectionNotFound as error:
            return conditions.connection_missing(error, stalled=True), None
        except TransientError as error:
            return conditions.failing(error), None
        except (ConnectionNotAllowed, RemoteError) as error:
            verdict = conditions.refused(error)
            if verdict is None or verdict.reason in {Reason.TARGET_NOT_FOUND, Reason.INVALID_SETTINGS}:
                # The probe asks for a list, which every remote of the right kind has.
                verdict = conditions.not_the_remote(error)
            return verdict, None
        finally:
            self._asking.discard(key)
        for user in woken:
            self._controller.connection_changed(user)
        return conditions.connected(self._pool.url(connection)), version

    async def _write(self, key: Key, connection: Connection | ClusterConnection, status: ConnectionStatus) -> None:
        before, after = connection.status.dump(), status.dump()
        changes = operations(before, after)
        if not changes:
            return
        meta = connection.metadata
        same = still(meta.uid, meta.resource_version)
        path = api.item(type(connection), meta.namespace, meta.name)
        try:
            body = await self._kube.json_patch(f"{path}/status", [*same, *changes])
        except api.RequestRefused:
            # Most often because it is another version by now, which the watch is about to show: the next round begins with it.
            self._due.pop(key, None)
            raise
        with contextlib.suppress(ValidationError):
            self._store.put_connection({**body, "kind": connection.kind()})
