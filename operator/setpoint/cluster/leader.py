"""Leader election: of several replicas one works, and none begins before the one before it has stopped.

The lease is a `coordination.k8s.io/v1` Lease, renewed by its holder every two seconds. The rules are those of client-go:

- A candidate takes the lease when nobody holds it, or when it has not seen it change for as long as the lease says. That is
  measured by the candidate's own monotonic clock from the moment it saw the change, so clocks need not agree and may step.
- The holder may act until `RENEW_DEADLINE` after it *sent* its last successful renewal, which is five seconds before anybody
  else may take over. `held` tells it without asking anybody, and is asked before every remote write; when the time is up,
  what is under way is cancelled and the process ends.
- A machine that was suspended wakes with a monotonic clock that knows nothing of it (CLOCK_MONOTONIC stands still meanwhile,
  `man clock_gettime`), so the holder looks at the time of day, too: if either clock says that its time is up, it does not act
  until it has renewed. A time of day that is set costs it two seconds.
- Every request has a timeout well below the deadline, so that one that hangs does not hold up the next.
- A clean stop gives the lease back, after the last write has ended.

The election of the client library is not used: its requests have no timeout, it goes by the wall clock, ends silently on a
refused connection, and does not release.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.reconcile.ports import Clock, ClusterUnavailable, ResourceGone

log = logging.getLogger(__name__)

LEASE = "setpoint-leader"
LEASE_DURATION = 15.0
"""Seconds without a renewal after which another candidate may take over."""
RENEW_DEADLINE = 10.0
"""Seconds after the last renewal was sent at which the holder stops."""
RETRY_PERIOD = 2.0
REQUEST_TIMEOUT = 3.0
JITTER = 0.2
NEVER = datetime.min.replace(tzinfo=UTC)


class LeadershipLost(Exception):
    """The lease could not be renewed, or somebody else has it."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One state of the lease, and when it was first seen, in monotonic seconds."""

    body: dict[str, Any]
    at: float

    @property
    def holder(self) -> str:
        return str(self.body.get("spec", {}).get("holderIdentity") or "")

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    def expired(self, now: float) -> bool:
        duration = self.body.get("spec", {}).get("leaseDurationSeconds")
        return now - self.at >= (duration if isinstance(duration, int) else LEASE_DURATION)


