"""The chapter about a Bifrost gateway: a row is adopted, one is created, and an edit in its UI is put back."""

import json
import time
from typing import Any

import yaml

from tests.controlplane.plane import ControlPlane
from tests.demo.chapter import Chapter
from tests.demo.screen import Screen
from tests.demo.world import GATEWAY_SAMPLE, GATEWAY_TOKEN
from tests.e2e.stage import API, REQUESTED_AT
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import GLOBAL_ROW, BudgetSpec

TABLE = ("get", "mcg", "-n")


class GatewayChapter(Chapter):
    """Governance of model configs."""

    def __init__(self, screen: Screen, plane: ControlPlane, namespace: str, gateway: BifrostSimulator) -> None:
        self._screen = screen
        self._plane = plane
        self._namespace = namespace
        self._gateway = gateway

    def play(self) -> None:
        """Go through all steps.

        Raises:
            UnmetError: something did not go as it should.
        """
        screen = self._screen
        screen.say(
            f"A simulated Bifrost gateway is at {self._gateway.url}; people set limits by hand in its UI so far."
        )
        screen.say("It has a budget of $100 a month for gpt-4o, of which $12.50 are spent.")
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "bifrost", "namespace": self._namespace},
            "stringData": {"token": GATEWAY_TOKEN},
        }
        self._plane.kubectl("create", "-f", "-", stdin=yaml.safe_dump(secret))
        self._plane.apply(self._connection())
        self._kubectl("apply", "-n", self._namespace, "-f", GATEWAY_SAMPLE)
        for name in ("gpt-4o", "team-b"):
            self._until(
                lambda name=name: self._is(name, "True", "mcg"),  # type: ignore[misc] # a default binds the name
                f"{name} should become ready",
            )
        self._kubectl(*TABLE, self._namespace)
        screen.say("The model config of gpt-4o was adopted with what was spent; that of team-b is new:")
        screen.requests(entry for entry in self._gateway.journal() if entry.method in {"POST", "PUT"})
        self._put_back()

    def _put_back(self) -> None:
        screen = self._screen
        screen.say("Somebody raises the budget of gpt-4o to $9000 in the gateway's UI:")
        self._gateway.update_row(GLOBAL_ROW, budgets=[BudgetSpec(max_limit=9000, reset_duration="1M")])
        now = f"{REQUESTED_AT}={time.time():.0f}"
        self._kubectl("annotate", "mcg", "gpt-4o", "-n", self._namespace, "--overwrite", now)
        self._until(lambda: self._budget().max_limit == 150, "The operator should set the budget back to 150")
        self._event("gpt-4o", "DriftCorrected")
        spent = self._budget().current_usage
        screen.say(f"At the gateway, the budget is $150 again, and what was spent is still ${spent:.2f}.")
        self._check(spent == 12.5, f"$12.50 should still count as spent, but it is ${spent}.")
        others = json.dumps([row["model_name"] for row in self._gateway.rows()])
        self._check(len(self._gateway.rows()) == 5, f"The gateway should have 5 model configs, but it has {others}.")

    def _budget(self) -> BudgetSpec:
        [budget] = self._gateway.state(GLOBAL_ROW).budgets
        return budget

    def _connection(self) -> dict[str, Any]:
        auth = {"bearerSecretRef": {"name": "bifrost", "key": "token"}}
        return {
            "apiVersion": API,
            "kind": "Connection",
            "metadata": {"name": "bifrost", "namespace": self._namespace},
            "spec": {"bifrost": {"url": self._gateway.gateway_url, "auth": auth}},
        }
