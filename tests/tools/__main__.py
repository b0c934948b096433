"""Builds all programs that are not there yet: `python -m tests.tools`."""

import sys

from tests.controlplane.errors import ControlPlaneError
from tests.tools.binaries import PACKAGES, tool


def main() -> int:
    """Build, and print where each program is."""
    try:
        for name in PACKAGES:
            sys.stdout.write(f"{tool(name)}\n")
    except ControlPlaneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
