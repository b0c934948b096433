"""What Baseten's management API says, as far as this project reads it, and how it is read.

Reading is tolerant where it can be: lists may be null, which is how an empty one is written in some languages, or hold items
that make no sense, and words may be new. It is strict about what is asked for: whatever cannot be read there is an
`UnreadableAnswer`, never a guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from setpoint.remotes.answers import Answer
from setpoint.remotes.errors import UnreadableAnswer
from setpoint.resources.autoscaling import AutoscalingSettings
from setpoint.resources.common import LARGEST_NUMBER
from setpoint.resources.serving import UNKNOWN

Item: TypeAlias = Mapping[str, Any]

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What a spec may name by its id, too."""
ANY = re.compile(r".+", re.DOTALL)

LONGEST_NAME = 1024
"""Characters of a name; a spec's are shorter."""

MOST_CHAINLETS = 1024
"""Chainlets of one chain that are read; a spec names fewer."""

WITHOUT_A_WORD = "200"
"""What stands for the answer's status where the API gives no word: the HTTP status, of which it documents no other."""

_WORD = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SETTLED = frozenset(
    {"ACTIVE", "SCALED_TO_ZERO", "INACTIVE", "UNHEALTHY", "DEPLOY_FAILED", "BUILD_FAILED", "BUILD_STOPPED", "FAILED"}
)
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED"})
_ABSENT = object()
_NEVER_TO_BE_PROMOTED = frozenset({"DEPLOY_FAILED", "BUILD_FAILED", "BUILD_STOPPED", "FAILED", "INACTIVE"})


