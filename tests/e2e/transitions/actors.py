"""A resource of its own for each field, with a remote thing of its own, and what that thing has to be like."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.e2e.stage import API, REQUESTED_AT, Object
from tests.simulators.baseten.specs import (
    ChainEnvironmentSpec,
    ChainletSpec,
    ChainletTarget,
    DeploymentSpec,
    DeploymentTarget,
    EnvironmentSpec,
    EnvironmentTarget,
)
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import BudgetSpec, RateLimitSpec, RowSpec
from tests.simulators.faults import Respond
from tests.simulators.process import BasetenSimulator

MODEL = "m-transitions"
PROVIDER = "openai"
REFUSAL = "the organization's policy has another opinion"
FOUND = {
    "minReplica": 0,
    "maxReplica": 10,
    "autoscalingWindow": 77,
    "scaleDownDelay": 888,
    "concurrencyTarget": 5,
    "targetUtilizationPercentage": 66,
    "targetInFlightTokens": 4444,
    "maxScaleDownRate": 33,
}
"""What every target has before anybody manages it."""
WIRE = {
    "minReplica": "min_replica",
    "maxReplica": "max_replica",
    "autoscalingWindow": "autoscaling_window",
    "scaleDownDelay": "scale_down_delay",
    "concurrencyTarget": "concurrency_target",
    "targetUtilizationPercentage": "target_utilization_percentage",
    "targetInFlightTokens": "target_in_flight_tokens",
    "maxScaleDownRate": "max_scale_down_rate",
}


@dataclass
class Actor(ABC):
    """A resource: `spec` is what is applied next, `expected` what its remote thing has to be like."""

    name: str
    namespace: str
    spec: Object
    expected: Object = field(default_factory=dict)
    requested: str | None = None

    KIND: ClassVar[str]
    SHORT: ClassVar[str]

    def manifest(self) -> Object:
        """Return what is applied."""
        metadata: Object = {"name": self.name, "namespace": self.namespace}
        if self.requested is not None:
            metadata["annotations"] = {REQUESTED_AT: self.requested}
        return {"apiVersion": API, "kind": self.KIND, "metadata": metadata, "spec": copy.deepcopy(self.spec)}

    @abstractmethod
    def expect(self) -> None:
        """Take the settings of the spec for what has to be, on top of what was."""

    @abstractmethod
    def remote(self) -> Object:
        """Return what the remote thing is like."""

    @abstractmethod
    def meddle(self, name: str, value: Any) -> None:
        """Change a setting behind the operator's back, which nobody manages from now on."""

    @abstractmethod
    def refuse(self) -> None:
        """Let the remote refuse every further write to the thing."""

    @abstractmethod
    def managed(self) -> Any:
        """Return the settings of the spec in the form of `status.applied`."""


@dataclass
class Autoscaled(Actor):
    """What deployments, environments and chainlets have in common."""

    baseten: BasetenSimulator = field(kw_only=True)
    pattern: str = field(kw_only=True)
    """Of the paths of its writes."""

    def refuse(self) -> None:
        """Let the remote refuse every further write to the thing."""
        answer = Respond(status=400, body={"code": "VALIDATION_ERROR", "message": REFUSAL})
        self.baseten.inject(answer, method="PATCH", path=self.pattern, count=None)

    def _read(self, target: DeploymentTarget | EnvironmentTarget | ChainletTarget) -> Object:
        values: Mapping[str, Any] = self.baseten.command("settings", target=target)
        return {name: values[wire] for name, wire in WIRE.items()}


@dataclass
class Deployment(Autoscaled):
    """A DeploymentAutoscaling of a deployment or of an environment."""

    target: DeploymentTarget | EnvironmentTarget = field(kw_only=True)

    KIND = "DeploymentAutoscaling"
    SHORT = "das"

    def expect(self) -> None:
        """Take the settings of the spec for what has to be, on top of what was."""
        self.expected |= self.spec["autoscaling"]

    def remote(self) -> Object:
        """Return what the remote thing is like."""
        return self._read(self.target)

    def meddle(self, name: str, value: Any) -> None:
        """Change a setting behind the operator's back."""
        self.baseten.command("set_settings", target=self.target, values={WIRE[name]: value})
        self.expected[name] = value

    def managed(self) -> Any:
        """Return the settings of the spec."""
        return self.spec["autoscaling"]


