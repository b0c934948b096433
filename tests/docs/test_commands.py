"""Every command of the README and the documentation that can run here does, in the order in which people read."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.chart.cleaning import clean
from tests.chart.helm import NAMESPACE
from tests.controlplane.plane import ControlPlane
from tests.demo.world import KEY, WORLD
from tests.docs.blocks import Block, all_blocks
from tests.docs.reader import Reader
from tests.e2e.installation import Installation
from tests.e2e.process import OperatorProcess
from tests.simulators.process import BasetenSimulator
from tests.waiting import eventually

pytestmark = pytest.mark.cluster

STORIES = (
    ("quickstart.md", "conditions.md", "kubectl.md", "gitops.md", "ownership.md", "backup.md", "upgrade.md"),
    ("configuration.md",),
    ("install.md#Helm",),
    ("install.md#kustomize",),
    ("README.md",),
)
"""What is read one after the other, each story with a cluster that has never heard of Setpoint."""

ELSEWHERE = ("docker", "kind", "make", "velero")
"""Programs whose lines are not run here: there is no container engine, no Velero, and the tests have their own."""

WORDS = {"YOUR_KEY": KEY, "YOUR_REGISTRY": "registry.example.com", "NAME": "llama-production"}


@dataclass
class Scene:
    """A reader, and what the rest of their world does meanwhile."""

    plane: ControlPlane
    baseten: BasetenSimulator
    namespace: str
    reader: Reader
    stack: ExitStack

    def type(self, line: str) -> None:
        """Type a line, with what has to happen before and after it."""
        for pattern, happens in BEFORE.items():
            if re.search(pattern, line):
                happens(self)
        if line == "setpoint run":
            process = self.reader.starts(line)
            self.stack.callback(process.wait, 30)
            self.stack.callback(process.terminate)
            eventually(self._ready, timeout=60)
        else:
            self.reader.types(line)
        for pattern, happens in AFTER.items():
            if re.search(pattern, line):
                happens(self)

    def run_the_pods(self) -> None:
        """Do what a node would: run the operator as its Deployment says, and say that the pods are ready."""
        deployment = self.plane.get("deployment", "setpoint", NAMESPACE)
        assert deployment is not None
        operator = OperatorProcess.start(self.plane, installation=Installation.of(deployment))
        self.stack.enter_context(operator)
        for name in eventually(lambda: self._pods(deployment["spec"]["replicas"]), timeout=60):
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
            self.plane.kubectl("patch", name, "-n", NAMESPACE, *patch)

    def _pods(self, count: int) -> list[str] | None:
        found = self.plane.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").stdout.split()
        return found if len(found) == count else None

    def lead_to_the_simulator(self) -> None:
        """Let the connection of the sample lead to the simulated Baseten."""
        patch = json.dumps({"spec": {"baseten": {"url": self.baseten.url}}})
        self.plane.kubectl("patch", "spconn", "baseten", "-n", self.namespace, "--type=merge", "-p", patch)

    def install_argo_cd(self) -> None:
        """Have the ConfigMap that Argo CD has."""
        self.plane.kubectl("create", "namespace", "argocd")
        self.stack.callback(self.plane.kubectl, "delete", "namespace", "argocd", "--wait=false")
        self.plane.kubectl("create", "configmap", "argocd-cm", "-n", "argocd")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.reader.health}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


BEFORE: dict[str, Callable[[Scene], None]] = {
    r"rollout status": Scene.run_the_pods,
    r"patch configmap argocd-cm": Scene.install_argo_cd,
}
AFTER: dict[str, Callable[[Scene], None]] = {r"apply .*connection\.yaml": Scene.lead_to_the_simulator}


@pytest.fixture
def scene(controlplane: ControlPlane, namespace: str, baseten: BasetenSimulator, tmp_path: Path) -> Iterator[Scene]:
    """A reader with an empty cluster."""
    baseten.seed(WORLD)
    baseten.add_key(KEY)
    clean(controlplane)
    reader = Reader(controlplane, tmp_path, namespace, WORDS)
    with ExitStack() as stack:
        yield Scene(controlplane, baseten, namespace, reader, stack)
    controlplane.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout=120)
    clean(controlplane)


def told(story: tuple[str, ...]) -> list[Block]:
    """Return the blocks of commands that a story reads, page by page."""
    return [block for name in story for block in commands() if name in {block.page, block.place}]


def commands() -> list[Block]:
    """Return all blocks of commands."""
    return [block for block in all_blocks() if block.language == "sh"]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0])
def test_what_is_told_can_be_done(scene: Scene, story: tuple[str, ...]) -> None:
    lines = [line for block in told(story) for line in block.lines if not line.startswith(ELSEWHERE)]
    assert lines
    for line in lines:
        scene.type(line)


def test_every_block_of_commands_is_read() -> None:
    assert {block.place for block in commands()} == {block.place for story in STORIES for block in told(story)}


def test_every_block_says_what_it_is() -> None:
    assert [block.place for block in all_blocks() if not block.language] == []
