"""Pieces that every kind shares: naming, metadata, conditions, the common part of spec and status."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel

GROUP = "setpoint.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

REQUESTED_AT = f"reconcile.{GROUP}/requestedAt"
"""Annotation that asks for a reconcile now; any new value counts (the convention of Flux and Crossplane)."""

LONGEST_REQUEST = 128
"""Characters of that annotation that are kept; of a longer value the digest stands for it."""

FINALIZER = f"{GROUP}/finalizer"
"""Keeps a resource until its settings were put back or its row deleted; only on those whose deletionPolicy asks for it."""

BASETEN = "baseten"
BIFROST = "bifrost"
"""Names of the connections that resources use which name none."""

MESSAGE_LIMIT = 1024
"""Characters of a message that reach status, Events and logs."""

WORD_LIMIT = 64
"""Characters of a word by which a remote tells a state."""

VALUE_LIMIT = 253
"""Characters of a value that a remote reports, as far as it is shown."""

MOST_DRIFT = 64
"""Differences in a status; more are counted only."""

LARGEST_NUMBER = 2**63 - 1
"""Whole numbers beyond this cannot be kept in a status."""

_DURATION_PART = re.compile(r"([0-9]+)([hms])")
_UNIT = {"h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


class Model(BaseModel):
    """Base of everything users write or read: camelCase in Kubernetes, immutable in Python, unknown fields ignored.

    Unknown fields are ignored because the API server has pruned or refused them already, and an object written by a
    newer version of Setpoint must stay readable.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def dump(self) -> dict[str, Any]:
        """Return the object as Kubernetes shows it: camelCase keys, JSON values, nothing unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(cel: str, message: str, **more: str) -> dict[str, str]:
    """Return one entry of `x-kubernetes-validations`: a CEL rule and what a person reads when it is broken."""
    return {"rule": cel, "message": message, **more}


def rules(*entries: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return `json_schema_extra` that carries CEL rules, and further schema keywords, into the CRD."""
    return {"x-kubernetes-validations": list(entries), **more}


def exactly_one(*fields: str, where: str) -> dict[str, str]:
    """Return the CEL rule that exactly one of the fields is set, for `where` as a person would name the place."""
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return rule(f"{count} == 1", f"exactly one of {' and '.join(fields)} must be set in {where}")


def parse_duration(text: str) -> timedelta:
    """Return the length of a duration such as `90s`, `5m` or `1h30m`.

    Raises:
        ValueError: the text is not a sequence of whole numbers with the units h, m and s.
    """
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration such as 90s, 5m or 1h30m")
    return sum((int(number) * _UNIT[unit] for number, unit in parts), timedelta())


def _ticking(text: str) -> str:
    """Return an interval as it is, if it is one: an object that is older than its CRD's rules may have anything."""
    if not parse_duration(text):
        raise ValueError("an interval must be longer than 0s")
    return text


def duration_rules(lower: str, upper: str, name: str, example: str) -> dict[str, Any]:
    """Return the schema of a duration between two bounds, refused with one sentence that names both."""
    return rules(
        rule(
            "self.matches('^([0-9]+[hms])+$') && "
            f"duration(self) >= duration('{lower}') && duration(self) <= duration('{upper}')",
            f"{name} must be a duration from {lower} to {upper}, such as {example}",
        ),
        maxLength=16,
    )


Identifier = Annotated[
    str,
    Field(
        json_schema_extra=rules(
            rule(
                "self.matches('^[A-Za-z0-9_-]+$')",
                "an id consists of letters, digits, - and _ only, as the remote API shows it",
            ),
            minLength=1,
            maxLength=128,
        )
    ),
]
"""Id that the remote API gave to something."""

Name = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 253})]
"""Name of a Kubernetes object, or of something at the remote API."""


class Mode(StrEnum):
    """What the operator may do to the remote."""

    ENFORCE = "Enforce"
    OBSERVE = "Observe"


class DeletionPolicy(StrEnum):
    """What happens to the remote settings when the resource is deleted."""

    ORPHAN = "Orphan"
    RESTORE = "Restore"
    DELETE = "Delete"


