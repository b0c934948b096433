"""Tries every attack, one after the other, and writes docs/attacks.md: `make attacks`.

It prints what came of each, and ends with 1 where a bound is broken. `--before COMMIT` keeps the figures as those that later
ones are compared with; they are taken once, of an operator without these walls, which PYTHONPATH may put in front.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

import setpoint
from tests.controlplane.plane import ControlPlane
from tests.e2e.process import install
from tests.security.attacks import ATTACKS, Attack
from tests.security.figures import Figures
from tests.security.page import BEFORE, Run, page
from tests.security.siege import ground_of

SECONDS = 30.0
"""For which each attack goes on; those that only ask whether something holds end when that is known."""

console = Console(width=150, highlight=False)


def main() -> int:
    """Try all of them, or those whose name or chapter has a word in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the name, or chapters, with commas")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for which each goes on")
    parser.add_argument("--page", type=Path, help="file to write the page to")
    parser.add_argument("--before", default="", metavar="COMMIT", help="keep the figures as those of before")
    options = parser.parse_args()
    tried = [one for one in ATTACKS if options.only in one.name or one.chapter in options.only.split(",")]
    console.print(f"{len(tried)} attacks on the operator in {Path(setpoint.__file__).parent}")
    found: dict[str, Figures] = {}
    with ControlPlane.start(progress=console.print) as plane:
        install(plane)
        for number, attack in enumerate(tried, 1):
            begun = time.monotonic()
            with ground_of(plane) as ground:
                figures = found[attack.name] = attack.on(ground, seconds=options.seconds).figures
            _print(f"{number}/{len(tried)}", attack, figures, time.monotonic() - begun)
    if options.before:
        run = Run(options.before, datetime.now(UTC).date().isoformat(), found)
        BEFORE.write_text(run.text(), encoding="utf-8")
    if options.page:
        options.page.write_text(page(found), encoding="utf-8")
    return 1 if any(found[one.name].broken(block=one.longest_block) for one in tried) else 0


def _print(number: str, attack: Attack, figures: Figures, seconds: float) -> None:
    median = "never" if figures.median is None else f"{figures.median * 1000:.0f} ms"
    block = "" if figures.block is None else f", loop {figures.block * 1000:.0f} ms"
    console.print(
        f"{number} {attack.chapter}: {attack.name} ({seconds:.0f} s): change {median}, worst {figures.worst:.2f} s, "
        f"/healthz {figures.probe:.2f} s{block}, {figures.memory >> 20} MiB"
    )
    for problem in figures.broken(block=attack.longest_block):
        console.print(f"    {problem}")


if __name__ == "__main__":
    sys.exit(main())
