"""Processes that end with this one, each started through a keeper (see keeper.py)."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

TAIL_LINES = 15


def start_helper(
    script: str, *arguments: str, output: IO[bytes] | int, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start one of this package's scripts with a pipe as its input, whose end tells it that we are gone."""
    # Isolated and without site-packages: the scripts need neither, and it halves their start.
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name(script)), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=cwd, env=env, bufsize=0)


def close(helper: subprocess.Popen[bytes]) -> None:
    """Close our end of a helper's input."""
    if helper.stdin is not None:
        helper.stdin.close()


class Process:
    """A running program which writes its output to a log file and does not outlive this process."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._keeper = start_helper("keeper.py", *command, output=output, cwd=cwd, env=env)

    @property
    def exit_code(self) -> int | None:
        """The exit code, 128 plus the signal's number when a signal ended the program, None while it runs."""
        return self._keeper.poll()

    @property
    def tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def wait(self, seconds: float) -> bool:
        """Wait until the program has ended, at most so long; tell whether it has."""
        with suppress(subprocess.TimeoutExpired):
            self._keeper.wait(seconds)
        return self.exit_code is not None

    def stop(self, grace: float = 10) -> None:
        """End the program with SIGTERM, and with SIGKILL when it is still there after the grace period."""
        stdin = self._keeper.stdin
        if stdin is not None and not stdin.closed:
            # The program may have ended.
            with suppress(BrokenPipeError):
                stdin.write(b"T")
            self.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End the program and all it started with SIGKILL if it still runs."""
        close(self._keeper)
        self._keeper.wait()