class ConnectionRef(Model):
    """Which Connection or ClusterConnection opens the remote API."""

    kind: Annotated[
        str | None,
        Field(
            json_schema_extra={"enum": ["Connection", "ClusterConnection"]},
            description="Connection (of this namespace) or ClusterConnection. "
            "Left out: the Connection of that name if there is one, else the ClusterConnection.",
        ),
    ] = None
    name: Annotated[Name, Field(description="Name of the Connection or ClusterConnection. Default: baseten.")] = BASETEN

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of which one may be meant, in the order they are looked for."""
        return (self.kind,) if self.kind else ("Connection", "ClusterConnection")


class BifrostConnectionRef(ConnectionRef):
    """Which Connection or ClusterConnection opens the gateway."""

    name: Annotated[Name, Field(description="Name of the Connection or ClusterConnection. Default: bifrost.")] = BIFROST


class ObjectMeta(Model):
    """The part of Kubernetes metadata that decisions depend on."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: list[str] = Field(default_factory=list)


class Condition(Model):
    """One condition of the Kubernetes API conventions (KEP-1623)."""

    type: Annotated[str, Field(json_schema_extra={"maxLength": 63}, description="Name of the condition.")]
    status: Annotated[
        str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]}, description="True, False or Unknown.")
    ]
    reason: Annotated[str, Field(json_schema_extra={"maxLength": 63}, description="One word for programs.")]
    message: Annotated[str, Field(json_schema_extra={"maxLength": 32768}, description="One sentence for people.")] = ""
    observed_generation: Annotated[int, Field(description="Generation of the spec this was said about.")] = 0
    last_transition_time: Annotated[AwareDatetime, Field(description="When the status of this condition last changed.")]


class Response(Model):
    """What the remote API answered to the last write."""

    status: Annotated[
        str,
        AfterValidator(lambda text: clean_message(text)[:WORD_LIMIT]),
        Field(description=f"Word for word, such as ACCEPTED, QUEUED or UNCHANGED; cut at {WORD_LIMIT} characters."),
    ]
    message: Annotated[str, Field(description="Word for word, cut at 1024 characters.")] = ""
    time: Annotated[AwareDatetime, Field(description="When the answer came.")]


class Serving(Model):
    """Whether anything serves behind the settings; each kind adds what its remote tells."""

    @property
    def failed(self) -> str | None:
        """What does not serve and why, such as `deployment abc is BUILD_FAILED`; None while nothing is wrong."""
        return None


def _bounded(value: int | str) -> int | str:
    if isinstance(value, int) and abs(value) <= LARGEST_NUMBER:
        return value
    text = clean_message(str(value))
    return text if len(text) <= VALUE_LIMIT else f"{text[: VALUE_LIMIT - 1]}…"


Value = Annotated[int | str, AfterValidator(_bounded), WithJsonSchema({"x-kubernetes-int-or-string": True})]
"""A value in a status that is a whole number for some fields and a text for others."""


class Drift(Model):
    """One managed field whose remote value is not what the spec says."""

    chainlet: Annotated[str | None, Field(description="Chainlet the field belongs to (chains only).")] = None
    field: Annotated[str, Field(description="Name of the field.")]
    desired: Annotated[Value | None, Field(description="What the spec says; absent where it says: none.")] = None
    observed: Annotated[
        Value | None, Field(description="What the remote API reports; absent where it reports no value.")
    ] = None

    def __str__(self) -> str:
        return f"{self.place} is {shown(self.observed)}, should be {shown(self.desired)}"

    @property
    def place(self) -> str:
        """The field, with the chainlet it belongs to."""
        return f"{self.chainlet}.{self.field}" if self.chainlet else self.field


def shown(value: int | str | None) -> str:
    """Return a value of a field for people."""
    return "unset" if value is None else str(value)