class Elector:
    """One candidate for one lease."""

    def __init__(
        self,
        kube: KubeApi,
        clock: Clock,
        random: Random,
        *,
        namespace: str,
        identity: str,
        name: str = LEASE,
    ) -> None:
        self._kube = kube
        self._clock = clock
        self._random = random
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._seen: _Seen | None = None
        self._valid_until = float("-inf")
        self._valid_from_day, self._valid_until_day = NEVER, NEVER

    def held(self) -> bool:
        """Tell whether this candidate may act now."""
        return (
            self._clock.monotonic() < self._valid_until
            and self._valid_from_day <= self._clock.now() < self._valid_until_day
        )

    async def acquire(self, stopping: asyncio.Event) -> bool:
        """Wait until this candidate holds the lease; False where a signal came first."""
        told = ""
        while not stopping.is_set():
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT * 2):
                    if await self._round():
                        log.info("leading, as %s", self._identity)
                        return True
                state = f"standing by: {self._seen.holder} leads" if self._seen and self._seen.holder else ""
            except (ClusterUnavailable, ResourceGone, RequestRefused, TimeoutError) as error:
                state = f"standing by: the lease cannot be read or taken: {error}"
            if state and state != told:
                log.info(state)
                told = state
            await self._pause(stopping)
        return False

    async def hold(self, lost: Callable[[], None]) -> None:
        """Renew the lease for ever; `lost` is called the moment it can be renewed no more.

        Raises:
            LeadershipLost: then.
        """
        try:
            await self._renew_for_ever()
        except LeadershipLost:
            self._valid_until = float("-inf")
            lost()
            raise

    async def release(self) -> None:
        """Give the lease back, so that another candidate need not wait for its end; best effort."""
        if self._seen is None or self._seen.holder != self._identity:
            return
        self._valid_until = float("-inf")
        with contextlib.suppress(ClusterUnavailable, ResourceGone, RequestRefused, TimeoutError):
            async with asyncio.timeout(REQUEST_TIMEOUT):
                await self._write(self._seen, holder="", duration=1)
                log.info("gave the lease back")

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(RETRY_PERIOD, max(self._valid_until - self._clock.monotonic(), 0.0)))
            rest = self._valid_until - self._clock.monotonic()
            if rest <= 0:
                raise LeadershipLost(f"the lease {self._name} could not be renewed for {RENEW_DEADLINE:.0f} s")
            try:
                async with asyncio.timeout(min(REQUEST_TIMEOUT, rest)):
                    renewed = await self._round()
            except (ClusterUnavailable, ResourceGone, RequestRefused, TimeoutError) as error:
                log.warning("the lease was not renewed: %s", error or "no answer in time")
                continue
            if not renewed and self._seen is not None and self._seen.holder not in {"", self._identity}:
                raise LeadershipLost(f"the lease {self._name} is held by {self._seen.holder} now")

    async def _round(self) -> bool:
        """Look at the lease, and take or renew it where that is allowed; tell whether it is held."""
        sent = self._sending()
        try:
            self._observe(await self._kube.get(f"{self._collection}/{self._name}"))
        except ResourceGone:
            if self._others(self._seen):
                # Somebody has deleted it, and its holder may act on for a while.
                return False
            metadata = {"name": self._name}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
            created = await self._kube.create(self._collection, {**body, "spec": self._spec({}, self._identity)})
            self._took(created, sent)
            return True
        seen = self._seen
        if seen is None:
            return False
        if self._others(seen):
            return False
        sent = self._sending()
        self._took(await self._write(seen, holder=self._identity), sent)
        return True

    def _others(self, seen: _Seen | None) -> bool:
        """Tell whether somebody else may act."""
        return (
            seen is not None and seen.holder not in {"", self._identity} and not seen.expired(self._clock.monotonic())
        )

    def _observe(self, body: dict[str, Any]) -> None:
        """Remember the lease; its time counts from the answer that showed it first, the safe moment for a candidate."""
        if self._seen is None or self._seen.version != body["metadata"]["resourceVersion"]:
            self._seen = _Seen(body, self._clock.monotonic())

    def _sending(self) -> tuple[float, datetime]:
        return self._clock.monotonic(), self._clock.now()

    def _took(self, body: dict[str, Any], sent: tuple[float, datetime]) -> None:
        self._seen = _Seen(body, self._clock.monotonic())
        monotonic, day = sent
        self._valid_until = monotonic + RENEW_DEADLINE
        self._valid_from_day, self._valid_until_day = day, day + timedelta(seconds=RENEW_DEADLINE)

    async def _write(self, seen: _Seen, *, holder: str, duration: int = int(LEASE_DURATION)) -> dict[str, Any]:
        """Replace the lease as it was seen; the version in it makes the API server refuse if it changed since."""
        body = {**seen.body, "spec": self._spec(seen.body.get("spec") or {}, holder, duration)}
        return await self._kube.replace(f"{self._collection}/{self._name}", body)

    def _spec(self, before: dict[str, Any], holder: str, duration: int = int(LEASE_DURATION)) -> dict[str, Any]:
        # Times are for people; no decision depends on them.
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == holder
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            **before,
            "holderIdentity": holder,
            "leaseDurationSeconds": duration,
            "acquireTime": before.get("acquireTime") if same else now,
            "renewTime": now,
            "leaseTransitions": transitions if same or not holder else transitions + 1,
        }

    async def _pause(self, stopping: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_PERIOD * self._random.uniform(1 - JITTER, 1)):
                await stopping.wait()
