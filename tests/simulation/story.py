"""One story: what users, remotes, the API server and fate do in one hour, all of it drawn from one seed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from setpoint.reconcile.conditions import Reason
from setpoint.reconcile.memory import REFUSED_AGAIN
from setpoint.reconcile.ports import Event, Key
from setpoint.resources import Managed
from setpoint.resources.common import FINALIZER, REQUESTED_AT
from tests.simulation.apiserver import SECRET, SECRET_KEY, ApiServer, Object, connection_of, ready
from tests.simulation.invariants import Invariants, Violation, claims, desired, holds, things, unresolved
from tests.simulation.process import KubeFault, Process, Surroundings
from tests.simulation.remotes import (
    CHAINLETS,
    CHAINS,
    FAULTS,
    GATEWAYS,
    MODELS,
    MUMBLINGS,
    NAMED,
    PLATFORMS,
    PRODUCTION,
    ROWS,
    Fault,
    Remotes,
    Request,
    Thing,
)
from tests.virtual_time import now, run

HOUR = 3600.0
QUIET = 1500.0
"""Seconds at the end without trouble: longer than two of the longest intervals and the longest pauses together."""

PROMPT = 40.0
"""Seconds within which a change is looked at where nothing is wrong, shorter than any interval."""

NAMES = tuple(f"r{number}" for number in range(16))
INTERVALS = ("1m", "3m", "10m")
NAMESPACES = "ab"
SETTINGS = ("autoscaling", "chainlets", "budget", "budgets", "rateLimit")
EDITS = ("settings", "settings", "settings", "deletionPolicy", "deletionPolicy", "suspend", "mode", "connectionRef")
CLEARED = 240.0
"""Seconds after which a namespace that was cleared is furnished again, at most."""
CONNECTIONS = {
    "baseten": PLATFORMS[0],
    "bifrost": GATEWAYS[0],
    "spare-baseten": PLATFORMS[1],
    "spare-bifrost": GATEWAYS[1],
}
"""The connections of every namespace, and where they lead at first."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a story."""

    seed: int
    violation: str | None
    checks: int
    writes: int
    deaths: tuple[str, ...]
    log: tuple[str, ...]


