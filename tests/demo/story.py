"""The steps of the demo, each with what must come of it."""

import json
import shlex
import time
from collections import Counter
from contextlib import ExitStack

import yaml

from tests.controlplane.binaries import find_binaries
from tests.controlplane.plane import ControlPlane
from tests.controlplane.progress import StderrProgress
from tests.demo.chapter import Chapter, UnmetError
from tests.demo.gateway import GatewayChapter
from tests.demo.interrupts import Interrupts
from tests.demo.screen import Screen
from tests.demo.world import CANARY, GATEWAY_TOKEN, KEY, MODEL, SAMPLES, WORLD, deployment_autoscaling
from tests.e2e.process import OperatorProcess, install
from tests.e2e.stage import REQUESTED_AT, connection, secret
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator

CONVERGED = 60.0
"""Seconds the samples may take to be in force."""
LOG_LINES = 20


class Story(Chapter):
    """A cluster, a remote API and an operator, and what happens between them.

    What it starts ends with the stack.
    """

    def __init__(self, screen: Screen, interrupts: Interrupts, stack: ExitStack) -> None:
        self._screen = screen
        self._interrupts = interrupts
        self._stack = stack
        self._operator: OperatorProcess | None = None

    def play(self) -> None:
        """Go through all steps.

        Raises:
            UnmetError: something did not go as it should.
        """
        self._start()
        self._apply_samples()
        self._edit()
        self._drift()
        self._gateway()
        self._mistakes()
        self._summary()

    def log_tail(self) -> str:
        """Return the end of the operator's log, empty before the operator runs."""
        return "\n".join(self._log.splitlines()[-LOG_LINES:])

    def metrics(self) -> tuple[int, str]:
        """Return what the operator's page of metrics answers; 0 where nobody answers."""
        return (0, "") if self._operator is None else self._operator.probe("/metrics")

    def world(self) -> tuple[ControlPlane, str, BasetenSimulator, BifrostSimulator]:
        """Return the cluster, the namespace and the remotes, once the story was played."""
        return self._plane, self._namespace, self._remote, self._bifrost

    def look_around(self) -> None:
        """Say how to look at what runs."""
        self._screen.say("\nEverything goes on running. In another terminal:", style="bold")
        commands = [
            "kubectl get setpoint -A",
            f"kubectl describe das -n {self._namespace} llama-production",
            f"kubectl edit das -n {self._namespace} llama-canary",
            f"kubectl get events -n {self._namespace} --watch",
            f"curl -s {self._remote.url}/_control/summary -d '{{}}'",
        ]
        if self._plane.owned:
            # The cluster's own kubectl is there even where the reader has none.
            folder = find_binaries(StderrProgress()).kubectl.parent
            commands = [
                f"export KUBECONFIG={shlex.quote(str(self._plane.kubeconfig))}",
                f"export PATH={shlex.quote(str(folder))}:$PATH",
                *commands,
            ]
        for command in commands:
            self._screen.say(f"  {command}")
        self._screen.say(f"The simulator of Baseten's API is at {self._remote.url}; the last line counts its requests.")
        self._screen.say("Ctrl-C ends everything and cleans up.")

    def _start(self) -> None:
        screen = self._screen
        screen.step("Start a control plane, a simulator of Baseten's API, and the operator")
        self._plane = ControlPlane.start(progress=StderrProgress())
        self._stack.callback(self._plane.stop)
        owner = "our own, a real kube-apiserver" if self._plane.owned else "yours, the current context"
        screen.say(f"The Kubernetes API is {owner}: {self._plane.server}")
        self._remote = BasetenSimulator.start(keys=[KEY])
        self._stack.callback(self._remote.stop)
        self._remote.seed(WORLD)
        screen.say(f"The simulator has the model llama-3-70b and the chain hello: {self._remote.url}")
        install(self._plane)
        screen.say("The CRDs and the operator's rights are installed.")
        self._create_namespace()
        self._plane.kubectl("create", "-f", "-", stdin=yaml.safe_dump(secret("baseten", self._namespace, KEY)))
        self._plane.apply(connection("baseten", self._namespace, self._remote.url))
        screen.say(
            f"The namespace {self._namespace} has the Secret baseten with the API key, "
            "and the Connection baseten, which names the simulator and the Secret."
        )
        self._start_operator()
        screen.say("The operator runs and watches.")

    def _create_namespace(self) -> None:
        self._namespace = "demo" if self._plane.owned else "setpoint-demo"
        if self._plane.get("namespace", self._namespace) is not None:
            raise UnmetError(
                f"The namespace {self._namespace} is there already and the demo would delete it; "
                f"if it is left from an earlier demo, kubectl delete namespace {self._namespace}."
            )
        with self._interrupts.held():
            self._plane.kubectl("create", "namespace", self._namespace)
            if not self._plane.owned:
                self._stack.callback(self._delete_namespace)

    def _delete_namespace(self) -> None:
        self._plane.kubectl("delete", "namespace", self._namespace, "--timeout=60s", timeout=90)
        self._screen.say(
            f"The namespace {self._namespace} is deleted. "
            "The CRDs, and the namespace setpoint-system with the operator's rights, stay in your cluster."
        )

    def _start_operator(self) -> None:
        # In a cluster that is not ours, the operator of the demo must not touch anything but the demo.
        settings = {} if self._plane.owned else {"SETPOINT_NAMESPACES": self._namespace}
        with self._interrupts.held():
            operator = OperatorProcess.start(self._plane, settings, ready=False)
            self._stack.callback(operator.stop)
        self._operator = operator
        self._until(operator.is_ready, "The operator should be ready")

    def _apply_samples(self) -> None:
        screen = self._screen
        screen.step("Apply the samples and watch them come into force")
        since = self._remote.last()
        self._kubectl("apply", "-n", self._namespace, *(word for path in SAMPLES for word in ("-f", path)))
        self._screen.command(self._tables)
        shown = ""

        def converged() -> bool:
            nonlocal shown
            table = self._plane.kubectl(*self._tables).stdout
            if _without_age(table) != _without_age(shown):
                screen.output(table if not shown else f"\n(after {screen.seconds:.1f} s)\n{table}")
            shown = table
            return _ready_column(table) == ["True"] * len(SAMPLES)

        self._until(converged, "Every sample should show READY True", timeout=CONVERGED)
        screen.say(
            "(The row of the chain has a value for each chainlet; a dash is one that the manifest leaves alone.)"
        )
        screen.say("\nWhat the operator wrote at the remote, one request for each resource:")
        screen.requests(self._remote.journal(since=since, method="PATCH"))
        production = self._remote.settings(model=MODEL, environment="production") or {}
        self._check(
            (production.get("min_replica"), production.get("max_replica")) == (2, 10),
            f"The remote should have 2 to 10 replicas for llama-production, but has {production}.",
        )

    def _edit(self) -> None:
        screen = self._screen
        screen.step("Change one value in Kubernetes: llama-production, maxReplica 10 -> 12")
        since = self._remote.last()
        patch = json.dumps({"spec": {"autoscaling": {"maxReplica": 12}}})
        self._kubectl("patch", "das", "llama-production", "-n", self._namespace, "--type=merge", "-p", patch)
        written = self._until(
            lambda: self._remote.journal(since=since, method="PATCH"), "The change should arrive at the remote"
        )
        self._until(lambda: self._is("llama-production", "True"), "llama-production should become ready again")
        screen.say("The request that arrived at the remote:")
        screen.requests(written)
        self._kubectl(*self._tables)
        settings = self._remote.settings(model=MODEL, environment="production") or {}
        self._check(settings.get("max_replica") == 12, f"The remote should have max_replica 12, but has {settings}.")

    def _drift(self) -> None:
        screen = self._screen
        screen.step("Change one value at the remote behind the operator's back: llama-canary, max_replica 2 -> 5")
        self._remote.set_settings({"max_replica": 5}, model=MODEL, deployment=CANARY)
        screen.say(f"At the remote, max_replica of the deployment {CANARY} is now {self._canary()}.")
        screen.say(
            "The operator would notice at the next interval, within about 5 minutes; an annotation asks it to look now."
        )
        since = self._remote.last()
        now = f"{REQUESTED_AT}={time.time():.0f}"
        self._kubectl("annotate", "das", "llama-canary", "-n", self._namespace, "--overwrite", now)
        self._until(lambda: self._canary() == 2, "The operator should set max_replica back to 2")
        self._event("llama-canary", "DriftCorrected")
        screen.requests(self._remote.journal(since=since, method="PATCH"))
        screen.say(f"At the remote, max_replica of the deployment {CANARY} is {self._canary()} again.")
        self._until(lambda: self._is("llama-canary", "True"), "llama-canary should be ready")

    def _gateway(self) -> None:
        screen = self._screen
        screen.step("Keep budgets and rate limits of an AI gateway, too")
        with self._interrupts.held():
            self._bifrost = BifrostSimulator.start(auth="bearer", tokens=[GATEWAY_TOKEN])
            self._stack.callback(self._bifrost.stop)
        GatewayChapter(screen, self._plane, self._namespace, self._bifrost).play()

    def _mistakes(self) -> None:
        screen = self._screen
        screen.step("Make two mistakes")
        screen.say("The first is visible in the manifest: minReplica 5, maxReplica 2. The API server refuses it.")
        mistake = deployment_autoscaling("swapped", self._namespace, "llama-3-70b", minReplica=5, maxReplica=2)
        screen.command(("apply", "-f", "swapped.yaml"))
        refused = self._plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(mistake), check=False)
        screen.output(refused.stdout + refused.stderr)
        self._check(
            refused.returncode != 0 and "minReplica" in refused.stderr,
            "The API server should refuse a minReplica above the maxReplica.",
        )
        screen.say("The second only the remote can know: there is no such model. The resource tells.")
        unknown = deployment_autoscaling("unknown-model", self._namespace, "llama-5", maxReplica=3)
        screen.command(("apply", "-f", "unknown-model.yaml"))
        screen.output(self._plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(unknown)).stdout)
        self._until(lambda: self._is("unknown-model", "False"), "unknown-model should become READY False")
        self._kubectl("get", "das", "unknown-model", "-n", self._namespace, "-o", "wide")
        self._event("unknown-model", "TargetNotFound")

    def _summary(self) -> None:
        screen = self._screen
        screen.step("Summary")
        names = self._plane.kubectl("get", "das,cas,mcg", "-n", self._namespace, "-o", "name").stdout.split()
        methods: Counter[str] = Counter()
        statuses: Counter[int | None] = Counter()
        for (method, _, status), count in self._remote.summary().items():
            methods[method] += count
            statuses[status] += count
        screen.table(
            [
                ("resources", f"{len(names)}: {len(names) - 1} in force, 1 with an unknown model"),
                *((f"{method} requests at Baseten", str(count)) for method, count in sorted(methods.items())),
                ("answered with 429 Too Many Requests", str(statuses[429])),
                ("time", f"{screen.seconds:.1f} s"),
            ]
        )
        self._check(len(names) == 6, f"There should be 6 resources, but there are {len(names)}.")
        self._check(
            methods["PATCH"] == 5,
            f"3 resources, 1 edit and 1 correction should cost 5 writes, but there were {methods['PATCH']}.",
        )
        self._check(statuses[429] == 0, f"No request should be answered with 429, but {statuses[429]} were.")
        leaked = [secret for secret in (KEY, GATEWAY_TOKEN) if secret in self._log]
        self._check(not leaked, "No key should be in the operator's log, but one is.")

    @property
    def _log(self) -> str:
        return "" if self._operator is None else self._operator.log()

    @property
    def _tables(self) -> tuple[str, ...]:
        return ("get", "das,cas", "-n", self._namespace)

    def _canary(self) -> int | float | None:
        return (self._remote.settings(model=MODEL, deployment=CANARY) or {}).get("max_replica")


def _without_age(table: str) -> list[str]:
    """Return a table's lines without the last column, which changes by itself."""
    return [line.rpartition(" ")[0].rstrip() for line in table.splitlines()]


def _ready_column(table: str) -> list[str]:
    """Return what stands under READY, in all tables of one output."""
    found: list[str] = []
    for block in table.split("\n\n"):
        header, *rows = block.strip("\n").split("\n")
        start = header.index("READY")
        found += [row[start:].partition(" ")[0] for row in rows]
    return found
