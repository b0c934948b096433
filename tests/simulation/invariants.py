"""What must hold at every side effect, whatever happened before.

- What is written is what a resource said within the last seconds (`LAG`), of a resource that was there, was not suspended,
  and owned the thing; nothing else of the thing changes.
- What was found is put back where it was found and nowhere else: at the same endpoint, into what has the same id. So it is
  with what is deleted because it was created.
- What is saved as found was really there, at some moment since the resource began to mean this thing.
- Nothing older is written after something newer of the same resource.
- A resource whose settings are to be undone one day carries the finalizer before its first write, and the baseline of what
  is written.
- `Ready=True` about the newest generation is said only of what the remote has, or had until somebody else changed it a
  moment ago.
- A resource that asked for it is gone only when the remote has again what was found, or when there was trouble.
- Nothing is written oftener than there is cause for; an answer that nobody understands is no cause, if it is a success.
- Nothing is written into a promotion that the operator knows of, and what it does not know yet is no difference it corrects.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from setpoint.reconcile.claims import SHUT
from setpoint.reconcile.conditions import Reason
from setpoint.reconcile.deletion import PATIENCE
from setpoint.reconcile.ports import Key
from setpoint.resources.common import FINALIZER
from tests.simulation.apiserver import ApiServer, Change, Object, conditions, connection_of, ready
from tests.simulation.remotes import NAMED, THERE, Remotes, Request, Thing, Values
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
    endpoint: str | None
    """Where its connection led; None: there was no connection."""

    def uses(self, connection: Key) -> bool:
        """Tell whether it is there and refers to a connection."""
        return self.body is not None and connection_of(self.key, self.body) == connection

    @property
    def things(self) -> set[Thing]:
        """What it manages, be it suspended or not."""
        return set() if self.body is None else things(self.body, self.endpoint)

    @property
    def claims(self) -> set[Thing]:
        """What it owns if it is the oldest one, be it suspended or not."""
        return set() if self.going or self.body is None else claims(self.body, self.endpoint)

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
    answered: dict[tuple[str, Thing], tuple[int, float]] = field(default_factory=dict)
    """Which generation was written and answered last, and when."""
    writes: Counter[Thing] = field(default_factory=Counter)
    """Requests that were carried out, whether they made a difference or not."""
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
    held: dict[str, float] = field(default_factory=dict)
    """Since when the status of a resource tells that it opened its target, and that nobody took it from it since."""
    stripped: dict[str, float] = field(default_factory=dict)
    """When somebody took the finalizer off a resource last."""
    unserved: set[str] = field(default_factory=set)
    """Resources whose connection was deleted with them while no process had it open."""
    began: float = float("-inf")
    """When a process began last."""
    promotions: dict[Thing, float] = field(default_factory=dict)
    """Since when the platform holds what is being promoted."""
    known_promotions: dict[tuple[str, Thing], float] = field(default_factory=dict)
    """Since when a resource says of a thing that it waits for the end of its promotion."""
    makers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Resources that a row may have been created for, by the id of the row."""
    past: dict[Thing, list[tuple[float, Values, Values]]] = field(default_factory=lambda: defaultdict(list))
    """What everything was like since when: as it was shown, and as it was to be."""
    before: dict[Thing, Values] = field(default_factory=dict)
    """What everything was like before the write that is judged."""
    checks: int = 0

    def __post_init__(self) -> None:
        for thing in self.remotes.things():
            self._remember(thing)

    def changed(self, change: Change, before: Object | None) -> None:
        """Hear of a change at the API server, whoever made it."""
        uid = change.body["metadata"]["uid"]
        self._resolve(change.key, change.body)
        body = None if change.type == "DELETED" else change.body
        if body is not None and holds(body) and self._is_of_its_connection(change.key, body):
            self.held.setdefault(uid, now())
        else:
            self.held.pop(uid, None)
        if change.type == "DELETED":
            self._vanished(change, before)
        elif before is not None and before["status"] != change.body["status"]:
            self._truly_found(change, before)
            if before["status"].get("conditions") != change.body["status"].get("conditions"):
                self._told(change)
            else:
                # What is saved before a write says nothing anew.
                self._own_story(change)
            return
        known = self.versions[uid]
        if known and body is not None and known[-1].generation == change.body["metadata"]["generation"]:
            return
        self._is_new(change.key, change.body, body)

    def moved(self, connection: Key) -> None:
        """Hear that a connection leads elsewhere, or is gone, or is there again."""
        for versions in self.versions.values():
            last = versions[-1]
            if last.uses(connection):
                # What another connection opened counts for nothing here.
                if not self._is_of_its_connection(last.key, self.server.objects[last.key]):
                    self.held.pop(last.uid, None)
                self._is_new(last.key, last.body or {}, last.body)
                self._resolve(last.key, self.server.objects[last.key])
                continue
            # The operator may not know yet that it is not so any more.
            for one in [one for one in _within(versions, now() - LAG) if one.uses(connection)][:1]:
                endpoint = self.server.endpoint(one.key, one.body or {})
                versions.insert(len(versions) - 1, replace(one, since=now(), endpoint=endpoint))

    def remade(self, all_: list[Thing]) -> None:
        """Hear that what bears a name is another thing now."""
        for thing in all_:
            self.somebody_changed(thing)
        for key, body in self.server.objects.items():
            self._resolve(key, body)

    def promotion(self, held: list[Thing], *, ended: bool) -> None:
        """Hear that the platform holds things for a promotion from now on, or not any more."""
        for thing in held:
            if not ended:
                self.promotions[thing] = now()
                continue
            self.promotions.pop(thing, None)
            for known in [known for known in self.known_promotions if known[1] == thing]:
                del self.known_promotions[known]

    def carried_out(self, request: Request) -> None:
        """Hear of a write that a remote took."""
        self.before = request.before
        for thing in request.addressed:
            self.writes[thing] += 1
            self.causes[thing] += 0 if request.answered else 1
            most = self.causes[thing] + self.everywhere
            if self.writes[thing] > most:
                raise Violation(f"{thing} was written {self.writes[thing]} times, for {most} causes")
            self._may_be_written_now(thing, request.addressed)
        for thing in request.before:
            values = self.remotes.values(thing, coming=True)
            gone = bool(request.before[thing].get(THERE)) and not values[THERE]
            changes = {
                name: value
                for name, value in values.items()
                if name != THERE and (gone or request.before[thing].get(name) != value)
            }
            if not changes:
                continue
            self._remember(thing)
            if thing not in request.addressed:
                # The platform passes settings of an environment on.
                self.somebody_changed(thing)
                continue
            self.checks += 1
            self.own[thing] = now()
            if gone:
                self._may_be_deleted(thing)
            else:
                self._allowed(thing, changes)
        if request.answered:
            self._answered(request.addressed)
        self.before = {}

    def somebody_changed(self, thing: Thing) -> None:
        """Hear that somebody else changed a thing."""
        self.foreign[thing] = now()
        self.causes[thing] += 1
        self._remember(thing)

    def _is_new(self, key: Key, last: Object, body: Object | None) -> None:
        meta = last["metadata"]
        known = self.versions[meta["uid"]]
        # A connection that led elsewhere a moment ago may still lead there for the operator.
        added = [
            Version(now(), key, meta["uid"], meta["generation"], meta["creationTimestamp"], body, endpoint)
            for endpoint in self.server.endpoints(key, last, now() - LAG)
        ]
        known += added
        for thing in {thing for one in known[-1 - len(added) :] for thing in one.things}:
            self.causes[thing] += 1

    def _resolve(self, key: Key, body: Object) -> None:
        """Note since when it can be told which things a resource means."""
        if unresolved(body, self.server.endpoint(key, body), self.remotes):
            self.resolved.pop(body["metadata"]["uid"], None)
        else:
            self.resolved.setdefault(body["metadata"]["uid"], now())

    def _is_of_its_connection(self, key: Key, body: Object) -> bool:
        """Tell whether a status speaks of what the connection has opened that there is now, if there is one."""
        connection = self.server.connections.get(connection_of(key, body))
        known = body["status"].get("origin", {})
        return connection is None or (
            known.get("endpoint") == self.server.endpoint(key, body)
            and known.get("connection", {}).get("uid") == connection["metadata"]["uid"]
        )

    def _remember(self, thing: Thing) -> None:
        shown, coming = (self.remotes.values(thing, coming=coming) for coming in (False, True))
        self.past[thing].append((now(), shown, coming))

    def _answered(self, addressed: tuple[Thing, ...]) -> None:
        for uid, versions in self.versions.items():
            for thing in addressed:
                meant = [one.generation for one in _within(versions, now() - LAG) if thing in one.things]
                if meant:
                    self.answered[uid, thing] = (min(meant), now())

    def _may_be_written_now(self, thing: Thing, together: tuple[Thing, ...]) -> None:
        """Hold a write against the promotions that are under way; chainlets are written together."""
        since = self.promotions.get(thing)
        if since is None or now() - since <= LAG:
            return
        for uid, versions in self.versions.items():
            generation, at = self.answered.get((uid, thing), (0, float("-inf")))
            for version in _within(versions, now() - LAG):
                wants = thing in (self._undone(version) if version.going else _enforced(version))
                news = (
                    version.generation > generation
                    or self.began > at
                    or any(self._changed_hands(one, uid, at) for one in together)
                )
                known = self.known_promotions.get((uid, thing), float("inf")) <= self._known_since()
                if wants and news and not known:
                    return
        raise Violation(f"{thing} was written while it was promoted since {since:.1f} s")

    def _changed_hands(self, thing: Thing, uid: str, since: float) -> bool:
        """Tell whether another resource that means a thing, or meant it, was changed since then: it may have lost it."""
        return any(
            later.since > since - LAG and thing in earlier.things | later.things
            for other, versions in self.versions.items()
            if other != uid
            for earlier, later in pairwise(versions)
        )

    def _may_be_deleted(self, thing: Thing) -> None:
        """Hold the deletion of a row against who created it."""
        makers = self.makers[self.before[thing][THERE]]
        for body in self.server.objects.values():
            meta, policy = body["metadata"], body["spec"].get("deletionPolicy")
            if meta["uid"] in makers and "deletionTimestamp" in meta and policy == "Delete":
                return
        raise Violation(f"{thing} was deleted, which nobody created who is being deleted")

    def _is_its_origin(self, body: Object, thing: Thing) -> bool:
        """Tell whether a status speaks of the very thing that bears the name."""
        origin = body["status"].get("origin", {})
        there = self.before[thing][THERE] if thing.kind == "row" and thing in self.before else self.remotes.id(thing)
        known = origin.get("id")
        if thing.kind != "row":
            known = (known or "").partition("/")[0]
        return bool(origin.get("endpoint") == thing.endpoint and known == there)

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
        if THERE in self.before[thing] and not self.before[thing][THERE]:
            self.makers[str(self.remotes.id(thing))] |= {version.uid for version in found}
        for version in found:
            last = self.newest.get((version.uid, thing), 0)
            if version.generation >= last:
                self.newest[version.uid, thing] = max(last, min(one.generation for one in found))
                return
        raise Violation(f"{changes} of generation {found[0].generation} was written to {thing} after a newer one")

    def _undone(self, version: Version) -> dict[Thing, Values]:
        """Return what may be written for a resource that is being deleted."""
        body = self.server.objects.get(version.key)
        if body is None or body["metadata"]["uid"] != version.uid or body["spec"].get("deletionPolicy") != "Restore":
            return {}
        return {thing: values for thing, values in baseline(body).items() if self._is_its_origin(body, thing)}

    def _owner_before(self, thing: Thing, version: Version) -> Key | None:
        """Return somebody who was there all the time and had a better claim."""
        since = self._known_since()
        for versions in self.versions.values():
            other = versions[-1]
            if other.uid == version.uid:
                continue
            if other.body is None or self.resolved.get(other.uid, float("inf")) > since:
                continue
            if self.held.get(other.uid, float("inf")) > since:
                # Nobody has to make way for one whose own connection has not opened the thing.
                continue
            if other.going:
                undone = all(one.going for one in _within(versions, since)) and thing in self._undone(other)
                if undone and thing in other.things and not version.going:
                    return other.key
                continue
            steady = all(thing in one.claims for one in _within(versions, since)) and versions[0].since <= since
            older = (other.created, other.uid) < (version.created, version.uid)
            if steady and (version.uid not in self.held if version.going else older):
                return other.key
        return None

    def _known_since(self) -> float:
        """Return the moment whose state the operator knows at least."""
        since = now() - LAG
        for start, end in self.blind:
            if end >= now() - LAG:
                since = min(since, start - LAG)
        return since

    def _unprotected(self, thing: Thing, version: Version, changes: Values) -> str:
        """Return what is missing before a write that is to be undone one day."""
        assert version.body is not None
        policy = version.body["spec"].get("deletionPolicy", "Orphan")
        known = [one.body for one in _within(self.versions[version.uid], self._known_since()) if one.body is not None]
        if any(body["spec"].get("deletionPolicy", "Orphan") == "Orphan" for body in known):
            # The operator may know where the connection leads now, and not yet that anything is to be undone.
            return ""
        body = self.server.objects.get(version.key)
        stripped = self.stripped.get(version.uid, float("-inf")) >= self._known_since()
        if body is None or body["metadata"]["uid"] != version.uid:
            # A row that was there already is not to be deleted.
            loose = stripped or (policy == "Delete" and self.before[thing][THERE])
            return "" if loose or version.key not in self.server.objects else "another one has its name"
        if body["spec"].get("deletionPolicy", "Orphan") == "Orphan" or "deletionTimestamp" in body["metadata"]:
            return ""
        adopted = policy == "Delete" and not body["status"].get("created") and self.before[thing][THERE]
        if not adopted and not stripped and FINALIZER not in body["metadata"].get("finalizers", []):
            return "written without the finalizer"
        if policy == "Restore":
            saved = baseline(body).get(thing, {}) if self._is_its_origin(body, thing) else {}
            lacking = [name for name in changes if name not in saved]
            if lacking:
                return f"written without a baseline of {lacking}"
        return ""

    def _told(self, change: Change) -> None:
        body = change.body
        meta, status = body["metadata"], body["status"]
        self._own_story(change)
        version = self.versions[meta["uid"]][-1]
        for thing in version.things:
            if ready(body)[1] == Reason.PROMOTING and thing in self.promotions:
                self.known_promotions.setdefault((meta["uid"], thing), change.at)
            else:
                self.known_promotions.pop((meta["uid"], thing), None)
        if ready(body)[0] != "True" or status.get("observedGeneration") != meta["generation"]:
            return
        if any(type_ in {"Suspended", "Drifted"} for type_, _, _ in conditions(body)):
            # It says what was so when it was suspended, and that it is; or that there are differences which are left alone.
            return
        self.checks += 1
        for thing, wanted in desired(body, version.endpoint).items():
            shown = self.remotes.values(thing, coming=False)
            wrong = {name: shown.get(name) for name, value in wanted.items() if shown.get(name) != value}
            others = self._others_write(thing, meta["uid"])
            recent = max(self.foreign.get(thing, float("-inf")), others, self._moved_at(meta["uid"]))
            if wrong and now() - recent > READ_AGE:
                raise Violation(f"{change.key} is Ready, but {thing} has {wrong} and not {wanted}")

    def _own_story(self, change: Change) -> None:
        """Hold what the status says was applied against what this very resource ever wanted."""
        versions = self.versions[change.body["metadata"]["uid"]]
        wanted = [desired(one.body, one.endpoint) for one in versions if one.body is not None]
        wanted.append(baseline(change.body))
        for thing, values in applied(change.body).items():
            if not any(values.items() <= one.get(thing, {}).items() for one in wanted):
                raise Violation(f"{change.key} says that {values} was applied to {thing}, which it never wanted")

    def _truly_found(self, change: Change, before: Object) -> None:
        """Hold what the status says was found against what was there since the resource means the thing."""
        versions = self.versions[change.body["metadata"]["uid"]]
        known = baseline(before)
        for thing, values in baseline(change.body).items():
            since = versions[0].since
            for earlier, later in pairwise(versions):
                if thing in later.things - earlier.things:
                    since = later.since
            for name, value in values.items():
                if known.get(thing, {}).get(name, object()) == value:
                    continue
                self.checks += 1
                if not self._was(thing, name, value, since):
                    raise Violation(f"{change.key} says that {name} of {thing} was {value} before, which it never was")

    def _was(self, thing: Thing, name: str, value: Any, since: float) -> bool:
        for at, shown, coming in reversed(self.past[thing]):
            if value in {shown.get(name), coming.get(name)}:
                return True
            if at <= since:
                return False
        return False

    def _moved_at(self, uid: str) -> float:
        """Return when the connection of a resource led elsewhere for the last time."""
        moves = [later.since for one, later in pairwise(self.versions[uid]) if one.endpoint != later.endpoint]
        return moves[-1] if moves else float("-inf")

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
        spec, uid = before["spec"], change.body["metadata"]["uid"]
        excused = spec.get("suspend") or spec.get("mode") == "Observe" or now() - self.trouble < PATIENCE + 120
        if excused or uid in self.unserved:
            return
        if spec.get("deletionPolicy") == "Delete" and before["status"].get("created"):
            for thing in self.versions[uid][-1].things:
                if self._is_its_origin(before, thing) and self.remotes.id(thing) and not self._is_claimed(thing, uid):
                    raise Violation(f"{change.key} went, but {thing} is there, which it created")
        if spec.get("deletionPolicy") != "Restore":
            return
        # Chainlets are written together, and refused together.
        refused = any(self._refused(thing, wanted) for thing, wanted in baseline(before).items())
        for thing, wanted in baseline(before).items():
            if not self._is_its_origin(before, thing) or not self._leads_there(change.key, before, thing):
                # What somebody else deleted is not made anew, and what was left behind stays as it is.
                continue
            shown = self.remotes.values(thing, coming=False)
            wrong = {name: shown.get(name) for name, value in wanted.items() if shown.get(name) != value}
            excused = refused or self._is_claimed(thing, uid)
            if wrong and not excused and now() - self.foreign.get(thing, float("-inf")) > READ_AGE:
                raise Violation(f"{change.key} went, but {thing} has {wrong} and not {wanted}")

    def _is_claimed(self, thing: Thing, uid: str) -> bool:
        """Tell whether somebody else owned a thing a moment ago, or was to put back what was there before."""
        return any(
            thing in one.claims or (one.going and one.body is not None and thing in baseline(one.body))
            for other, versions in self.versions.items()
            if other != uid and other in self.held
            for one in _within(versions, now() - LAG)
        )

    def _leads_there(self, key: Key, body: Object, thing: Thing) -> bool:
        """Tell whether the resource's connection leads to a thing, or led there until it was deleted."""
        return self.server.endpoint(key, body) in {thing.endpoint, None} and self._is_of_its_connection(key, body)


