"""Autoscaling settings as the API takes, keeps and refuses them.

The fields, and that unknown ones are refused while a null leaves the value as it is, are those of the Baseten
management API reference; defaults and ranges are those of Baseten's autoscaling documentation.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from tests.simulators.api import RefusedError, Reply

Value: TypeAlias = int | float | None
"""A fraction only where something is made up that the API reported in earlier times."""
Values: TypeAlias = dict[str, Value]

Body = TypeVar("Body", bound=BaseModel)

DEFAULTS: Values = {
    "min_replica": 0,
    "max_replica": 1,
    "autoscaling_window": 60,
    "scale_down_delay": 900,
    "concurrency_target": 1,
    "target_utilization_percentage": 70,
    "target_in_flight_tokens": None,
    "max_scale_down_rate": None,
}
"""What a thing has whose settings nobody has touched; null stands for the platform's own value."""


class SettingsBody(BaseModel):
    """The settings in a request."""

    model_config = ConfigDict(extra="forbid")

    min_replica: Annotated[StrictInt, Field(ge=0)] | None = None
    max_replica: Annotated[StrictInt, Field(ge=1)] | None = None
    autoscaling_window: Annotated[StrictInt, Field(ge=10, le=3600)] | None = None
    scale_down_delay: Annotated[StrictInt, Field(ge=0, le=3600)] | None = None
    concurrency_target: Annotated[StrictInt, Field(ge=1)] | None = None
    target_utilization_percentage: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    target_in_flight_tokens: Annotated[StrictInt, Field(ge=1)] | None = None
    max_scale_down_rate: Annotated[StrictInt, Field(ge=1, le=50)] | None = None

    def changes(self) -> Values:
        """Return what is to be changed."""
        return self.model_dump(exclude_none=True)


class EnvironmentBody(BaseModel):
    """A request to update an environment; its parts other than the settings are taken and have no effect."""

    model_config = ConfigDict(extra="forbid")

    autoscaling_settings: SettingsBody | None = None
    promotion_settings: dict[str, Any] | None = None
    autoscaling_schedule_settings: dict[str, Any] | None = None
    request_backpressure_settings: dict[str, Any] | None = None
    traffic_routing_settings: dict[str, Any] | None = None


class ChainletUpdate(BaseModel):
    """One of the updates in a request for chainlets."""

    chainlet_name: StrictStr
    autoscaling_settings: SettingsBody


class ChainletsBody(BaseModel):
    """A request to update chainlets."""

    updates: list[ChainletUpdate]


class ModelBody(BaseModel):
    """A request to update a model."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[StrictStr, Field(min_length=1, max_length=255)] | None = None


def invalid(message: str) -> RefusedError:
    """Return the refusal of a request that is wrong in itself."""
    return RefusedError(Reply(400, {"code": "VALIDATION_ERROR", "message": message}))


def parse(model: type[Body], raw: bytes) -> Body:
    """Return a body as an instance of the model, or raise `RefusedError`."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']} [type={problem['type']}]"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        raise invalid("; ".join(problems)) from None


def check_range(changes: Mapping[str, Value], merged: Mapping[str, Value], cap: int | None) -> None:
    """Raise `RefusedError` when the values do not go together or exceed the organisation's cap of replicas."""
    wanted = changes.get("max_replica") or 0
    if cap is not None and wanted > cap:
        raise invalid(f"max_replica: {wanted} exceeds your organization's limit of {cap} replicas")
    least, most = merged["min_replica"] or 0, merged["max_replica"] or 0
    if least > most:
        raise invalid(f"min_replica ({least}) must not be greater than max_replica ({most})")


def _now() -> float:
    """Return the seconds of the loop that answers, which may be virtual ones."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


class Converging:
    """The settings of one thing: what a read shows, what is on its way, and what waits for a build or promotion."""

    def __init__(self, values: Mapping[str, Value] | None) -> None:
        self._shown: Values | None = None if values is None else {**DEFAULTS, **values}
        self._coming: list[tuple[float, Values]] = []
        self._queued: Values = {}

    @property
    def shown(self) -> Values | None:
        """What a read shows now; None until the thing was deployed."""
        now = _now()
        due = max((place for place, (when, _) in enumerate(self._coming, 1) if when <= now), default=0)
        # Whatever was written before goes with it, or an older value would come out last.
        for _, changes in self._coming[:due]:
            self._shown = {**(self._shown or DEFAULTS), **changes}
        del self._coming[:due]
        return None if self._shown is None else dict(self._shown)

    @property
    def accepted(self) -> Values:
        """What a read shows once all that was accepted is in force."""
        accepted = {**DEFAULTS, **(self.shown or {})}
        for _, changes in self._coming:
            accepted |= changes
        return accepted

    @property
    def target(self) -> Values:
        """What a read shows in the end, when nothing waits any more."""
        return self.accepted | self._queued

    def differs(self, changes: Values) -> bool:
        """Tell whether changes make a difference."""
        if self.shown is None and not self._coming:
            return any(name not in self._queued or self._queued[name] != value for name, value in changes.items())
        target = self.target
        return any(target[name] != value for name, value in changes.items())

    def write(self, changes: Values, *, delay: float) -> None:
        """Change values so many seconds from now."""
        self._coming.append((_now() + delay, changes))

    def queue(self, changes: Values) -> None:
        """Keep changes until they are released."""
        self._queued |= changes

    def release(self) -> Values:
        """Show what was queued, and return it."""
        queued, self._queued = self._queued, {}
        self.set(queued)
        return queued

    def set(self, values: Mapping[str, Value]) -> None:
        """Change values at once; what is on its way to them is forgotten."""
        self._shown = {**(self.shown or DEFAULTS), **values}
        self._coming = [
            (when, {name: value for name, value in changes.items() if name not in values})
            for when, changes in self._coming
        ]
