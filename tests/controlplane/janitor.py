"""Removes a folder when the parent is gone.

Run as a script, `janitor.py FOLDER`, with the standard library only. The parent holds the other end of the standard
input and closes it, by intent or by dying. In the second case keepers are ending their programs at the same time, and
a program may write into the folder until it is dead, hence the attempts.
"""

import os
import shutil
import sys
import time

SECONDS = 10.0
INTERVAL = 0.05


def main() -> None:
    """Wait for the end of the input, then remove the folder."""
    os.setsid()
    while os.read(sys.stdin.fileno(), 16):
        pass
    deadline = time.monotonic() + SECONDS
    while os.path.lexists(sys.argv[1]) and time.monotonic() < deadline:
        shutil.rmtree(sys.argv[1], ignore_errors=True)
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main()
