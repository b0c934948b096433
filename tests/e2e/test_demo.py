"""The demo as a newcomer runs it."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.demo.screen import STEPS
from tests.demo.world import GATEWAY_TOKEN, KEY
from tests.e2e.process import ROOT

LINES = (
    "deploymentautoscaling.setpoint.dev/llama-production created",
    '/deployments/q8x4d2z/autoscaling_settings {"max_replica": 2} -> 200',
    "maxReplica from 5 back to 2",
    "budgets[1M].maxLimit from 9000 back to 150",
    "what was spent is still $12.50",
    "minReplica must not be greater than maxReplica",
    "there is no model named llama-5; did you mean llama-3-70b?",
    "Everything as expected.",
)


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes whose environment or arguments name the folder; needs /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if os.fsencode(folder) in command + (process / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.cluster
def test_the_demo_shows_what_it_promises_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"CLUSTER", "KEEP"}}
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo"],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        # A machine's first start builds the control plane; the demo itself has deadlines for all it waits for.
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in LINES if line not in done.stdout] == []
    assert [number for number in range(1, STEPS + 1) if f"[{number}/{STEPS}, " not in done.stdout] == []
    assert [key for key in (KEY, GATEWAY_TOKEN) if key in done.stdout + done.stderr] == []
    assert processes_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
