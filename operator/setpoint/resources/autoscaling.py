"""Autoscaling settings of Baseten, shared by deployments, environments and chainlets.

One model serves both sides: camelCase for Kubernetes, snake_case on the wire. Units, defaults and ranges are those of
Baseten's autoscaling documentation; the management API itself checks more (for example caps of an organisation).
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue

from setpoint.resources.common import LARGEST_NUMBER, Drift, Model, rule, rules

FIELDS = (
    "min_replica",
    "max_replica",
    "autoscaling_window",
    "scale_down_delay",
    "concurrency_target",
    "target_utilization_percentage",
    "target_in_flight_tokens",
    "max_scale_down_rate",
)
"""The settings, by the names the remote API uses, in the order of its documentation."""

_ALIASES = (
    "minReplica",
    "maxReplica",
    "autoscalingWindow",
    "scaleDownDelay",
    "concurrencyTarget",
    "targetUtilizationPercentage",
    "targetInFlightTokens",
    "maxScaleDownRate",
)


_RANGES: Mapping[str, tuple[int, int | None]] = {
    "min_replica": (0, None),
    "max_replica": (1, None),
    "autoscaling_window": (10, 3600),
    "scale_down_delay": (0, 3600),
    "concurrency_target": (1, None),
    "target_utilization_percentage": (1, 100),
    "target_in_flight_tokens": (1, None),
    "max_scale_down_rate": (1, 50),
}
"""What a spec may ask for, and what may be put back of what was found; None where there is no upper end."""


def _schema(name: str) -> dict[str, JsonValue]:
    least, most = _RANGES[name]
    return {"minimum": least} if most is None else {"minimum": least, "maximum": most}


class AutoscalingSettings(Model):
    """Autoscaling settings; a field left out or null is not managed."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                " || ".join(f"has(self.{alias})" for alias in _ALIASES),
                f"at least one setting must be given: {', '.join(_ALIASES)}",
            ),
            rule(
                "!has(self.minReplica) || !has(self.maxReplica) || self.minReplica <= self.maxReplica",
                "minReplica must not be greater than maxReplica",
            ),
        )
    )

    min_replica: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("min_replica"),
            description="Replicas kept at least, from 0 to maxReplica. 0 scales to zero. Fixed at 0 for a development "
            "deployment. Platform default: 0.",
        ),
    ] = None
    max_replica: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("max_replica"),
            description="Replicas started at most, 1 or more. The organisation may cap it. Fixed at 1 for a development "
            "deployment. Platform default: 1.",
        ),
    ] = None
    autoscaling_window: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("autoscaling_window"),
            description="Seconds of traffic considered for a decision, 10 to 3600. Platform default: 60.",
        ),
    ] = None
    scale_down_delay: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("scale_down_delay"),
            description="Seconds waited before scaling down, 0 to 3600. Platform default: 900.",
        ),
    ] = None
    concurrency_target: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("concurrency_target"),
            description="Requests per replica before scaling up, 1 or more. Platform default: 1.",
        ),
    ] = None
    target_utilization_percentage: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("target_utilization_percentage"),
            description="Percent of concurrencyTarget at which scaling starts, 1 to 100. Platform default: 70.",
        ),
    ] = None
    target_in_flight_tokens: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("target_in_flight_tokens"),
            description="Tokens in flight per replica aimed at, 1 or more. Early access; cannot be cleared once set. "
            "Platform default: none.",
        ),
    ] = None
    max_scale_down_rate: Annotated[
        int | None,
        Field(
            json_schema_extra=_schema("max_scale_down_rate"),
            description="Percent of replicas removed at most per scaleDownDelay, 1 to 50. Cannot be cleared once set. "
            "Platform default: 50.",
        ),
    ] = None

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> "AutoscalingSettings":
        """Return what the remote API reports, however odd: fields that are absent or no whole number become None.

        Ranges are not applied, because what is out of range there has to be shown and corrected, not refused.
        (`max_scale_down_rate` was a fraction between 1 and 2 until June 2026 and may still be read as one.)
        """
        return _settings({name: _whole(raw.get(name)) for name in FIELDS})

    def to_wire(self) -> dict[str, int]:
        """Return the managed fields as the remote API wants them."""
        return {name: value for name in FIELDS if (value := getattr(self, name)) is not None}

    def differences(self, observed: "AutoscalingSettings", chainlet: str | None = None) -> list[Drift]:
        """Return the managed fields whose observed value is another one, in the order of the documentation."""
        return [
            Drift(chainlet=chainlet, field=alias, desired=desired, observed=getattr(observed, name))
            for name, alias in zip(FIELDS, _ALIASES, strict=True)
            if (desired := getattr(self, name)) is not None and desired != getattr(observed, name)
        ]

    def restricted_to(self, managed: "AutoscalingSettings") -> "AutoscalingSettings":
        """Return only the fields that `managed` manages."""
        kept = managed.to_wire()
        return _settings({name: getattr(self, name) for name in kept})

    def only(self, drift: list[Drift]) -> "AutoscalingSettings":
        """Return only the fields that the differences name."""
        fields = {entry.field for entry in drift}
        return _settings(
            {name: getattr(self, name) for name, alias in zip(FIELDS, _ALIASES, strict=True) if alias in fields}
        )


