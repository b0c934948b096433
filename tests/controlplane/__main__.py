"""The control plane from a terminal: `python -m tests.controlplane build` or `python -m tests.controlplane up`."""

import argparse
import os
import shlex
import signal
import sys
from types import FrameType

from tests.controlplane.binaries import find_binaries
from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.plane import ControlPlane
from tests.controlplane.progress import StderrProgress


def build() -> None:
    """Find or build the programs and print their folder."""
    sys.stdout.write(f"{find_binaries(StderrProgress()).folder}\n")


def up() -> None:
    """Run a control plane until SIGINT or SIGTERM."""
    with ControlPlane.start() as plane:
        sys.stdout.write(f"export KUBECONFIG={shlex.quote(os.fspath(plane.kubeconfig))}\n")
        sys.stdout.flush()
        while True:
            signal.pause()


def interrupt(number: int, frame: FrameType | None) -> None:
    """Turn a signal into the exception that unwinds what is under way, a start included."""
    # A second signal must not interrupt the cleaning up after the first.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Do what the arguments ask for."""
    commands = {"build": build, "up": up}
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane", description=__doc__)
    parser.add_argument("command", choices=commands)
    command = commands[parser.parse_args().command]
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    try:
        command()
    except KeyboardInterrupt:
        return 0
    except ControlPlaneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
