"""What people, the remotes and the network do while the demo's operator works on: edits, drift, spending and faults."""

import time
from random import Random

from tests.controlplane.plane import ControlPlane
from tests.demo.world import CANARY, MODEL
from tests.e2e.stage import Place
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import GLOBAL_ROW
from tests.simulators.faults import Delay, Respond
from tests.simulators.process import BasetenSimulator

PACE = 3.0
"""Seconds between two things that happen."""


class Afternoon:
    """Happens in the demo's namespace, always in the same order."""

    def __init__(
        self, plane: ControlPlane, namespace: str, baseten: BasetenSimulator, bifrost: BifrostSimulator
    ) -> None:
        self._place = Place(plane, namespace)
        self._baseten = baseten
        self._bifrost = bifrost
        self._random = Random(7)
        self._spent = 12.5

    def go_by(self, seconds: float) -> None:
        """Let it happen for so long."""
        end = time.monotonic() + seconds
        happens = (
            self._edit,
            self._edit,
            self._spoil,
            self._spend,
            self._spend,
            self._slow,
            self._throttle,
            self._fail,
        )
        while time.monotonic() < end:
            self._random.choice(happens)()
            time.sleep(PACE)

    def _edit(self) -> None:
        self._place.patch("das", "llama-production", {"autoscaling": {"maxReplica": self._random.randint(3, 12)}})

    def _spoil(self) -> None:
        self._baseten.set_settings({"max_replica": self._random.randint(4, 9)}, model=MODEL, deployment=CANARY)
        self._place.request("das", "llama-canary", str(time.time()))

    def _spend(self) -> None:
        self._spent += self._random.uniform(2, 8)
        self._bifrost.set_usage(GLOBAL_ROW, budget={"1M": self._spent}, request_usage=self._random.randint(1, 900))
        self._place.request("mcg", "gpt-4o", str(time.time()))

    def _slow(self) -> None:
        self._baseten.inject(Delay(seconds=self._random.uniform(0.2, 1.5)), count=2)
        self._edit()

    def _throttle(self) -> None:
        self._baseten.inject(Respond(status=429, body={"error": "slow down", "retry_after": 2}), count=1)
        self._edit()

    def _fail(self) -> None:
        self._baseten.inject(Respond(status=503, body="<html>unavailable</html>"), count=2)
        self._edit()