class OriginConnection(Model):
    """The connection through which a remote thing was found: another one may see and do other things at the same endpoint."""

    kind: Annotated[str, Field(description="Connection or ClusterConnection.")]
    name: Annotated[str, Field(description="Name of the connection.")]
    uid: Annotated[
        str | None, Field(description="Its uid; absent where the status was brought from another cluster.")
    ] = None
    credential: Annotated[
        str | None,
        Field(
            description="Digest of which keys of which Secrets open it. Their values are not part of it: "
            "a rotated key is the same credential."
        ),
    ] = None

    def is_same(self, other: "OriginConnection") -> bool:
        """Tell whether both are one connection with one credential, as far as they say."""
        return (
            (self.kind, self.name) == (other.kind, other.name)
            and (self.uid is None or other.uid is None or self.uid == other.uid)
            and (self.credential is None or other.credential is None or self.credential == other.credential)
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Origin(Model):
    """The remote thing that applied, baseline and created speak of: they are never used anywhere else."""

    endpoint: Annotated[str, Field(description="Where the remote API is: host, port and path.")]
    connection: Annotated[
        OriginConnection | None,
        Field(description="The connection through which it was found; absent in a status of an older release."),
    ] = None
    id: Annotated[
        str | None, Field(description="Id of the target there; absent where there was none when it was looked for.")
    ] = None
    lost: Annotated[
        bool | None,
        Field(
            description="true where the status was lost that held what was found before the first write, "
            "as after a restore from a backup without status; else absent."
        ),
    ] = None

    def leads_to(self, here: "Origin") -> bool:
        """Tell whether the way to it is the same: the endpoint, and the connection where both name one."""
        if self.endpoint not in {"", here.endpoint}:
            return False
        return self.connection is None or here.connection is None or self.connection.is_same(here.connection)


class SpecBase(Model):
    """Fields that the spec of every managing kind has."""

    connection_ref: Annotated[
        ConnectionRef,
        Field(
            description="Which connection opens the remote API. "
            "Default: the Connection baseten of this namespace, else the ClusterConnection baseten."
        ),
    ] = ConnectionRef()
    interval: Annotated[
        str,
        AfterValidator(_ticking),
        Field(
            json_schema_extra=duration_rules("30s", "24h", "interval", "5m"),
            description="How often the remote is read and drift corrected: 30s to 24h, jittered by 10 %. Default: 5m.",
        ),
    ] = "5m"
    mode: Annotated[
        Mode, Field(description="Enforce writes to the remote; Observe only reports differences. Default: Enforce.")
    ] = Mode.ENFORCE
    suspend: Annotated[
        bool, Field(description="true stops reading and writing the remote until it is false again. Default: false.")
    ] = False
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            json_schema_extra={"enum": [DeletionPolicy.ORPHAN, DeletionPolicy.RESTORE]},
            description="What happens to the remote settings when this resource is deleted. Orphan leaves them as they "
            "are; Restore puts back what was found before the first write. Default: Orphan.",
        ),
    ] = DeletionPolicy.ORPHAN

    @property
    def every(self) -> timedelta:
        """The interval as a length of time."""
        return parse_duration(self.interval)


_OF_THE_ORIGIN = frozenset(
    {
        "target",
        "created",
        "applied",
        "baseline",
        "observed",
        "response",
        "serving",
        "usage",
        "usage_time",
        "omitted_windows",
    }
)
"""Fields of a status that speak of one remote thing, whichever of them a kind has."""


class StatusBase(Model):
    """Fields that the status of every managing kind has."""

    observed_generation: Annotated[
        int, Field(description="Generation of the spec that this status is about; -1 before the first one.")
    ] = -1
    response: Annotated[
        Response | None, Field(description="What the remote API answered to the last write, word for word.")
    ] = None
    drift: Annotated[
        list[Drift],
        Field(
            json_schema_extra={"x-kubernetes-list-type": "atomic", "maxItems": MOST_DRIFT},
            description=f"Managed fields that differ at the remote, the first {MOST_DRIFT}; absent when there are none.",
        ),
    ] = []
    drifted_fields: Annotated[
        int | None, Field(description="How many managed fields differ at the remote; absent when there are none.")
    ] = None
    origin: Annotated[
        Origin | None, Field(description="The remote thing that applied, baseline and created speak of.")
    ] = None
    last_handled_reconcile_at: Annotated[
        str | None,
        Field(
            description=f"Last handled value of the annotation {REQUESTED_AT}; of one longer than {LONGEST_REQUEST} "
            "characters sha256: and its SHA-256 in hex."
        ),
    ] = None
    conditions: Annotated[
        list[Condition],
        Field(
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
            description="Ready always; Reconciling, Stalled, Drifted, Contested and Suspended only while they are True.",
        ),
    ] = []

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of that type, or None."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def with_baseline_of(self, other: "StatusBase") -> Self:
        """Return this status with what the other one saved of how things were before the first write.

        Where the other one speaks of another remote thing, so does the rest of what it says of it.
        """
        names = {"origin", "baseline"} if self.origin == other.origin else _OF_THE_ORIGIN | {"origin"}
        theirs = dict(other)
        return self.model_copy(update={name: theirs[name] for name in names if name in theirs})

    def moved_to(self, origin: Origin | None) -> Self:
        """Return this status without what it says of another remote thing than this one."""
        blank = {name: field.get_default(call_default_factory=True) for name, field in type(self).model_fields.items()}
        gone = {name: blank[name] for name in _OF_THE_ORIGIN if name in blank}
        return self.model_copy(update={**gone, "origin": origin})

    def is_true(self, kind: str) -> bool:
        """Tell whether the condition of that type is there and True."""
        condition = self.condition(kind)
        return condition is not None and condition.status == "True"


