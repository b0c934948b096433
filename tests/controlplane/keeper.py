"""Keeps one process for a parent: passes on its wish to stop and ends the process when the parent is gone.

Run as a script, `keeper.py PROGRAM [ARGUMENT...]`, with the standard library only, so that it starts fast. The parent
holds the other end of the standard input. A byte asks the program to stop (SIGTERM); the end of the input kills it
with all it started, and comes when the parent closes its end or dies: the kernel closes the pipes of a process however
it ends, SIGKILL included. Linux's parent death signal would need no keeper, but it follows the parent's thread rather
than its process: an API server restarted from a worker thread would die with that thread.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def obey(child: subprocess.Popen[bytes]) -> None:
    """Pass on the parent's wishes until the parent closes its end."""
    while os.read(sys.stdin.fileno(), 1):
        child.terminate()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def main() -> None:
    """Run the program and end with its exit code, or with 128 plus the number of the signal which ended it."""
    # A session of its own keeps a Ctrl-C in the terminal from the program, which the parent wants to stop in order.
    os.setsid()
    # A group of its own, because a compiler's driver that is killed leaves the compilers it started.
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0)
    threading.Thread(target=obey, args=(child,), daemon=True).start()
    code = child.wait()
    # Not sys.exit, which would wait for a thread that is blocked in a read.
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