def things(body: Object, endpoint: str | None) -> set[Thing]:
    """Return what a resource manages whose connection leads there."""
    return set(desired(body, endpoint))


def claims(body: Object, endpoint: str | None) -> set[Thing]:
    """Return what a resource owns if it is the oldest one, be it suspended or not."""
    if "deletionTimestamp" in body["metadata"] or body["spec"].get("mode") == "Observe":
        return set()
    return things(body, endpoint)


def holds(body: Object) -> bool:
    """Tell whether a status says that the target was opened, and that no other resource has it."""
    return bool(body["status"].get("observed")) and ready(body)[1] not in SHUT


def unresolved(body: Object, endpoint: str | None, remotes: Remotes) -> bool:
    """Tell whether neither spec nor status tell which thing is meant."""
    target = body["spec"].get("target", {})
    if endpoint is None or ("modelName" not in target and target.get("deployment") != "development"):
        return False
    known = body["status"].get("target", {})
    if body["status"].get("origin", {}).get("endpoint") != endpoint:
        return True
    by_name = "modelName" in target and known.get("modelId") != remotes.id(_model_thing(endpoint, target))
    return by_name or (target.get("deployment") == "development" and "deploymentId" not in known)


def desired(body: Object, endpoint: str | None) -> dict[Thing, Values]:
    """Return what a spec wants, by thing, in the words of the remote API."""
    spec = body["spec"]
    return _by_thing(endpoint, spec, spec if _nested(spec) else spec["autoscaling"])