@dataclass
class Story(Surroundings):
    """The surroundings of the operator, and what happens in them."""

    seed: int
    random: Random = field(init=False)
    server: ApiServer = field(init=False)
    remotes: Remotes = field(init=False)
    clock_is_off: timedelta = timedelta()
    invariants: Invariants = field(init=False)
    violation: str | None = None
    log: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    serial: int = 100
    trouble: bool = True
    kube_down_until: float = 0.0
    remote_down_until: float = 0.0
    process: Process | None = None
    watchers: list[asyncio.Task[None]] = field(default_factory=list)
    promoting: set[tuple[str, str]] = field(default_factory=set)
    last: Key | None = None
    """What something was done to last."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.server = ApiServer()
        self.remotes = Remotes.fresh(self.random.choice([1, 2, 3]))
        for endpoint in (*PLATFORMS, *GATEWAYS):
            if self.random.random() < 0.15:
                self.remotes.mumbling[endpoint] = self.random.choice(MUMBLINGS)
        self.invariants = Invariants(self.server, self.remotes)
        self.server.on_change = lambda change, before: self._hold(lambda: self.invariants.changed(change, before))
        self.server.on_connection = self._connection_changed
        for namespace in NAMESPACES:
            self._furnish(namespace)

    # what a process finds

    def remote_fault(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with a request to a remote."""
        if now() < self.remote_down_until:
            self._note_trouble()
            return "503"
        if not self.trouble or self.random.random() > 0.04:
            return None
        self._note_trouble()
        return self.random.choice(FAULTS)

    def kube_fault(self, method: str) -> KubeFault:
        """Return what goes wrong with a request to the API server."""
        if now() < self.kube_down_until:
            return "before"
        if not self.trouble or self.random.random() > 0.03:
            return None
        self._note_trouble()
        return self.random.choice(["before", "after"])

    def written(self, request: Request) -> None:
        """Hear of a write that a remote carried out."""
        self._hold(lambda: self.invariants.carried_out(request))

    def told(self, resource: Managed, event: Event) -> None:
        """Hear of an Event."""
        if event.reason == "InternalError":
            self._violated(f"the operator failed on {resource.metadata.name}")

    # the story

    async def play(self) -> None:
        """Let an hour pass, then wait until all trouble is over, and look what became of everything."""
        self.process = await self._begin(stale=0.0)
        self.watchers.append(asyncio.create_task(self._bury()))
        acts: list[tuple[float, Callable[[], Any]]] = [
            (10, self._create),
            (12, self._edit),
            (5, self._delete),
            (6, self._recreate),
            (6, self._drift),
            (3, self._request),
            (3, self._die),
            (1, self._replace),
            (3, self._strip),
            (2, self._move),
            (2, self._make),
            (2, self._remake),
            (2, self._promote),
            (0.5, self._clear),
            (2, self._cut),
            (1, self._outage),
            (1, self._kube_outage),
            (1, self._rotate),
            (1, self._step_clock),
        ]
        weights = [weight for weight, _ in acts]
        try:
            while now() < HOUR and self.violation is None:
                [(_, act)] = self.random.choices(acts, weights)
                done = act()
                if asyncio.iscoroutine(done):
                    await done
                await asyncio.sleep(self.random.choice([0.0, 0.1, 0.5, 2.0, 10.0, 60.0]))
            await self._settle()
        finally:
            for watcher in self.watchers:
                watcher.cancel()
            if self.process is not None:
                await self.process.kill()

    async def _settle(self) -> None:
        self.trouble = False
        for namespace in NAMESPACES:
            self._furnish(namespace)
        if self.process is not None:
            self.process.fate.steps_left = None
        await self._rest(QUIET)
        for _ in range(3):
            for _ in range(6):
                self.random.choice([self._edit, self._request, self._delete, self._create])()
                await asyncio.sleep(self.random.choice([0.0, 0.1, 1.0, 3.0]))
            await self._rest(PROMPT)
            self._hold(self._noticed)
        if self.random.random() < 0.5:
            self._clear()
            await self._rest(CLEARED)
        await self._rest(QUIET)
        if any(ready(body)[1] == Reason.INVALID_SETTINGS for body in self.server.objects.values()):
            # What a remote once refused is sent again that rarely, where neither spec nor remote change.
            await self._rest(REFUSED_AGAIN)
        if self.violation is None:
            self._hold(self._over)

    async def _rest(self, seconds: float) -> None:
        for _ in range(int(seconds / 10.0)):
            if self.violation is None:
                await asyncio.sleep(10.0)

    def _noticed(self) -> None:
        """Every spec was looked at, though nobody's interval has passed."""
        for key, body in self.server.objects.items():
            generation, seen = body["metadata"]["generation"], body["status"].get("observedGeneration")
            if "deletionTimestamp" in body["metadata"] or body["spec"].get("suspend"):
                continue
            if seen != generation:
                raise Violation(f"{key}: generation {generation} was not looked at, but {seen}")
            wanted = body["metadata"].get("annotations", {}).get(REQUESTED_AT)
            if wanted != body["status"].get("lastHandledReconcileAt"):
                raise Violation(f"{key}: nobody looked when it was asked for at {wanted}")

    def _over(self) -> None:
        """All is as the specs say, and said so."""
        claimants: dict[Thing, list[tuple[str, str, Key]]] = {}
        unsure: set[Thing] = set()
        for key, body in self.server.objects.items():
            if "deletionTimestamp" in body["metadata"]:
                raise Violation(f"{key} is still being deleted")
            endpoint = self.server.endpoint(key, body)
            self._undoable(key, body)
            if unresolved(body, endpoint, self.remotes):
                # It was suspended before anybody could tell.
                unsure |= things(body, endpoint)
            if body["spec"].get("suspend") and not holds(body):
                continue
            for thing in claims(body, endpoint):
                meta = body["metadata"]
                claimants.setdefault(thing, []).append((meta["creationTimestamp"], meta["uid"], key))
        owners = {thing: min(found)[2] for thing, found in claimants.items()}
        for key, body in self.server.objects.items():
            if not unsure & things(body, self.server.endpoint(key, body)):
                self._in_order(key, body, owners)

    def _undoable(self, key: Key, body: Object) -> None:
        """A resource with something to undo at its end does not vanish before that."""
        spec, status = body["spec"], body["status"]
        undo = {"Restore": "baseline", "Delete": "created"}.get(spec.get("deletionPolicy"), "")
        if status.get(undo) and FINALIZER not in body["metadata"].get("finalizers", []):
            raise Violation(f"{key} has {undo} {status[undo]} and no finalizer")

    def _in_order(self, key: Key, body: Object, owners: dict[Thing, Key]) -> None:
        spec = body["spec"]
        if spec.get("suspend"):
            return
        if body["status"].get("observedGeneration") != body["metadata"]["generation"]:
            raise Violation(f"{key}: generation {body['metadata']['generation']} was never looked at: {body['status']}")
        equal, mine = True, True
        for thing, wanted in desired(body, self.server.endpoint(key, body)).items():
            shown = self.remotes.values(thing, coming=False)
            same = all(shown.get(name) == value for name, value in wanted.items())
            if spec.get("mode") == "Observe":
                equal = equal and same
            elif owners[thing] != key:
                mine = False
            elif not same:
                raise Violation(f"{key}: {thing} is {shown} and should be {wanted}; it says {ready(body)}")
        expected = ("True", "Synced") if mine else ("False", "Conflict")
        if spec.get("mode") == "Observe":
            expected = ("True", "Observed") if equal else ("True", "DriftDetected")
        if ready(body) != expected:
            raise Violation(f"{key} says {body['status']['conditions']} and should be {expected}")

    # what users do

    def _create(self) -> None:
        free = [key for key in self._keys() if key not in self.server.objects]
        if free:
            key = self.random.choice(free)
            self._say(f"create {key}")
            self.server.create(key, self._spec(key.kind))
            self.last = key

    def _edit(self) -> None:
        key = self._any()
        if key is None:
            return
        fresh = self._spec(key.kind)

        def change(spec: Object) -> None:
            what = self.random.choice(EDITS)
            if what == "settings":
                for part in SETTINGS:
                    spec.pop(part, None)
                    if part in fresh:
                        spec[part] = fresh[part]
            elif what in fresh:
                spec[what] = fresh[what]
            else:
                spec.pop(what, None)

        self._say(f"edit {key}")
        self.server.edit(key, change)

    def _delete(self) -> None:
        key = self._any()
        if key is not None:
            self._say(f"delete {key}")
            self.server.delete(key)

    def _recreate(self) -> None:
        key = self._any()
        if key is None:
            return
        self._say(f"replace {key}")
        self.server.delete(key)
        if key not in self.server.objects:
            self.server.create(key, self._spec(key.kind))

    def _strip(self) -> None:
        """Replace a resource by its manifest, which has no finalizers."""
        key = self._any()
        if key is not None and "deletionTimestamp" not in self.server.objects[key]["metadata"]:
            self._say(f"the finalizer of {key} is taken off")
            self.server.replace(key)
            self.invariants.stripped[self.server.objects[key]["metadata"]["uid"]] = now()

    def _request(self) -> None:
        key = self._any()
        if key is not None:
            self._say(f"ask for {key}")
            self.server.request(key, str(now()))

    # what happens behind the operator's back

    def _drift(self) -> None:
        thing = self.random.choice(list(self.remotes.things()))
        self._say(f"drift of {thing}")
        self.serial += 1
        if thing.kind != "row":
            self.remotes.at(thing.endpoint).change(thing, {"max_replica": self.serial})
        elif self.random.random() < 0.3:
            self.remotes.gateways[thing.endpoint].drop(thing)
        else:
            self.remotes.at(thing.endpoint).change(thing, self._budget())
        self.invariants.somebody_changed(thing)

    def _make(self) -> None:
        """Make a row, and as likely as not a resource for it at once."""
        thing = self.random.choice([thing for thing in self.remotes.things() if thing.kind == "row"])
        self._say(f"somebody makes {thing}")
        self.remotes.gateways[thing.endpoint].make(thing, self._budget())
        self.invariants.somebody_changed(thing)
        free = [key for key in self._keys() if key not in self.server.objects and key.kind == "ModelConfigGovernance"]
        for key in free:
            spec = {**self._spec(key.kind), "modelName": thing.owner, "deletionPolicy": "Restore"}
            if self.server.endpoint(key, {"spec": spec}) == thing.endpoint:
                self._say(f"create {key}")
                self.server.create(key, spec)
                self.last = key
                return

    def _remake(self) -> None:
        """Make a model anew that is known by its name."""
        endpoint = self.random.choice(PLATFORMS)
        self.serial += 1
        self._say(f"{NAMED} of {endpoint} is made anew as {NAMED}{self.serial}")
        self.invariants.remade(self.remotes.platforms[endpoint].remake(f"{NAMED}{self.serial}"))

    def _promote(self) -> None:
        """Begin a promotion that ends after a while."""
        endpoint, owner = self.random.choice(PLATFORMS), self.random.choice([*MODELS, *CHAINS])
        if (endpoint, owner) in self.promoting:
            return
        self.promoting.add((endpoint, owner))
        self._say(f"promotion of {owner} of {endpoint}")
        self.invariants.promotion(self.remotes.platforms[endpoint].promote(owner, done=None), ended=False)
        length = min(self.random.uniform(10, 400), HOUR - now())
        asyncio.get_running_loop().call_later(length, self._promoted, endpoint, owner)

    def _promoted(self, endpoint: str, owner: str) -> None:
        platform = self.remotes.platforms[endpoint]
        before = {thing: self.remotes.values(thing, coming=False) for thing in platform.things}
        self.promoting.discard((endpoint, owner))
        self._say(f"promotion of {owner} of {endpoint} ends")
        held = platform.promote(owner, done=self.random.random() < 0.7)
        self.invariants.promotion(held, ended=True)
        changed = {thing for thing, values in before.items() if values != self.remotes.values(thing, coming=False)}
        for thing in sorted(changed.union(held)):
            self.invariants.somebody_changed(thing)

    def _budget(self) -> Object:
        self.serial += 1
        return {"budgets": [("1d", float(self.serial))]}

    # connections and their Secrets

    def _furnish(self, namespace: str) -> None:
        """Make the Secret and the connections of a namespace that are not there."""
        self.server.secrets[namespace] = self.remotes.key
        there = {key.name for key in self.server.connections if key.namespace == namespace}
        for name, endpoint in CONNECTIONS.items():
            if name not in there:
                self._lead(namespace, name, endpoint)

    def _lead(self, namespace: str, name: str, endpoint: str) -> None:
        reference = {"name": SECRET, "key": SECRET_KEY}
        url = f"https://{endpoint}"
        if endpoint in PLATFORMS:
            remote = {"baseten": {"url": url, "apiKeySecretRef": reference}}
        else:
            remote = {"bifrost": {"url": url, "auth": {"bearerSecretRef": reference}}}
        self.server.connect(namespace, name, {**remote, "rateLimit": {"requestsPerSecond": 80}})

    def _move(self) -> None:
        """Let a connection lead elsewhere."""
        namespace, name = self.random.choice(NAMESPACES), self.random.choice(list(CONNECTIONS))
        key = Key("Connection", namespace, name)
        if key in self.server.connections:
            there = str(self.server.connections[key])
            endpoint = next(one for one in (*PLATFORMS, *GATEWAYS) if f"https://{one}'" in there)
            pair = PLATFORMS if endpoint in PLATFORMS else GATEWAYS
            other = pair[1 - pair.index(endpoint)]
            self._say(f"{key} leads to {other}")
            self._note_trouble()
            self._lead(namespace, name, other)

    def _connection_changed(self, connection: Key) -> None:
        self._hold(lambda: self.invariants.moved(connection))

    def _clear(self) -> None:
        """Delete a namespace with all that is in it, in any order; it is furnished again after a while."""
        namespace = self.random.choice(NAMESPACES)
        self._say(f"clear {namespace}")
        for key, body in self.server.objects.items():
            endpoint = self.server.endpoint(key, body)
            served = self.process and endpoint and self.process.pool.is_open(connection_of(key, body), endpoint)
            if key.namespace == namespace and not served:
                self.invariants.unserved.add(body["metadata"]["uid"])
        doomed: list[Callable[[], object]] = [lambda: self.server.secrets.pop(namespace, None)]
        doomed += [partial(self.server.delete, key) for key in self.server.objects if key.namespace == namespace]
        doomed += [
            partial(self.server.disconnect, key) for key in self.server.connections if key.namespace == namespace
        ]
        self.random.shuffle(doomed)
        for delete in doomed:
            delete()
        asyncio.get_running_loop().call_later(self.random.uniform(1, CLEARED), self._furnish, namespace)

    def _rotate(self) -> None:
        self._say("rotate the key")
        self._note_trouble()
        self.remotes.key = f"key-{self.random.randrange(10**6)}"
        wait = 0.0 if self.random.random() < 0.5 else self.random.uniform(5, 200)
        for namespace in list(self.server.secrets):
            if wait:
                del self.server.secrets[namespace]
            asyncio.get_running_loop().call_later(wait, self._new_secret, namespace)

    def _new_secret(self, namespace: str) -> None:
        self.server.secrets[namespace] = self.remotes.key

    def _step_clock(self) -> None:
        self.clock_is_off += timedelta(seconds=self.random.choice([-86400, -3600, -60, 60, 3600, 86400]))
        self._say(f"the clock steps: {self.clock_is_off} off")

    def _outage(self) -> None:
        self.remote_down_until = now() + self.random.uniform(1, 300)
        self._say("the remotes are down for a while")

    def _kube_outage(self) -> None:
        self.kube_down_until = now() + self.random.uniform(1, 60)
        self._note_trouble()
        self._say("the API server is down for a while")

    # what fate does

    def _die(self) -> None:
        if self.process is not None:
            self.process.fate.steps_left = self.random.randrange(1, 12)
            self._say(f"the process dies after {self.process.fate.steps_left} steps")

    async def _replace(self) -> None:
        if self.process is None:
            return
        self._say("the process is stopped, and another one begins")
        gone, self.process = self.process, None
        since = now()
        await gone.stop()
        await self._next(since)

    async def _cut(self) -> None:
        if self.process is None:
            return
        cut = self.process
        cut.cut = True
        since = now()
        self._say("the watch is cut")

        def heal() -> None:
            cut.cut = False
            self.invariants.blind.append((since, now() + 10))

        self.invariants.blind.append((since, since + 100))
        asyncio.get_running_loop().call_later(self.random.uniform(1, 90), heal)

    async def _bury(self) -> None:
        """Start another process when one died."""
        while True:
            process = self.process
            if process is None:
                await asyncio.sleep(0.1)
                continue
            await process.fate.dead.wait()
            if process is not self.process:
                continue
            self.process = None
            self.deaths.append(process.fate.where)
            self._say(f"the process died {process.fate.where}")
            since = now()
            await process.kill()
            await self._next(since)

    async def _next(self, since: float) -> None:
        await asyncio.sleep(self.random.uniform(0.1, 20))
        stale = self.random.choice([0.0, 0.0, 5.0, 60.0])
        self.process = await self._begin(stale=stale)
        process = self.process
        # Who owns what depends on all resources; of an older view it is told as it was then.
        self.invariants.blind.append((since - stale, float("inf")))
        place = len(self.invariants.blind) - 1

        async def see() -> None:
            await process.seeing.wait()
            self.invariants.blind[place] = (since - stale, now() + 15)

        self.watchers.append(asyncio.create_task(see()))

    async def _begin(self, *, stale: float) -> Process:
        self._note_trouble()
        self.invariants.everywhere += 1
        self.invariants.began = now()
        process = Process(self, stale=stale)
        await process.start()
        return process

    # draws

    def _keys(self) -> list[Key]:
        kinds = ("DeploymentAutoscaling", "ChainAutoscaling", "ModelConfigGovernance")
        return [Key(kinds[number % 3], "ab"[number % 2], name) for number, name in enumerate(NAMES)]

    def _any(self) -> Key | None:
        """Return a resource, as likely as not the one that something was done to just before."""
        there = [key for key, body in self.server.objects.items() if "deletionTimestamp" not in body["metadata"]]
        if self.last not in there or self.random.random() < 0.5:
            self.last = self.random.choice(there) if there else None
        return self.last

    def _spec(self, kind: str) -> Object:
        spec: Object = {
            "interval": self.random.choice(INTERVALS),
            "mode": "Observe" if self.random.random() < 0.08 else "Enforce",
            "suspend": self.random.random() < 0.06,
            "deletionPolicy": self.random.choice(["Orphan", "Restore"]),
        }
        if self.random.random() < 0.15:
            name = "spare-bifrost" if kind == "ModelConfigGovernance" else "spare-baseten"
            spec["connectionRef"] = {"name": name}
        if kind == "ModelConfigGovernance":
            return {**spec, **self._governance()}
        if kind == "ChainAutoscaling":
            names = self.random.sample(CHAINLETS, self.random.randrange(1, 4))
            chainlets = [{"name": name, "autoscaling": self._settings()} for name in names]
            target = {"chainId": self.random.choice(CHAINS), "environment": PRODUCTION}
            return {**spec, "target": target, "chainlets": chainlets}
        model = self.random.choice([*MODELS, *MODELS, NAMED])
        ways: list[Object] = [{"deployment": "development"}, {"environment": PRODUCTION}]
        if model != NAMED:
            ways += [{"deployment": f"{model}-f"}, {"deployment": f"{model}-d"}]
        how = self.random.choice(ways)
        by_name = model == NAMED or self.random.random() < 0.3
        named = {"modelName": f"name of {model}"} if by_name else {"modelId": model}
        return {**spec, "target": {**named, **how}, "autoscaling": self._settings()}

    def _settings(self) -> Object:
        self.serial += 1
        settings: Object = {"maxReplica": self.serial}
        if self.random.random() < 0.4:
            settings["minReplica"] = self.random.randrange(4)
        if self.random.random() < 0.3:
            settings["scaleDownDelay"] = self.random.randrange(60, 3600)
        return settings

    def _governance(self) -> Object:
        self.serial += 1
        length = self.random.choice(["1d", "1w", "1M"])
        spec: Object = {"modelName": self.random.choice(ROWS), "provider": "openai"}
        if self.random.random() < 0.3:
            spec["deletionPolicy"] = "Delete"
        what = self.random.random()
        if what < 0.7:
            spec["budget"] = {"maxLimit": self.serial, "resetDuration": length}
        elif what < 0.8:
            spec["budgets"] = []
        if what > 0.6:
            tokens = {"tokenMaxLimit": self.serial, "tokenResetDuration": "1h"}
            spec["rateLimit"] = tokens if self.random.random() < 0.8 else {}
        return spec

    # the record

    def _hold(self, check: Callable[[], None]) -> None:
        if self.violation is not None:
            # What is remembered stopped there; the story ends soon.
            return
        try:
            check()
        except Violation as violation:
            self._violated(str(violation))

    def _violated(self, what: str) -> None:
        if self.violation is None:
            self.violation = f"at {now():.1f} s: {what}"

    def _say(self, what: str) -> None:
        self.log.append(f"{now():8.1f} {what}")

    def _note_trouble(self) -> None:
        self.invariants.trouble = now()


def play(seed: int) -> Result:
    """Play the story of a seed."""

    async def main() -> Result:
        story = Story(seed)
        await story.play()
        return Result(
            seed=seed,
            violation=story.violation,
            checks=story.invariants.checks,
            writes=story.invariants.writes.total(),
            deaths=tuple(story.deaths),
            log=tuple(story.log),
        )

    return run(main())
