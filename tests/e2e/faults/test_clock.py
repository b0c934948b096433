"""The clock is set while the operator works: each kind ends at its spec all the same, and the leader goes on leading."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.controlplane.plane import ControlPlane
from tests.e2e.faults import stepped
from tests.e2e.faults.ground import NAME, PLURALS, WRITES, Ground, ground
from tests.e2e.process import OperatorProcess
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.faults import Delay
from tests.simulators.process import BasetenSimulator

pytestmark = pytest.mark.cluster

DAY = 86_400
STEPS = {"a day ahead": (DAY,) * 3, "a day back": (-DAY,) * 3, "to and fro": (3600, -3600, 0)}


@pytest.mark.parametrize("name", STEPS)
def test_the_clock_is_set(
    installed: ControlPlane,
    namespace: str,
    baseten: BasetenSimulator,
    bifrost: BifrostSimulator,
    tmp_path: Path,
    name: str,
) -> None:
    """At rest, while a write waits for its answer, and before a drift is looked for."""
    offset = tmp_path / "offset"

    def step(seconds: float) -> None:
        # Whole at once, since the operator may read it at any time.
        (tmp_path / "next").write_text(str(seconds), encoding="ascii")
        (tmp_path / "next").rename(offset)

    step(0)
    program = (str(Path(stepped.__file__)), str(offset))
    with ground(installed, namespace, baseten, bifrost) as here:
        lease = {"SETPOINT_LEADER_ELECT": "true"}
        here.operator = OperatorProcess.start(installed, lease, server=here.kube.url, program=program)
        at_rest, writing, drifting = STEPS[name]
        edit(here, 7)

        step(at_rest)
        edit(here, 8)

        edit(here, 9, meanwhile=lambda: step(writing))

        step(drifting)
        drift(here, 3)
        for kind in PLURALS:
            here.request(kind, NAME, "look")
        here.settled(9)

        # The creation, two edits and the drift, and no more for the clock.
        assert [here.writes(kind) for kind in PLURALS] == [4, 4, 4]
        here.held(f"clock set {name}, in a life of 4 changes", bound=4)
        assert not here.operator.ended, "it has led all the time"
        here.operator.terminate()
        assert here.operator.wait() == 0


def edit(here: Ground, value: int, meanwhile: Callable[[], None] | None = None) -> None:
    """Give each kind a value and wait until it holds; something may happen while the writes wait for their answers."""
    before = {kind: here.writes(kind) for kind in PLURALS}
    if meanwhile is not None:
        for kind, (method, path) in WRITES.items():
            (here.bifrost if kind == "mcg" else here.baseten).inject(Delay(seconds=1.5), method=method, path=path)
    here.apply_all(value)
    if meanwhile is not None:
        here.wait(lambda: all(here.writes(kind) > before[kind] for kind in PLURALS))
        meanwhile()
    here.settled(value)


def drift(here: Ground, value: int) -> None:
    """Let somebody else set each remote to a value."""
    here.baseten.set_settings({"max_replica": value}, model="m-greeter", deployment="d-free")
    here.baseten.set_settings({"max_replica": value}, chain="c-hello", environment="production", chainlet="RandInt")
    row = here.bifrost.find("gpt-4o", "openai")[0]["id"]
    budget = here.bifrost.state(row).budgets[0]
    here.bifrost.update_row(row, budgets=[budget.model_copy(update={"max_limit": value})])