@dataclass
class Chain(Autoscaled):
    """A ChainAutoscaling of two chainlets, of which the spec manages one at first."""

    targets: Mapping[str, ChainletTarget] = field(kw_only=True)

    KIND = "ChainAutoscaling"
    SHORT = "cas"

    def expect(self) -> None:
        """Take the settings of the spec for what has to be, on top of what was."""
        for chainlet in self.spec["chainlets"]:
            self.expected[chainlet["name"]] = self.expected[chainlet["name"]] | chainlet["autoscaling"]

    def remote(self) -> Object:
        """Return what the chainlets are like."""
        return {name: self._read(target) for name, target in self.targets.items()}

    def meddle(self, name: str, value: Any) -> None:
        """Change a setting of the first chainlet behind the operator's back."""
        self.baseten.command("set_settings", target=self.targets["A"], values={WIRE[name]: value})
        self.expected["A"] = {**self.expected["A"], name: value}

    def managed(self) -> Any:
        """Return the settings of the spec."""
        return {"chainlets": self.spec["chainlets"]}


NO_ROW: Object = {"budgets": {}, "rateLimit": {}, "calendarAligned": False}
"""What is limited where there is no row."""


@dataclass
class Row(Actor):
    """A ModelConfigGovernance of a row."""

    bifrost: BifrostSimulator = field(kw_only=True)

    KIND = "ModelConfigGovernance"
    SHORT = "mcg"

    @property
    def identity(self) -> tuple[str, str | None, str, str | None]:
        """Whose row it is, in the gateway's words."""
        scope = {"global": "global", "virtualKey": "virtual_key", "user": "user"}[self.spec.get("scope", "global")]
        return self.spec["modelName"], self.spec.get("provider"), scope, self.spec.get("scopeId")

    @property
    def id(self) -> str:
        """The row's id; there is exactly one."""
        [row] = self.bifrost.find(*self.identity)
        return str(row["id"])

    def expect(self) -> None:
        """Take the settings of the spec for what has to be, on top of what was."""
        if "budget" in self.spec:
            self.expected["budgets"] = _budgets([self.spec["budget"]])
        if "budgets" in self.spec:
            self.expected["budgets"] = _budgets(self.spec["budgets"])
        if "rateLimit" in self.spec:
            self.expected["rateLimit"] = dict(self.spec["rateLimit"])
        if "calendarAligned" in self.spec:
            self.expected["calendarAligned"] = self.spec["calendarAligned"]

    def remote(self) -> Object:
        """Return the row's limits."""
        if not self.bifrost.find(*self.identity):
            return dict(NO_ROW)
        state = self.bifrost.state(self.id)
        rate = state.rate_limit or RateLimitSpec()
        limits = {
            "tokenMaxLimit": rate.token_max_limit,
            "tokenResetDuration": rate.token_reset_duration,
            "requestMaxLimit": rate.request_max_limit,
            "requestResetDuration": rate.request_reset_duration,
        }
        return {
            "budgets": {
                budget.reset_duration: _window(budget.max_limit, budget.quarter_start_month) for budget in state.budgets
            },
            "calendarAligned": state.calendar_aligned,
            "rateLimit": {name: value for name, value in limits.items() if value is not None},
        }

    def meddle(self, name: str, value: Any) -> None:
        """Change budgets or rate limit behind the operator's back."""
        if name == "budgets":
            budgets = [BudgetSpec(max_limit=most, reset_duration=length) for length, most in value.items()]
            self.bifrost.update_row(self.id, budgets=budgets)
            value = {length: _window(most, None) for length, most in value.items()}
        elif name == "calendarAligned":
            self.bifrost.update_row(self.id, calendar_aligned=value)
        else:
            self.bifrost.update_row(
                self.id, rate_limit=RateLimitSpec(request_max_limit=value, request_reset_duration="1h")
            )
            value = {"requestMaxLimit": value, "requestResetDuration": "1h"}
        self.expected[name] = value

    def refuse(self) -> None:
        """Let the gateway refuse every further write to the row."""
        answer = Respond(status=400, body={"error": {"message": REFUSAL}})
        self.bifrost.inject(answer, method="PUT", path=f"/model-configs/{self.id}$", count=None)

    def managed(self) -> Any:
        """Return the settings of the spec in the form that is kept: budgets as a list."""
        found: Object = {}
        budgets = [self.spec["budget"]] if "budget" in self.spec else self.spec.get("budgets")
        if budgets is not None:
            found["budgets"] = budgets
        for name in ("rateLimit", "calendarAligned"):
            if name in self.spec:
                found[name] = self.spec[name]
        return found