class Column(BaseModel):
    """One printer column of `kubectl get`; priority 1 shows it with `-o wide` only."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


READY_CONDITION = '.status.conditions[?(@.type=="Ready")]'
"""JSONPath of the condition that tables show."""


class Resource(Model):
    """Base of every kind: its names in the API, its metadata, how it is read from an API server's answer."""

    PLURAL: ClassVar[str]
    SHORT_NAMES: ClassVar[tuple[str, ...]]
    SCOPE: ClassVar[str] = "Namespaced"
    COLUMNS: ClassVar[tuple[Column, ...]] = ()

    metadata: ObjectMeta

    @classmethod
    def kind(cls) -> str:
        """Return the kind as manifests name it."""
        return cls.__name__

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Self:
        """Return the resource in an object of the Kubernetes API.

        Raises:
            pydantic.ValidationError: the object does not fit the model, for example because an older CRD without
                today's rules is installed.
        """
        return cls.model_validate(body)


class Managed(Resource):
    """A kind that manages settings behind a remote API."""

    CONNECTION: ClassVar[str] = BASETEN
    """Name of the connection where the spec names none."""

    COMMON_COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Ready", json_path=f"{READY_CONDITION}.status"),
        Column(name="Response", json_path=".status.response.status"),
        Column(name="Target", json_path=".status.target.name"),
    )
    DRIFT_COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Drift", json_path=".status.driftedFields", type="integer"),
        Column(name="Contested", json_path='.status.conditions[?(@.type=="Contested")].reason'),
    )
    WIDE_COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="Reason", json_path=f"{READY_CONDITION}.reason", priority=1),
        Column(name="Message", json_path=f"{READY_CONDITION}.message", priority=1),
        Column(name="Observed", json_path=".status.observed", priority=1),
    )

    spec: SpecBase
    status: StatusBase

    @classmethod
    def status_model(cls) -> type[StatusBase]:
        """Return the model of the kind's status."""
        model = cls.model_fields["status"].annotation
        if not (isinstance(model, type) and issubclass(model, StatusBase)):
            raise TypeError(f"{cls.__name__}.status is no status")
        return model

    @classmethod
    def reference(cls, body: Mapping[str, Any]) -> ConnectionRef:
        """Return the connection an object of the Kubernetes API refers to, however odd the rest of it is."""
        default = ConnectionRef(name=cls.CONNECTION)
        spec = body.get("spec")
        given = spec.get("connectionRef") if isinstance(spec, Mapping) else None
        try:
            return ConnectionRef.model_validate({"name": default.name, **given}) if given else default
        except (TypeError, ValidationError):
            return default

    @property
    def requested_at(self) -> str | None:
        """What stands for the annotation that asks for a reconcile now; an empty one asks for nothing."""
        return request_of(self.metadata.annotations)


def request_of(annotations: Mapping[str, str]) -> str | None:
    """Return what stands for the annotation that asks for a reconcile now: itself, or the digest of a long one.

    Whoever may annotate a resource may write 256 KiB, which would be kept in memory and come back in the status.
    """
    value = annotations.get(REQUESTED_AT) or None
    if value is None or len(value) <= LONGEST_REQUEST:
        return value
    return f"sha256:{hashlib.sha256(value.encode(errors='surrogatepass')).hexdigest()}"


def utc(moment: datetime) -> datetime:
    """Return the moment in UTC without a fraction of a second, as Kubernetes keeps times."""
    return moment.astimezone(UTC).replace(microsecond=0)


def clean_message(text: str) -> str:
    """Return text fit for a status, an Event or a log line: one line, no control characters, at most 1024 long."""
    # What is far behind the limit is cut off first: going through a text of a megabyte takes long enough to be felt.
    printable = "".join(char if char.isprintable() else " " for char in text[: 16 * MESSAGE_LIMIT])
    line = " ".join(printable.split())
    return line if len(line) <= MESSAGE_LIMIT else line[: MESSAGE_LIMIT - 1] + "…"
