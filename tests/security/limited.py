"""Runs the operator with no more memory than a number of bytes: `python limited.py BYTES PROGRAM`.

The kernel refuses what goes beyond (RLIMIT_DATA: all that is private and can be written to). Stacks of threads count as
large as they may become, so each thread's is as small as it can do with.
"""

import resource
import runpy
import sys
import threading

STACK = 512 * 1024


def main() -> None:
    """Take the limit, and go on as the program."""
    limit = int(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    threading.stack_size(STACK)
    program = sys.argv.pop(1)
    if program == "-m":
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = program
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