def deployment(name: str, namespace: str, baseten: BasetenSimulator, spec: Object, *, model: str = MODEL) -> Deployment:
    """Return an actor with a deployment of its own."""
    id_ = f"d-{name}"
    baseten.add_deployment(model, DeploymentSpec(id=id_, settings=wire(FOUND)))
    spec = {"target": {"modelId": model, "deployment": id_}, **spec}
    target = DeploymentTarget(model=model, deployment=id_)
    pattern = f"/deployments/{id_}/"
    return Deployment(name, namespace, spec, dict(FOUND), baseten=baseten, pattern=pattern, target=target)


def environment(name: str, namespace: str, baseten: BasetenSimulator, spec: Object) -> Deployment:
    """Return an actor with an environment of its own, and a deployment in it."""
    id_ = f"e-{name}"
    baseten.add_deployment(MODEL, DeploymentSpec(id=f"{id_}-d"))
    baseten.add_environment(MODEL, EnvironmentSpec(name=id_, current=f"{id_}-d", settings=wire(FOUND)))
    spec = {"target": {"modelId": MODEL, "environment": id_}, **spec}
    target = EnvironmentTarget(model=MODEL, environment=id_)
    pattern = f"/environments/{id_}$"
    return Deployment(name, namespace, spec, dict(FOUND), baseten=baseten, pattern=pattern, target=target)


def chain(name: str, namespace: str, baseten: BasetenSimulator, spec: Object) -> Chain:
    """Return an actor with a chain of its own, of chainlets A and B."""
    id_ = f"c-{name}"
    chainlets = [ChainletSpec(name=one, settings=wire(FOUND)) for one in "AB"]
    place = ChainEnvironmentSpec(name="production", chainlets=chainlets)
    baseten.add_chain(id=id_, name=f"name of {id_}", environments=[place])
    spec = {"target": {"chainId": id_, "environment": "production"}, **spec}
    targets = {one: ChainletTarget(chain=id_, environment="production", chainlet=one) for one in "AB"}
    expected = {one: dict(FOUND) for one in "AB"}
    pattern = f"/chains/{id_}/"
    return Chain(name, namespace, spec, expected, baseten=baseten, pattern=pattern, targets=targets)


def row(name: str, namespace: str, bifrost: BifrostSimulator, spec: Object) -> Row:
    """Return an actor with a row of its own, which has a budget and a rate limit nobody manages yet."""
    spec = {"modelName": f"model-{name}", "provider": PROVIDER, **spec}
    actor = Row(name, namespace, spec, bifrost=bifrost)
    model, provider, scope, scope_id = actor.identity
    budgets = [BudgetSpec(max_limit=77.5, reset_duration="1M")]
    limit = RateLimitSpec(request_max_limit=7777, request_reset_duration="1h")
    bifrost.add_row(
        RowSpec(model_name=model, provider=provider, scope=scope, scope_id=scope_id, budgets=budgets, rate_limit=limit)
    )
    actor.expected = {
        "budgets": {"1M": _window(77.5, None)},
        "calendarAligned": False,
        "rateLimit": {"requestMaxLimit": 7777, "requestResetDuration": "1h"},
    }
    return actor


def exchange(remote: str, mirror: Actor) -> Callable[[Actor], None]:
    """Return what moves an actor to the remote where its mirror has a thing of the same name, and when called again back."""

    def move(actor: Actor) -> None:
        here, there = getattr(actor, remote), getattr(mirror, remote)
        setattr(actor, remote, there)
        setattr(mirror, remote, here)
        actor.expected, mirror.expected = mirror.expected, actor.expected

    return move


def wire(settings: Mapping[str, Any]) -> Object:
    """Return settings by the names of the remote API."""
    return {WIRE[name]: value for name, value in settings.items()}


def _budgets(listed: list[Object]) -> Object:
    return {
        one["resetDuration"]: _window(one["maxLimit"], one.get("resetConfig", {}).get("quarterStartMonth"))
        for one in listed
    }


def _window(limit: float, month: int | None) -> tuple[float, int | None]:
    """Return what a budget is beside its length: its limit, and where the year's quarters begin."""
    return limit, month