DEFAULTS = AutoscalingSettings(
    min_replica=0,
    max_replica=1,
    autoscaling_window=60,
    scale_down_delay=900,
    concurrency_target=1,
    target_utilization_percentage=70,
    max_scale_down_rate=50,
)
"""What the platform does where it reports no value (its documentation); targetInFlightTokens has no default."""


class AutoscalingBaseline(AutoscalingSettings):
    """Settings found before the first write; where the API reported none, the platform's default."""

    unset: Annotated[
        list[str],
        Field(
            default_factory=list,
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="Fields that had no value and have no default.",
        ),
    ]

    def lacks(self, managed: AutoscalingSettings) -> bool:
        """Tell whether a managed field is not in here yet."""
        return any(
            getattr(managed, name) is not None and getattr(self, name) is None and alias not in self.unset
            for name, alias in zip(FIELDS, _ALIASES, strict=True)
        )

    def with_found(self, found: AutoscalingSettings, managed: AutoscalingSettings) -> "AutoscalingBaseline":
        """Return the baseline with the managed fields it lacks, as they were found."""
        values = self.to_wire()
        unset = list(self.unset)
        for name, alias in zip(FIELDS, _ALIASES, strict=True):
            if getattr(managed, name) is None or name in values or alias in unset:
                continue
            value = getattr(found, name) if getattr(found, name) is not None else getattr(DEFAULTS, name)
            if value is None:
                unset.append(alias)
            else:
                values[name] = value
        return AutoscalingBaseline(**values, unset=unset)

    @property
    def settings(self) -> AutoscalingSettings:
        """What can be put back: the values a spec could have. What lies beyond its ranges, no admission has ever seen."""
        return _settings({name: value for name, value in self.to_wire().items() if not _beyond(name, value)})

    def stays(self, where: str = "") -> list[str]:
        """Return what cannot be put back and why, a sentence each; `where` goes before the names of fields."""
        beyond = [
            f"{where}{alias} was {value} before the first write, which is beyond {_range(name)}"
            for name, alias in zip(FIELDS, _ALIASES, strict=True)
            if (value := getattr(self, name)) is not None and _beyond(name, value)
        ]
        return beyond + [
            f"{where}{alias} had no value before the first write and cannot be unset" for alias in self.unset
        ]


def _beyond(name: str, value: int) -> bool:
    least, most = _RANGES[name]
    return value < least or (most is not None and value > most)


def _range(name: str) -> str:
    least, most = _RANGES[name]
    return f"its range of {least} to {most}" if most is not None else f"its range of {least} or more"


def _settings(values: Mapping[str, int | None]) -> AutoscalingSettings:
    """Return settings as they are, without holding them against the ranges; what is not named is None."""
    settings = AutoscalingSettings()
    return settings.model_copy(update=dict(values))


def _whole(value: object) -> int | None:
    match value:
        case bool():
            return None
        case int() if abs(value) <= LARGEST_NUMBER:
            return value
        case float() if value.is_integer() and abs(value) <= LARGEST_NUMBER:
            return int(value)
        case _:
            return None
