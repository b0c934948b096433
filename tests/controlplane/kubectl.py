"""Runs kubectl against one cluster and with nothing of the user's own."""

import os
import subprocess
from pathlib import Path

from tests.controlplane.errors import KubectlError


class Kubectl:
    """A kubectl bound to one kubeconfig, with a discovery cache of its own.

    The rest of the environment stays, because a kubeconfig of the user's may name a credential plugin that needs it.
    """

    def __init__(self, program: Path, *, kubeconfig: Path, cache: Path) -> None:
        self._command = [str(program), f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]

    def run(
        self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl with these arguments; a failure raises KubectlError unless `check` is off."""
        done = subprocess.run(
            [*self._command, *args],
            # Empty rather than inherited: kubectl must never wait for a terminal.
            input=stdin or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            # KUBERC=off keeps the user's aliases and default flags out, https://kubernetes.io/docs/reference/kubectl/kuberc/.
            env={**os.environ, "KUBERC": "off"},
        )
        if check and done.returncode != 0:
            raise KubectlError(args, done.returncode, done.stderr)
        return done


def current_kubeconfig(program: Path) -> str:
    """What the user's kubeconfig says about its current context, with all files it names put in.

    A snapshot, so that a `kubectl config use-context` elsewhere does not move running tests to another cluster.
    """
    command = (str(program), "config", "view", "--raw", "--flatten", "--minify")
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise KubectlError(command[1:], done.returncode, done.stderr)
    return done.stdout
