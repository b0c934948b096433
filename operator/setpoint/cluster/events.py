"""Kubernetes Events: what happened to a resource, for `kubectl describe`.

Events are help for people, not state: they are posted by one task, so many a second, and dropped where the API server does
not take them or cannot keep up. One resource has a burst of 25 and then one every five minutes, like everything that uses
client-go's recorder. Those that wait are posted in turns, one of each namespace, and a namespace that has more to tell than
fits loses its own and nobody else's.
"""

import asyncio
import logging
import socket
from collections import Counter, OrderedDict
from typing import Any
from uuid import uuid4

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.reconcile.ports import Clock, ClusterUnavailable, Event, ResourceGone
from setpoint.reconcile.turns import Lane, Turns
from setpoint.resources.common import API_VERSION, Managed

log = logging.getLogger(__name__)

COMPONENT = "setpoint"
ENDING = "because it is being terminated"
"""What the API server says of a namespace in which nothing can be created any more; the log has what happened there."""
BACKLOG = 2000
"""Events that wait at most. No namespace has more of them than there are places left, so that one alone fills half, and
another always finds some."""
RATE = 50
"""Events a second at most, as many as a kubelet posts."""
BURST = 25
REFILL = 300.0
"""Seconds in which a resource earns one Event more."""
REMEMBERED = 4096
"""Resources whose Events are counted; the ones that told something last."""


class EventPoster:
    """Posts Events in the background."""

    def __init__(self, kube: KubeApi, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._turns: Turns[dict[str, Any]] = Turns(seats=1, total=1)
        self._waiting: Counter[str] = Counter()
        """How many Events wait of each namespace, with the one that is being posted."""
        self._news = asyncio.Event()
        self._all_posted = asyncio.Event()
        self._all_posted.set()
        self._host = socket.gethostname()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By uid: how many Events a resource may still post, and when that was so."""
        self._refused = False
        """The API server does not let the operator post Events; told once."""

    def post(self, resource: Managed, event: Event) -> None:
        """Queue an Event about a resource; dropped when it has told too much, or too many wait already."""
        meta = resource.metadata
        if self._waiting[meta.namespace] >= BACKLOG - self._waiting.total():
            log.debug("dropped an Event of %s/%s: too many of its namespace wait", meta.namespace, meta.name)
            return
        if not self._earned(meta.uid):
            log.debug("dropped an Event of %s/%s: it has told too much", meta.namespace, meta.name)
            return
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta.name[:200]}.{uuid4().hex[:16]}", "namespace": meta.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": resource.kind(),
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
            "type": str(event.type),
            "reason": event.reason,
            "message": event.message[:1024],
            "source": {"component": COMPONENT, "host": self._host},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._host,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self._turns.put(body, Lane(meta.namespace, None))
        self._waiting[meta.namespace] += 1
        self._all_posted.clear()
        self._news.set()

    async def run(self) -> None:
        """Post for ever."""
        while True:
            taken = self._turns.take(lambda *_: True)
            if taken is None:
                self._news.clear()
                await self._news.wait()
                continue
            body, lane = taken
            try:
                await self._create(body)
            finally:
                self._turns.leave(lane)
                self._posted(body["metadata"]["namespace"])
            await asyncio.sleep(1 / RATE)

    async def _create(self, body: dict[str, Any]) -> None:
        try:
            await self._kube.create(f"/api/v1/namespaces/{body['metadata']['namespace']}/events", body)
        except RequestRefused as error:
            if ENDING in str(error):
                log.debug("an Event was not posted: %s", error)
            elif not self._refused:
                log.warning("Events are not posted: %s", error)
                self._refused = True
        except (ClusterUnavailable, ResourceGone) as error:
            log.debug("an Event was not posted: %s", error)

    def _posted(self, namespace: str) -> None:
        self._waiting[namespace] -= 1
        if not self._waiting[namespace]:
            del self._waiting[namespace]
        if not self._waiting:
            self._all_posted.set()

    def _earned(self, uid: str) -> bool:
        now = self._clock.monotonic()
        left, since = self._left.pop(uid, (float(BURST), now))
        left = min(left + (now - since) / REFILL, BURST)
        may = left >= 1
        self._left[uid] = (left - may, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return may

    async def drain(self, timeout: float) -> None:
        """Wait until what is queued was posted, but not longer than `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._all_posted.wait()
        except TimeoutError:
            log.debug("%d Events were not posted before the end", self._waiting.total())
