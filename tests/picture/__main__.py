"""`make picture`: plays the demo and an afternoon after it, and draws the dashboard of that into docs/dashboard.png."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.demo.interrupts import Interrupts
from tests.demo.screen import Screen
from tests.demo.story import Story
from tests.documented import DOCS, dashboard, queries
from tests.picture.afternoon import Afternoon
from tests.picture.drawing import draw
from tests.promql import Scrapes

STEP = 5.0
"""Seconds between two points of a line."""


def main(minutes: float) -> int:
    """Play, and draw."""
    screen, scrapes = Screen(), Scrapes()
    with ExitStack() as stack:
        story = Story(screen, Interrupts(), stack)

        def scrape() -> None:
            status, page = story.metrics()
            if status == 200:
                scrapes.add(page, time.time(), job="setpoint", instance="setpoint-0")

        over = threading.Event()
        watching = threading.Thread(target=_until, args=(over, scrape), daemon=True)
        watching.start()
        try:
            story.play()
            screen.say(f"\nAn afternoon of {minutes:g} minutes.", style="bold")
            Afternoon(*story.world()).go_by(minutes * 60)
        finally:
            over.set()
            watching.join()
    file = DOCS / "dashboard.png"
    draw(dashboard(), scrapes.ask(queries(), step=STEP), file)
    screen.say(f"Wrote {file.relative_to(DOCS.parent)}.")
    return 0


def _until(over: threading.Event, do: Callable[[], None]) -> None:
    while not over.wait(1):
        do()


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
