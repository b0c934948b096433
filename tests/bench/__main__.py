"""Measures the operator on a real API server and the simulated remotes with their strict limits.

Figures: how long N resources applied at once take until every one is verified Ready (as a ratio to what the remote's limit
allows at best), refusals by the limit, memory, the latency of a single change, what a steady state and a restart cost, and how
long it takes until another replica works after the leader was killed.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.bench.api import NAMESPACE, Figures, console
from tests.bench.autoscaling import RATE, measure_autoscaling
from tests.bench.governance import measure_governance
from tests.bench.takeover import measure_takeovers
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import install
from tests.simulators.bifrost.process import BifrostSimulator
from tests.simulators.process import BasetenSimulator


def main() -> int:
    """Measure, print a table, and return 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=1000, help="DeploymentAutoscalings; 0: do not measure")
    parser.add_argument("--governed", type=int, default=500, help="ModelConfigGovernances; 0: do not measure")
    parser.add_argument("--takeovers", type=int, default=20, help="leaders killed; 0: do not measure")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    figures = Figures()
    with ControlPlane.start(progress=console.print) as plane:
        install(plane)
        plane.kubectl("create", "namespace", NAMESPACE)
        if options.resources:
            with BasetenSimulator.start(rate=RATE) as remote:
                asyncio.run(measure_autoscaling(plane, remote, figures, options.resources))
            plane.delete_all("deploymentautoscalings", NAMESPACE)
        if options.governed:
            with BifrostSimulator.start(rate=RATE) as gateway:
                asyncio.run(measure_governance(plane, gateway, figures, options.governed))
            plane.delete_all("modelconfiggovernances", NAMESPACE)
        if options.takeovers:
            with BasetenSimulator.start(rate=RATE) as remote:
                measure_takeovers(plane, remote, figures, options.takeovers)
    console.print(figures.table)
    if options.json:
        rows = [dict(zip(("figure", "value", "bound", "ok"), row, strict=True)) for row in figures.rows]
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")
    return 0 if all(ok for *_, ok in figures.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
