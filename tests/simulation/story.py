"""One story: what users, remotes, the API server and fate do in one hour, all of it drawn from one seed."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from setpoint.reconcile.ports import Event, Key
from setpoint.resources import Managed
from setpoint.resources.common import REQUESTED_AT
from tests.simulation.apiserver import ApiServer, Object, ready
from tests.simulation.invariants import Invariants, Violation, claims, desired, things, unresolved
from tests.simulation.process import KubeFault, Process, Surroundings
from tests.simulation.remotes import (
    CHAINLETS,
    CHAINS,
    FAULTS,
    MODELS,
    ROWS,
    THINGS,
    Fault,
    Remotes,
    Thing,
    Values,
)
from tests.virtual_time import now, run

HOUR = 3600.0
QUIET = 1500.0
"""Seconds at the end without trouble: longer than two of the longest intervals and the longest pauses together."""

PROMPT = 40.0
"""Seconds within which a change is looked at where nothing is wrong, shorter than any interval."""

NAMES = tuple(f"r{number}" for number in range(16))
INTERVALS = ("1m", "3m", "10m")


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
    secret: str | None = "key-0"  # noqa: S105 - of a story
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
    last: Key | None = None
    """What something was done to last."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.server = ApiServer()
        self.remotes = Remotes.fresh(self.random.choice([1, 2, 3]))
        self.invariants = Invariants(self.server, self.remotes)
        self.server.on_change = lambda change, before: self._hold(lambda: self.invariants.changed(change, before))

    # what a process finds

    def remote_fault(self, method: str, path: str) -> Fault | None:
        """Return what goes wrong with a request to a remote."""
        if now() < self.remote_down_until:
            self._note_trouble()
            return "503"
        if not self.trouble or self.random.random() > 0.04:
            return None
        fault = self.random.choice(FAULTS)
        self._note_trouble()
        if method != "GET":
            self.invariants.everywhere += 1
        return fault

    def kube_fault(self, method: str) -> KubeFault:
        """Return what goes wrong with a request to the API server."""
        if now() < self.kube_down_until:
            return "before"
        if not self.trouble or self.random.random() > 0.03:
            return None
        self._note_trouble()
        return self.random.choice(["before", "after"])

    def written(self, before: dict[Thing, Values]) -> None:
        """Hear of a write that took effect."""
        self._hold(lambda: self.invariants.written(before))

    def told(self, resource: Managed, event: Event) -> None:
        """Hear of an Event."""
        if event.reason == "InternalError":
            self._violated(f"the operator failed on {resource.metadata.name}")

    # the story

    async def play(self) -> None:
        """Let an hour pass, then wait until all trouble is over, and look what became of everything."""
        self.process = await self._begin(stale=0.0)
        self.watchers.append(asyncio.create_task(self._bury()))
        acts: list[tuple[int, Callable[[], Any]]] = [
            (10, self._create),
            (12, self._edit),
            (5, self._delete),
            (6, self._recreate),
            (6, self._drift),
            (3, self._request),
            (3, self._die),
            (1, self._replace),
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
        self.secret = self.remotes.key
        if self.process is not None:
            self.process.fate.steps_left = None
        await self._rest(QUIET)
        for _ in range(3):
            for _ in range(6):
                self.random.choice([self._edit, self._request, self._delete, self._create])()
                await asyncio.sleep(self.random.choice([0.0, 0.1, 1.0, 3.0]))
            await self._rest(PROMPT)
            self._hold(self._noticed)
        await self._rest(QUIET)
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
            if unresolved(body):
                # It was suspended before anybody could tell.
                unsure |= things(body)
            for thing in claims(body):
                meta = body["metadata"]
                claimants.setdefault(thing, []).append((meta["creationTimestamp"], meta["uid"], key))
        owners = {thing: min(found)[2] for thing, found in claimants.items()}
        for key, body in self.server.objects.items():
            if not unsure & things(body):
                self._in_order(key, body, owners)

    def _in_order(self, key: Key, body: Object, owners: dict[Thing, Key]) -> None:
        spec = body["spec"]
        if spec.get("suspend"):
            return
        if body["status"].get("observedGeneration") != body["metadata"]["generation"]:
            raise Violation(f"{key}: generation {body['metadata']['generation']} was never looked at: {body['status']}")
        equal, mine = True, True
        for thing, wanted in desired(body).items():
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
            what = self.random.choice(["settings", "settings", "settings", "deletionPolicy", "suspend", "mode"])
            if what == "settings":
                for part in ("autoscaling", "chainlets", "budget", "budgets", "rateLimit"):
                    spec.pop(part, None)
                    if part in fresh:
                        spec[part] = fresh[part]
            else:
                spec[what] = fresh[what]

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

    def _request(self) -> None:
        key = self._any()
        if key is not None:
            self._say(f"ask for {key}")
            self.server.request(key, str(now()))

    # what happens behind the operator's back

    def _drift(self) -> None:
        thing = self.random.choice(THINGS)
        self._say(f"drift of {thing}")
        self.serial += 1
        if thing[0] != "row":
            self.remotes.change(thing, {"max_replica": self.serial})
        elif self.random.random() < 0.3:
            self.remotes.drop(thing)
        else:
            self.remotes.change(thing, {"budgets": [("1d", float(self.serial))]})
        self.invariants.somebody_changed(thing)

    def _rotate(self) -> None:
        self._say("rotate the key")
        self._note_trouble()
        self.remotes.key = f"key-{self.random.randrange(10**6)}"
        self.invariants.everywhere += 1
        if self.random.random() < 0.5:
            self.secret = self.remotes.key
        else:
            self.secret = None
            asyncio.get_running_loop().call_later(self.random.uniform(5, 200), self._new_secret)

    def _new_secret(self) -> None:
        self.secret = self.remotes.key

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
        if kind == "ModelConfigGovernance":
            return {**spec, **self._governance()}
        if kind == "ChainAutoscaling":
            names = self.random.sample(CHAINLETS, self.random.randrange(1, 4))
            chainlets = [{"name": name, "autoscaling": self._settings()} for name in names]
            target = {"chainId": self.random.choice(CHAINS), "environment": "production"}
            return {**spec, "target": target, "chainlets": chainlets}
        model = self.random.choice(MODELS)
        how = self.random.choice(
            [
                {"deployment": f"{model}-f"},
                {"deployment": f"{model}-d"},
                {"deployment": "development"},
                {"environment": "production"},
            ]
        )
        named = {"modelName": f"name of {model}"} if self.random.random() < 0.3 else {"modelId": model}
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
