"""What Baseten's management API says, as far as this project reads it, and how it is read.

Reading is tolerant where it can be: lists may hold items that make no sense, words may be new. It is strict about what
is asked for: whatever cannot be read there is a `RemoteFailure`, never a guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from setpoint.remotes.answers import Answer
from setpoint.remotes.errors import RemoteFailure
from setpoint.resources.autoscaling import AutoscalingSettings

Item: TypeAlias = Mapping[str, Any]

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What a spec may name by its id, too."""
ANY = re.compile(r".+", re.DOTALL)

_SETTLED = frozenset(
    {"ACTIVE", "SCALED_TO_ZERO", "INACTIVE", "UNHEALTHY", "DEPLOY_FAILED", "BUILD_FAILED", "BUILD_STOPPED", "FAILED"}
)
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED"})
_NEVER_TO_BE_PROMOTED = frozenset({"DEPLOY_FAILED", "BUILD_FAILED", "BUILD_STOPPED", "FAILED", "INACTIVE"})


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment of a model."""

    id: str
    name: str
    environment: str | None
    """Environment it is attached to, if any."""
    status: str
    settings: AutoscalingSettings | None
    """None until it was deployed for the first time."""

    @property
    def settled(self) -> bool:
        """Tell whether it is in none of the states that pass by themselves; a word not known yet counts as one."""
        return self.status in _SETTLED

    @classmethod
    def from_wire(cls, raw: Item) -> "Deployment":
        """Return the deployment in an item of a list.

        Raises:
            RemoteFailure: its settings cannot be read.
        """
        return cls(
            id=str(raw["id"]),
            name=_word(raw, "name") or "",
            environment=_word(raw, "environment"),
            status=_word(raw, "status") or "",
            settings=_settings(raw, f"deployment {raw['id']}"),
        )


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment of a model."""

    name: str
    settings: AutoscalingSettings
    promotion: str | None
    """State of the promotion that is under way; None where there is none or it has ended."""
    schedule_id: str | None
    """Schedule of the platform whose values are in force now."""

    @classmethod
    def from_wire(cls, raw: Item) -> "Environment":
        """Return the environment in an item of a list.

        Raises:
            RemoteFailure: its settings cannot be read.
        """
        settings = _settings(raw, f"environment {raw['name']}")
        if settings is None:
            raise RemoteFailure(f"Baseten reports no autoscaling settings of environment {raw['name']}", status=200)
        return cls(
            name=str(raw["name"]),
            settings=settings,
            promotion=_promotion(raw),
            schedule_id=_applied_schedule(raw),
        )


@dataclass(frozen=True, slots=True)
class ChainEnvironment:
    """One environment of a chain."""

    name: str
    chainlets: Mapping[str, AutoscalingSettings | None]
    """Settings by the name of the chainlet."""
    promotion: str | None
    """State of the deployment that is being promoted to it; None where there is none."""

    @classmethod
    def from_wire(cls, raw: Any, name: str) -> "ChainEnvironment":
        """Return the environment in a body.

        Raises:
            RemoteFailure: it has no chainlets, or the settings of one cannot be read.
        """
        return cls(
            name=name,
            chainlets={
                chainlet["chainlet_name"]: _settings(chainlet, f"chainlet {chainlet['chainlet_name']}")
                for chainlet in items(raw, "chainlet_settings", key="chainlet_name")
            },
            promotion=_promotion(raw),
        )


def written(raw: Any) -> Answer:
    """Return the answer to a write in a body: `{status, message}`, with or without the environment beside them.

    Raises:
        RemoteFailure: there is no status, so that it is not known whether anything was written.
    """
    match raw:
        case {"status": str(status), "message": str(message)}:
            return Answer(status, message)
        case {"status": str(status)}:
            return Answer(status, "")
        case _:
            raise RemoteFailure("Baseten answered a write without a status", status=200)


def items(raw: Any, field: str, *, key: str) -> list[Item]:
    """Return the items of a list in a body, without those that do not have a text as their `key`, or an id that is none.

    Raises:
        RemoteFailure: the body has no such list.
    """
    found = raw.get(field) if isinstance(raw, Mapping) else None
    if not isinstance(found, list):
        raise RemoteFailure(f"Baseten answered a read without a list of {field.replace('_', ' ')}", status=200)
    pattern = ID if key == "id" else ANY
    return [
        item
        for item in found
        if isinstance(item, Mapping) and isinstance(item.get(key), str) and pattern.fullmatch(item[key])
    ]


def _settings(raw: Item, whose: str) -> AutoscalingSettings | None:
    settings = raw.get("autoscaling_settings")
    if settings is None:
        return None
    if not isinstance(settings, Mapping):
        raise RemoteFailure(f"Baseten reports autoscaling settings of {whose} that cannot be read", status=200)
    return AutoscalingSettings.from_wire(settings)


def _promotion(raw: Item) -> str | None:
    """Return the state of the promotion under way; chains report only the deployment that is being promoted."""
    match raw:
        case {"in_progress_promotion": {"status": str(status)}}:
            return None if status in _ENDED else status
        case {"chainlet_settings": _, "candidate_deployment": {"status": str(status)}}:
            return None if status in _NEVER_TO_BE_PROMOTED else status
        case _:
            return None


def _applied_schedule(raw: Item) -> str | None:
    match raw.get("autoscaling_schedules"):
        case {"applied_state": {"schedule_id": schedule}} if schedule is not None:
            return str(schedule)
        case _:
            return None


def _word(raw: Item, field: str) -> str | None:
    value = raw.get(field)
    return value if isinstance(value, str) and value else None
