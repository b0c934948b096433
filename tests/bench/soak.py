"""A long run: edits, drift and faults of every sort at once, and what becomes of memory, of order and of the specs.

`make soak MINUTES=20 RESOURCES=2000` prints the figures and writes docs/soak.md; it ends with 1 where a bound is broken.
"""

import argparse
import asyncio
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.bench.api import NAMESPACE, Api, Figures, console
from tests.controlplane.plane import ControlPlane
from tests.e2e.faults.proxy import HttpProxy, Rule
from tests.e2e.process import OperatorProcess, install
from tests.e2e.stage import API, KEY, connection, secret
from tests.e2e.transitions import actors
from tests.e2e.transitions.actors import WIRE, Actor, Chain, Row
from tests.e2e.transitions.control import tweak_chain, tweak_deployment, tweak_row
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.bifrost.specs import BudgetSpec
from tests.simulators.faults import Delay, Drop, Fault, Huge, Respond, Truncate
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually_async

MODELS = 20
CREATORS = 16
EDITS, DRIFTS = 10.0, 2.0
"""A second."""
BASE = 10
"""A resource's first value; each edit asks for one more."""
SPOILT = 5
"""What drift makes of a value."""
SAMPLE = 2.0
WARM = 0.25
"""Part of the run after which memory is looked at."""
LARGEST_GROWTH = 0.05
"""Of the mean, over the rest of the run."""
PATIENCE = 300.0
PLURALS = {"das": "deploymentautoscalings", "cas": "chainautoscalings", "mcg": "modelconfiggovernances"}
POINTS = 40

HTML = Respond(status=502, body="<html>bad gateway</html>", headers={"content-type": "text/html"})
REMOTE_FAULTS: tuple[tuple[str, Fault], ...] = (
    ("400", Respond(status=400, body={"message": "no"})),
    ("401", Respond(status=401, body={"message": "who?"})),
    ("403", Respond(status=403, body={"message": "no"})),
    ("404", Respond(status=404, body={"message": "where?"})),
    ("409", Respond(status=409, body={"message": "busy"})),
    ("429", Respond(status=429, body={"error": "slow down", "retry_after": 2})),
    ("500", Respond(status=500, body={"message": "oops"})),
    ("500, applied", Respond(status=500, body={"message": "oops"}, applied=True)),
    ("502 with HTML", HTML),
    ("503", Respond(status=503, body={"message": "later"})),
    ("late", Delay(seconds=7)),
    ("late, applied at once", Delay(seconds=7, applied=True)),
    ("reset", Drop()),
    ("reset, applied", Drop(applied=True)),
    ("half an answer", Truncate()),
    ("20 MB", Huge(size=20_000_000)),
)


@dataclass
class Soak:
    """The run."""

    plane: ControlPlane
    baseten: BasetenSimulator
    bifrost: BifrostSimulator
    kube: HttpProxy
    random: Random
    actors: list[Actor] = field(default_factory=list)
    values: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the beginning, and MiB."""

    def cast(self, count: int) -> None:
        """Make resources of all kinds, and what they manage."""
        for number in range(MODELS):
            self.baseten.add_model(id=f"m-{number}", name=f"model {number}")
        for number in range(count):
            name = f"r{number}"
            if number % 10 < 6:
                made: Actor = actors.deployment(name, NAMESPACE, self.baseten, {}, model=f"m-{number % MODELS}")
            elif number % 10 == 6:
                made = actors.chain(name, NAMESPACE, self.baseten, {})
            else:
                made = actors.row(name, NAMESPACE, self.bifrost, {})
            made.spec["interval"] = "1m"
            self.actors.append(made)
            self.ask(made)

    def ask(self, actor: Actor) -> None:
        """Ask for one more than before."""
        self.values[actor.name] += 1
        value = BASE + self.values[actor.name]
        if isinstance(actor, Row):
            tweak_row(actor.spec, value)
        elif isinstance(actor, Chain):
            tweak_chain(actor.spec, value)
        else:
            tweak_deployment(actor.spec, value)
        actor.expect()

    def spoil(self, actor: Actor) -> None:
        """Change what a resource manages behind the operator's back."""
        self.done["drift"] += 1
        if isinstance(actor, Row):
            self.bifrost.update_row(actor.id, budgets=[BudgetSpec(max_limit=SPOILT, reset_duration="1M")])
        elif isinstance(actor, Chain):
            self.baseten.command("set_settings", target=actor.targets["A"], values={WIRE["maxReplica"]: SPOILT})
        elif isinstance(actor, actors.Deployment):
            self.baseten.command("set_settings", target=actor.target, values={WIRE["maxReplica"]: SPOILT})

    def harm_a_remote(self) -> None:
        """Let a remote fail some of its next requests."""
        name, fault = self.random.choice(REMOTE_FAULTS)
        self.done[f"remote: {name}"] += 1
        remote = self.random.choice([self.baseten, self.bifrost])
        remote.inject(fault, count=1 if isinstance(fault, Huge) else self.random.randint(1, 10))

    def harm_the_cluster(self) -> None:
        """Let the API server refuse some of the next writes of statuses."""
        status = self.random.choice([409, 429, 500])
        self.done[f"API server: {status}"] += 1
        body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not now"}'
        rule = Rule(f"{status}", "PATCH", re.compile("/status"), "before", answer=(status, body), count=10)
        self.kube.rules.append(rule)

    async def cut_the_watch(self) -> None:
        """Cut all watches for two seconds."""
        self.done["watch cut"] += 1
        self.kube.watches = False
        await asyncio.sleep(2)
        self.kube.watches = True


