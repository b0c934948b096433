"""Runs the operator with a time of day that somebody else sets: `python stepped.py FILE run`.

The file says by how many seconds its time of day is off the machine's. What measures how long something takes stays as
it is, as with a real clock that is set (`man clock_gettime`).
"""

import sys
from datetime import datetime, timedelta
from pathlib import Path

from setpoint.cli import main
from setpoint.reconcile.ports import LoopClock


def stepped(file: Path) -> None:
    """Let the operator's only source of time go by the file."""
    true = LoopClock.now

    def now(self: LoopClock) -> datetime:
        return true(self) + timedelta(seconds=float(file.read_text(encoding="ascii")))

    LoopClock.now = now  # type: ignore[method-assign] # in this process only, which is there for that


if __name__ == "__main__":
    stepped(Path(sys.argv.pop(1)))
    main()
