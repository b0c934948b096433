"""Runs the demo; KEEP=1 leaves everything running afterwards, CLUSTER=current takes the user's own cluster."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import httpx

from tests.controlplane.errors import ControlPlaneError
from tests.demo.chapter import UnmetError
from tests.demo.interrupts import Interrupted, Interrupts
from tests.demo.screen import Screen
from tests.demo.story import Story

FAILURES = (
    UnmetError,
    ControlPlaneError,
    AssertionError,
    httpx.HTTPError,
    OSError,
    RuntimeError,
    subprocess.TimeoutExpired,
)


def run(screen: Screen, interrupts: Interrupts) -> int:
    """Play the story, and stop what it started however it ends."""
    with ExitStack() as stack:
        story = Story(screen, interrupts, stack)
        try:
            story.play()
            screen.say("Everything as expected.", style="bold green")
            if os.environ.get("KEEP", "") not in {"", "0"}:
                story.look_around()
                keep()
        except FAILURES as error:
            screen.say(f"\nNot as expected: {error}", style="bold red")
            if tail := story.log_tail():
                screen.say("The end of the operator's log:")
                screen.output(tail)
            return 1
        finally:
            interrupts.ignore()
    return 0


def keep() -> None:
    """Wait for Ctrl-C or SIGTERM, which here are how the demo is meant to end."""
    try:
        while True:
            signal.pause()
    except Interrupted:
        return


def main() -> int:
    """Return the exit code."""
    screen = Screen()
    try:
        return run(screen, Interrupts())
    except Interrupted as interrupted:
        screen.say("\nInterrupted; everything is cleaned up.")
        return interrupted.exit_code


if __name__ == "__main__":
    sys.exit(main())