def baseline(body: Object) -> dict[Thing, Values]:
    """Return what the status says was found, by thing, in the words of the remote API."""
    return _by_thing(_origin(body), body["spec"], body["status"].get("baseline"))


def applied(body: Object) -> dict[Thing, Values]:
    """Return what the status says was applied, by thing, in the words of the remote API."""
    return _by_thing(_origin(body), body["spec"], body["status"].get("applied"))


def _origin(body: Object) -> str | None:
    """Return where the remote API is that a status speaks of."""
    endpoint: str | None = body["status"].get("origin", {}).get("endpoint")
    return endpoint or None


def _nested(spec: Object) -> bool:
    """Tell whether a status keeps settings in the form of the whole spec, and not in that of `spec.autoscaling`."""
    return "modelName" in spec or "chainlets" in spec


def _by_thing(endpoint: str | None, spec: Object, settings: Object | None) -> dict[Thing, Values]:
    """Return settings by the things that a spec names at an endpoint."""
    if settings is None or endpoint is None:
        return {}
    if "modelName" in spec:
        return {Thing(endpoint, "row", spec["modelName"]): _limits(settings)}
    target = spec["target"]
    if "chainlets" in spec:
        return {
            Thing(endpoint, "chainlet", target["chainId"], target["environment"], one["name"]): _wire(
                one["autoscaling"]
            )
            for one in settings["chainlets"]
        }
    return {_model_thing(endpoint, target): _wire(settings)}


def _model_thing(endpoint: str, target: Object) -> Thing:
    model = target.get("modelId") or target["modelName"].removeprefix("name of ")
    if "environment" in target:
        return Thing(endpoint, "environment", model, target["environment"])
    named = target["deployment"]
    return Thing(endpoint, "deployment", model, f"{model}-d" if named == "development" and model != NAMED else named)


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
    return {} if spec.get("suspend") or spec.get("mode") == "Observe" else desired(version.body, version.endpoint)


def _within(versions: list[Version], since: float) -> Iterator[Version]:
    """Yield the versions that were the newest at some moment since then, the newest first."""
    for version in reversed(versions):
        yield version
        if version.since <= since:
            return
