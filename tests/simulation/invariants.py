"""What must hold at every side effect, whatever happened before.

- What is written is what a resource said within the last seconds (`LAG`), of a resource that was there, was not suspended,
  and owned the thing; nothing else of the thing changes.
- Nothing older is written after something newer of the same resource.
- A resource whose settings are to be undone one day carries the finalizer before its first write, and the baseline of what
  is written.
- `Ready=True` about the newest generation is said only of what the remote has, or had until somebody else changed it a
  moment ago.
- A resource that asked for it is gone only when the remote has again what was found, or when there was trouble.
- Nothing is written oftener than there is cause for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from setpoint.reconcile.deletion import PATIENCE
from setpoint.reconcile.ports import Key
from setpoint.resources.common import FINALIZER
from tests.simulation.apiserver import ApiServer, Change, Object, conditions, ready
from tests.simulation.remotes import THERE, Remotes, Thing, Values
from tests.virtual_time import now

LAG = 20.0
"""Seconds for which the operator may not know of a change: a streamed event is trusted for 15."""

READ_AGE = 45.0
"""Seconds between the moment a remote was read and the moment a status tells of it, at most."""

WIRE = {
    "minReplica": "min_replica",
    "maxReplica": "max_replica",
    "scaleDownDelay": "scale_down_delay",
    "concurrencyTarget": "concurrency_target",
    "targetInFlightTokens": "target_in_flight_tokens",
}


class Violation(AssertionError):
    """Something that must hold does not."""


@dataclass(frozen=True, slots=True)
class Version:
    """A resource as users left it."""

    since: float
    key: Key
    uid: str
    generation: int
    created: str
    body: Object | None
    """None: it was deleted."""

    @property
    def going(self) -> bool:
        """Whether it is being deleted."""
        return self.body is None or "deletionTimestamp" in self.body["metadata"]


@dataclass
class Invariants:
    """Remembers what users did, and holds what the operator does against it."""

    server: ApiServer
    remotes: Remotes
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    newest: dict[tuple[str, Thing], int] = field(default_factory=dict)
    writes: Counter[Thing] = field(default_factory=Counter)
    causes: Counter[Thing] = field(default_factory=Counter)
    everywhere: int = 0
    """Causes that concern all things: a process began."""
    foreign: dict[Thing, float] = field(default_factory=dict)
    """When somebody else changed a thing last."""
    own: dict[Thing, float] = field(default_factory=dict)
    """When the operator changed a thing last."""
    trouble: float = float("-inf")
    """When anything went wrong last that may keep a resource from being restored."""
    blind: list[tuple[float, float]] = field(default_factory=list)
    """When the operator could not see: its watch was cut, or there was no process."""
    resolved: dict[str, float] = field(default_factory=dict)
    """Since when spec or status tell which thing a resource means."""
    before: dict[Thing, Values] = field(default_factory=dict)
    """What everything was like before the write that is judged."""
    checks: int = 0

    def changed(self, change: Change, before: Object | None) -> None:
        """Hear of a change at the API server, whoever made it."""
        uid = change.body["metadata"]["uid"]
        if not unresolved(change.body):
            self.resolved.setdefault(uid, change.at)
        body = None if change.type == "DELETED" else change.body
        if change.type == "DELETED":
            self._vanished(change, before)
        elif before is not None and before["status"] != change.body["status"]:
            if before["status"].get("conditions") != change.body["status"].get("conditions"):
                self._told(change)
            else:
                # What is saved before a write says nothing anew.
                self._own_story(change)
            return
        known = self.versions[uid]
        meta = change.body["metadata"]
        version = Version(change.at, change.key, uid, meta["generation"], meta["creationTimestamp"], body)
        same = known and body is not None and known[-1].generation == version.generation
        if not same:
            known.append(version)
            concerned = {thing for one in known[-2:] if one.body is not None for thing in things(one.body)}
            for thing in concerned:
                self.causes[thing] += 1

    def written(self, before: dict[Thing, Values]) -> None:
        """Hear of a write that a remote applied; `before` is what everything was like."""
        after = self.remotes.all()
        self.before = before
        for thing, values in after.items():
            changes = {
                name: value for name, value in values.items() if before[thing].get(name) != value and name != THERE
            }
            if not changes:
                continue
            self.checks += 1
            self.own[thing] = now()
            self.writes[thing] += 1
            self._allowed(thing, changes)
            most = self.causes[thing] + self.everywhere
            if self.writes[thing] > most:
                raise Violation(f"{thing} was written {self.writes[thing]} times, for {most} causes")

    def somebody_changed(self, thing: Thing) -> None:
        """Hear that somebody else changed a thing."""
        self.foreign[thing] = now()
        self.causes[thing] += 1

    def _allowed(self, thing: Thing, changes: Values) -> None:
        found: list[Version] = []
        refused: list[str] = []
        for versions in self.versions.values():
            for version in _within(versions, now() - LAG):
                wanted = self._undone(version) if version.going else _enforced(version)
                values = wanted.get(thing)
                if values is None or any(values.get(name, object()) != value for name, value in changes.items()):
                    continue
                owner = self._owner_before(thing, version)
                if owner is not None:
                    refused.append(f"{version.key} generation {version.generation} wants it, but {owner} owns it")
                elif not version.going and (missing := self._unprotected(thing, version, changes)):
                    refused.append(f"{version.key}: {missing}")
                else:
                    found.append(version)
        if not found:
            raise Violation(f"{changes} was written to {thing}, which nobody wants; {refused}")
        for version in found:
            last = self.newest.get((version.uid, thing), 0)
            if version.generation >= last:
                self.newest[version.uid, thing] = max(last, min(one.generation for one in found))
                return
        raise Violation(f"{changes} of generation {found[0].generation} was written to {thing} after a newer one")

    def _undone(self, version: Version) -> dict[Thing, Values]:
        """Return what may be written for a resource that is being deleted."""
        body = self.server.objects.get(version.key)
        if body is None or body["metadata"]["uid"] != version.uid:
            return {}
        if body["spec"].get("deletionPolicy") == "Delete":
            mine = [thing for thing in things(body) if (version.uid, thing) in self.newest]
            return {thing: {"budgets": (), "rate_limit": ()} for thing in mine}
        return baseline(body)

    def _owner_before(self, thing: Thing, version: Version) -> Key | None:
        """Return somebody who was there all the time and had a better claim."""
        since = now() - LAG
        for start, end in self.blind:
            if end >= now() - LAG:
                since = min(since, start - LAG)
        for versions in self.versions.values():
            other = versions[-1]
            if other.uid == version.uid:
                continue
            if other.body is None or self.resolved.get(other.uid, float("inf")) > since:
                continue
            steady = all(thing in claims(one.body) for one in _within(versions, since)) and versions[0].since <= since
            if steady and (version.going or (other.created, other.uid) < (version.created, version.uid)):
                return other.key
        return None

    def _unprotected(self, thing: Thing, version: Version, changes: Values) -> str:
        """Return what is missing before a write that is to be undone one day."""
        assert version.body is not None
        policy = version.body["spec"].get("deletionPolicy", "Orphan")
        if policy == "Orphan":
            return ""
        body = self.server.objects.get(version.key)
        if body is None or body["metadata"]["uid"] != version.uid:
            return "" if version.key not in self.server.objects else "another one has its name"
        if body["spec"].get("deletionPolicy", "Orphan") == "Orphan" or "deletionTimestamp" in body["metadata"]:
            return ""
        adopted = policy == "Delete" and not body["status"].get("created") and self.before[thing][THERE]
        if not adopted and FINALIZER not in body["metadata"].get("finalizers", []):
            return "written without the finalizer"
        if policy == "Restore":
            saved = baseline(body).get(thing, {})
            lacking = [name for name in changes if name not in saved]
            if lacking:
                return f"written without a baseline of {lacking}"
        return ""

    def _told(self, change: Change) -> None:
        body = change.body
        meta, status = body["metadata"], body["status"]
        self._own_story(change)
        if ready(body)[0] != "True" or status.get("observedGeneration") != meta["generation"]:
            return
        if any(type_ in {"Suspended", "Drifted"} for type_, _, _ in conditions(body)):
            # It says what was so when it was suspended, and that it is; or that there are differences which are left alone.
            return
        self.checks += 1
        for thing, wanted in desired(body).items():
            shown = self.remotes.values(thing, coming=False)
            wrong = {name: shown.get(name) for name, value in wanted.items() if shown.get(name) != value}
            recent = max(self.foreign.get(thing, float("-inf")), self._others_write(thing, meta["uid"]))
            if wrong and now() - recent > READ_AGE:
                raise Violation(f"{change.key} is Ready, but {thing} has {wrong} and not {wanted}")

    def _own_story(self, change: Change) -> None:
        """Hold what the status says was applied against what this very resource ever wanted."""
        wanted = [desired(one.body) for one in self.versions[change.body["metadata"]["uid"]] if one.body is not None]
        wanted.append(baseline(change.body))
        for thing, values in applied(change.body).items():
            if not any(values.items() <= one.get(thing, {}).items() for one in wanted):
                raise Violation(f"{change.key} says that {values} was applied to {thing}, which it never wanted")

    def _others_write(self, thing: Thing, uid: str) -> float:
        """Return when the operator wrote the thing last, if that may have been for another resource."""
        others = [one for one in self.versions if one != uid and (one, thing) in self.newest]
        return self.own.get(thing, float("-inf")) if others else float("-inf")

    def _refused(self, thing: Thing, wanted: Values) -> bool:
        """Tell whether the remote would refuse values because of one that another resource has set since."""
        values = {**self.remotes.values(thing, coming=True), **wanted}
        return bool(values.get("min_replica", 0) > values.get("max_replica", float("inf")))

    def _vanished(self, change: Change, before: Object | None) -> None:
        """Hold a resource that was let go against its deletion policy."""
        if before is None or FINALIZER not in before["metadata"].get("finalizers", []):
            return
        self.checks += 1
        spec = before["spec"]
        excused = spec.get("suspend") or spec.get("mode") == "Observe" or now() - self.trouble < PATIENCE + 120
        if spec.get("deletionPolicy") != "Restore" or excused:
            return
        row = before["status"].get("target", {}).get("modelConfigId")
        if row is not None and not self.remotes.has_row(row):
            # Somebody else deleted it, and no other one is made for what was found in it.
            return
        uid = change.body["metadata"]["uid"]
        for thing, wanted in baseline(before).items():
            shown = self.remotes.values(thing, coming=False)
            wrong = {name: shown.get(name) for name, value in wanted.items() if shown.get(name) != value}
            claimed = any(
                thing in claims(one.body)
                for other, versions in self.versions.items()
                if other != uid
                for one in _within(versions, now() - LAG)
            )
            excused = claimed or self._refused(thing, wanted)
            if wrong and not excused and now() - self.foreign.get(thing, float("-inf")) > READ_AGE:
                raise Violation(f"{change.key} went, but {thing} has {wrong} and not {wanted}")


def things(body: Object) -> set[Thing]:
    """Return what a resource manages."""
    return set(desired(body))


def claims(body: Object | None) -> set[Thing]:
    """Return what a resource owns if it is the oldest one, be it suspended or not."""
    if body is None or "deletionTimestamp" in body["metadata"] or body["spec"].get("mode") == "Observe":
        return set()
    return things(body)


def unresolved(body: Object) -> bool:
    """Tell whether neither spec nor status tell which thing is meant."""
    target = body["spec"].get("target", {})
    known = body["status"].get("target", {})
    by_name = "modelName" in target and "modelId" not in known
    return by_name or (target.get("deployment") == "development" and "deploymentId" not in known)


def desired(body: Object) -> dict[Thing, Values]:
    """Return what a spec wants, by thing, in the words of the remote API."""
    spec = body["spec"]
    return _by_thing(spec, spec if _nested(spec) else spec["autoscaling"])


def baseline(body: Object) -> dict[Thing, Values]:
    """Return what the status says was found, by thing, in the words of the remote API."""
    return _by_thing(body["spec"], body["status"].get("baseline"))


def applied(body: Object) -> dict[Thing, Values]:
    """Return what the status says was applied, by thing, in the words of the remote API."""
    return _by_thing(body["spec"], body["status"].get("applied"))


def _nested(spec: Object) -> bool:
    """Tell whether a status keeps settings in the form of the whole spec, and not in that of `spec.autoscaling`."""
    return "modelName" in spec or "chainlets" in spec


def _by_thing(spec: Object, settings: Object | None) -> dict[Thing, Values]:
    """Return settings by the things that a spec names."""
    if settings is None:
        return {}
    if "modelName" in spec:
        return {("row", spec["modelName"]): _limits(settings)}
    target = spec["target"]
    if "chainlets" in spec:
        return {
            ("chainlet", target["chainId"], target["environment"], one["name"]): _wire(one["autoscaling"])
            for one in settings["chainlets"]
        }
    return {_model_thing(target): _wire(settings)}


def _model_thing(target: Object) -> Thing:
    model = target.get("modelId") or target["modelName"].removeprefix("name of ")
    if "environment" in target:
        return ("environment", model, target["environment"])
    named = target["deployment"]
    return ("deployment", model, f"{model}-d" if named == "development" else named)


def _wire(settings: Object) -> Values:
    return {WIRE[name]: value for name, value in settings.items() if name in WIRE and value is not None}


def _limits(spec: Object) -> Values:
    values: dict[str, Any] = {}
    budgets = [spec["budget"]] if spec.get("budget") else spec.get("budgets")
    if budgets is not None:
        values["budgets"] = tuple(sorted((one["resetDuration"], float(one["maxLimit"])) for one in budgets))
    rate = spec.get("rateLimit")
    if rate is not None:
        values["rate_limit"] = (rate["tokenMaxLimit"], rate["tokenResetDuration"]) if rate.get("tokenMaxLimit") else ()
    return values


def _enforced(version: Version) -> dict[Thing, Values]:
    """Return what a version wants to be written."""
    if version.going or version.body is None:
        return {}
    spec = version.body["spec"]
    return {} if spec.get("suspend") or spec.get("mode") == "Observe" else desired(version.body)


def _within(versions: list[Version], since: float) -> Iterator[Version]:
    """Yield the versions that were the newest at some moment since then, the newest first."""
    for version in reversed(versions):
        yield version
        if version.since <= since:
            return