@dataclass(frozen=True, slots=True)
class Running:
    """A deployment or chainlet, as far as it tells whether anything serves."""

    id: str
    status: str
    """Baseten's word; UNKNOWN where there is none that could be one."""
    replicas: int | None = None
    """Replicas that are active now; None where that is not told."""


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
    replicas: int | None = None
    """Replicas that are active now; None where that is not told."""
    development: bool = False
    """It is the model's development deployment, whose replicas the platform fixes."""
    production: bool = False
    """It is the model's production deployment."""

    @property
    def attached(self) -> str | None:
        """The environment it belongs to, if any; the production deployment belongs to the one of that name."""
        return self.environment or ("production" if self.production else None)

    @property
    def settled(self) -> bool:
        """Tell whether it is in none of the states that pass by themselves; a word not known yet counts as one."""
        return self.status in _SETTLED

    @classmethod
    def from_wire(cls, raw: Item) -> "Deployment":
        """Return the deployment in an item of a list.

        Raises:
            UnreadableAnswer: its settings cannot be read.
        """
        return cls(
            id=str(raw["id"]),
            name=_text(raw, "name") or "",
            environment=_text(raw, "environment"),
            status=_state(raw),
            settings=_settings(raw, f"deployment {raw['id']}"),
            replicas=_replicas(raw),
            development=raw.get("is_development") is True,
            production=raw.get("is_production") is True,
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
    current: Running | None = None
    """The deployment that serves its traffic; None before the first one."""

    @classmethod
    def from_wire(cls, raw: Item) -> "Environment":
        """Return the environment in an item of a list.

        Raises:
            UnreadableAnswer: its settings cannot be read.
        """
        settings = _settings(raw, f"environment {raw['name']}")
        if settings is None:
            raise UnreadableAnswer(f"Baseten reports no autoscaling settings of environment {raw['name']}", status=200)
        return cls(
            name=str(raw["name"]),
            settings=settings,
            promotion=_promotion(raw),
            schedule_id=_applied_schedule(raw),
            current=_current(raw),
        )


@dataclass(frozen=True, slots=True)
class ChainEnvironment:
    """One environment of a chain."""

    name: str
    chainlets: Mapping[str, AutoscalingSettings | None]
    """Settings by the name of the chainlet."""
    promotion: str | None
    """State of the promotion that is under way, or of the deployment that is being promoted; None where there is none."""
    current: Running | None = None
    """The chain deployment that serves its traffic; None before the first one."""
    running: Mapping[str, Running] = field(default_factory=dict)
    """The chainlets of that deployment, by name."""

    @classmethod
    def from_wire(cls, raw: Any, name: str) -> "ChainEnvironment":
        """Return the environment in a body.

        Raises:
            UnreadableAnswer: it has no list of chainlets, or the settings of one cannot be read.
        """
        current = _current(raw) if isinstance(raw, Mapping) else None
        listed = items(raw, "chainlet_settings", key="chainlet_name")
        if len(listed) > MOST_CHAINLETS:
            raise UnreadableAnswer(f"Baseten reports more than {MOST_CHAINLETS} chainlets of one chain", status=200)
        return cls(
            name=name,
            chainlets={
                chainlet["chainlet_name"]: _settings(chainlet, f"chainlet {chainlet['chainlet_name']}")
                for chainlet in listed
            },
            promotion=_promotion(raw),
            current=current,
            running={} if current is None else _chainlets(raw["current_deployment"]),
        )


def written(raw: Any) -> Answer:
    """Return the answer to a write in a body: `{status, message}`, with or without the environment beside them.

    Status and message are deprecated in the answer to the update of an environment: one that shows the environment, in
    a field or by itself, is an answer without them.

    Raises:
        UnreadableAnswer: there is neither, so that it is not known whether anything was written.
    """
    match raw:
        case {"status": str(status)} if status:
            return Answer(status, _text(raw, "message") or "")
        case {"environment": {}} | {"name": str(), "autoscaling_settings": {}}:
            return Answer(WITHOUT_A_WORD, _text(raw, "message") or "")
        case _:
            raise UnreadableAnswer("Baseten answered a write without a status", status=200)


def items(raw: Any, field: str, *, key: str) -> list[Item]:
    """Return the items of a list in a body, without those that do not have a text as their `key`, or an id that is none.

    A list that is null has no items.

    Raises:
        UnreadableAnswer: the body has no such list, or a name in it is too long.
    """
    found = raw.get(field, _ABSENT) if isinstance(raw, Mapping) else _ABSENT
    if found is None:
        return []
    if not isinstance(found, list):
        raise UnreadableAnswer(f"Baseten answered a read without a list of {field.replace('_', ' ')}", status=200)
    for item in found:
        name = item.get("name" if key == "id" else key) if isinstance(item, Mapping) else None
        if isinstance(name, str) and len(name) > LONGEST_NAME:
            # Left out, it would look as if it were not there.
            what = field.replace("_", " ")
            raise UnreadableAnswer(
                f"Baseten answered with a list of {what} in which a name has more than {LONGEST_NAME} characters",
                status=200,
            )
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
        raise UnreadableAnswer(f"Baseten reports autoscaling settings of {whose} that cannot be read", status=200)
    return AutoscalingSettings.from_wire(settings)


def _promotion(raw: Item) -> str | None:
    """Return the state of the promotion under way.

    Chains have reported it since October 2026. Before that, and while a candidate is still being built, they report only
    the deployment that is to be promoted.
    """
    match raw:
        case {"in_progress_promotion": {"status": str(status)}}:
            return None if status in _ENDED else _state(raw["in_progress_promotion"])
        case {"chainlet_settings": _, "candidate_deployment": {"status": str(status)}}:
            return None if status in _NEVER_TO_BE_PROMOTED else _state(raw["candidate_deployment"])
        case _:
            return None


def _current(raw: Item) -> Running | None:
    current = raw.get("current_deployment")
    if not isinstance(current, Mapping) or not ID.fullmatch(_text(current, "id") or ""):
        return None
    return Running(current["id"], _state(current), _replicas(current))


def _chainlets(deployment: Item) -> dict[str, Running]:
    """Return the chainlets of a chain deployment; one that does not tell of any is no reason to refuse its settings."""
    listed = deployment.get("chainlets")
    return {
        name: Running(str(chainlet.get("id", "")), _state(chainlet), _replicas(chainlet))
        for chainlet in (listed[:MOST_CHAINLETS] if isinstance(listed, list) else [])
        if isinstance(chainlet, Mapping) and (name := _text(chainlet, "name")) is not None
    }


def _state(raw: Item) -> str:
    word = _text(raw, "status")
    return word if word is not None and _WORD.fullmatch(word) else UNKNOWN


def _replicas(raw: Item) -> int | None:
    match raw.get("active_replica_count"):
        case bool():
            return None
        case int(count) if 0 <= count <= LARGEST_NUMBER:
            return count
        case _:
            return None


def _applied_schedule(raw: Item) -> str | None:
    match raw.get("autoscaling_schedules"):
        case {"applied_state": {"schedule_id": schedule}} if schedule is not None:
            return str(schedule)
        case _:
            return None


def _text(raw: Item, field: str) -> str | None:
    value = raw.get(field)
    return value if isinstance(value, str) and value else None