def main() -> int:
    """Run, print the figures, write the page, and return 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--resources", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=Path, help="file to write the figures and the plot to")
    options = parser.parse_args()
    figures = Figures()
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane.start(progress=console.print))
        install(plane)
        plane.kubectl("create", "namespace", NAMESPACE)
        baseten = stack.enter_context(BasetenSimulator.start(converge=0.3))
        bifrost = stack.enter_context(BifrostSimulator.start())
        kube = stack.enter_context(HttpProxy(plane.server, str(plane.ca_file)))
        soak = Soak(plane, baseten, bifrost, kube, Random(options.seed))
        soak.cast(options.resources)
        open_connections(soak)
        asyncio.run(run(soak, options.minutes * 60, figures))
    console.print(figures.table)
    if options.page is not None:
        options.page.write_text(page(soak, figures, options.minutes, options.resources), encoding="utf-8")
    return 0 if all(ok for *_, ok in figures.rows) else 1


def open_connections(soak: Soak) -> None:
    """Create both connections."""
    gateway = {"bifrost": {"url": soak.bifrost.gateway_url}, "timeout": "5s"}
    soak.plane.apply(
        secret("baseten", NAMESPACE, KEY),
        connection("baseten", NAMESPACE, soak.baseten.url, timeout="5s"),
        {
            "apiVersion": API,
            "kind": "Connection",
            "metadata": {"name": "bifrost", "namespace": NAMESPACE},
            "spec": gateway,
        },
    )


async def run(soak: Soak, seconds: float, figures: Figures) -> None:
    """Create everything, let it be shaken, then wait until all is as it should be."""
    apis = {short: Api(soak.plane.kubeconfig, plural) for short, plural in PLURALS.items()}
    with OperatorProcess.start(soak.plane, server=soak.kube.url) as operator:
        waiting = iter(soak.actors)

        async def create() -> None:
            for actor in waiting:
                await apis[actor.SHORT].post(actor.manifest())

        await asyncio.gather(*(create() for _ in range(CREATORS)))
        await _all_ready(soak, apis, "created")
        began = time.monotonic()

        async def edit() -> None:
            actor = soak.random.choice(soak.actors)
            soak.ask(actor)
            soak.done["edits"] += 1
            await apis[actor.SHORT].patch(actor.name, actor.spec)

        async def sample() -> None:
            soak.memory.append((time.monotonic() - began, operator.resident_bytes() / 2**20))

        async with asyncio.timeout(seconds + PATIENCE), asyncio.TaskGroup() as group:
            for every, what in (
                (1 / EDITS, edit),
                (1 / DRIFTS, _now(lambda: soak.spoil(soak.random.choice(soak.actors)))),
                (3.0, _now(soak.harm_a_remote)),
                (10.0, _now(soak.harm_the_cluster)),
                (60.0, soak.cut_the_watch),
                (SAMPLE, sample),
            ):
                group.create_task(_again(every, began + seconds, what))
        soak.baseten.clear_faults()
        soak.bifrost.clear_faults()
        soak.kube.rules.clear()
        calm = time.monotonic()
        await _all_ready(soak, apis, "calm again")
        console.print(f"all in order {time.monotonic() - calm:.0f} s after the last fault")
    for api in apis.values():
        await api.client.aclose()
    judge(soak, figures)


def judge(soak: Soak, figures: Figures) -> None:
    """Hold the run against its bounds."""
    figures.add("edits", str(soak.done["edits"]))
    figures.add("drifts", str(soak.done["drift"]))
    figures.add("faults", str(sum(count for what, count in soak.done.items() if ":" in what or "watch" in what)))
    wrong = [actor.name for actor in soak.actors if actor.remote() != actor.expected]
    figures.add("remote things that are not what their spec says", str(len(wrong)), "0", ok=not wrong)
    backwards = older_after_newer(soak)
    figures.add("writes of an older generation after a newer one", str(len(backwards)), "0", ok=not backwards)
    warm = [(when, mib) for when, mib in soak.memory if when >= soak.memory[-1][0] * WARM]
    slope, _ = statistics.linear_regression(*zip(*warm, strict=True))
    mean = statistics.fmean(mib for _, mib in warm)
    grown = slope * (warm[-1][0] - warm[0][0])
    figures.add("resident memory, mean", f"{mean:.0f} MiB")
    figures.add(
        f"its slope over the last {(1 - WARM):.0%} of the run",
        f"{slope * 3600:+.1f} MiB an hour",
        f"within {LARGEST_GROWTH:.0%} of the mean over the run",
        ok=abs(grown) <= LARGEST_GROWTH * mean,
    )


def older_after_newer(soak: Soak) -> list[str]:
    """Return the things to which a smaller value was written after a larger one: each edit asks for one more."""
    newest: defaultdict[str, float] = defaultdict(float)
    found = []
    for path, value in _written(soak):
        if value < newest[path]:
            found.append(path)
        newest[path] = max(newest[path], value)
    return found


def _written(soak: Soak) -> list[tuple[str, float]]:
    writes: list[tuple[str, float]] = []
    for entry in soak.baseten.journal(method="PATCH"):
        body: Any = entry.body
        if "updates" in body:
            body = body["updates"][0]["autoscaling_settings"]
        writes.append((entry.path, body["max_replica"]))
    for entry in soak.bifrost.journal(method="PUT"):
        budgets = entry.body.get("budgets")
        if budgets:
            writes.append((entry.path, budgets[0]["max_limit"]))
    return writes


def _now(act: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def later() -> None:
        await asyncio.to_thread(act)

    return later


async def _again(every: float, until: float, act: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        await act()
        await asyncio.sleep(max(every - (time.monotonic() - began), 0.0))


async def _all_ready(soak: Soak, apis: dict[str, Api], what: str) -> None:
    wanted = Counter(actor.SHORT for actor in soak.actors)

    async def ready() -> bool:
        counts = {short: await apis[short].ready() for short in wanted}
        console.print(f"{what}: {sum(counts.values())} of {len(soak.actors)} ready")
        return counts == dict(wanted) and all(actor.remote() == actor.expected for actor in soak.actors)

    await eventually_async(ready, timeout=PATIENCE, interval=5)


def page(soak: Soak, figures: Figures, minutes: float, resources: int) -> str:
    """Return the page with the figures and the plot."""
    step = max(len(soak.memory) // POINTS, 1)
    shown = soak.memory[::step]
    lines = [
        "# A long run",
        "",
        f"Made by `make soak MINUTES={minutes:g} RESOURCES={resources}`: one operator process, {resources} resources of all",
        f"kinds with an interval of a minute, {EDITS:g} edits and {DRIFTS:g} drifts a second, and faults of the remotes, the",
        "API server and the watch, all at once. A resource's values only ever grow, so that an older one written after a",
        "newer one would be seen in the simulators' journals.",
        "",
        "Memory rises in steps, where the allocator meets more at once than ever before (an answer of 20 MB, many looks under",
        "way), and is level in between. A leak would show as a slope between the steps.",
        "",
        "| figure | value | bound |",
        "|---|---|---|",
        *(f"| {figure} | {value} | {bound} |" for figure, value, bound, _ in figures.rows),
        "",
        "```mermaid",
        "xychart-beta",
        '    title "Resident memory of the operator"',
        f'    x-axis "minutes" 0 --> {minutes:g}',
        '    y-axis "MiB" 0 --> ' + f"{max(mib for _, mib in soak.memory) * 1.2:.0f}",
        f"    line [{', '.join(f'{mib:.0f}' for _, mib in shown)}]",
        "```",
        "",
        "| what happened | times |",
        "|---|---|",
        *(f"| {what} | {count} |" for what, count in sorted(soak.done.items())),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
