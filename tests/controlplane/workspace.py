"""The one folder that holds everything a control plane writes."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.controlplane.processes import close, start_helper

PREFIX = "setpoint-controlplane"
NAME = re.compile(rf"{PREFIX}-(?P<pid>\d+)-.+")


class Workspace:
    """A temporary folder that a janitor process removes when asked to or when this process is dead.

    The folder's name carries the id of the process that owns it, so no moment exists in which a new folder looks
    abandoned to another process' sweep.
    """

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-")).resolve()
        self._janitor = start_helper("janitor.py", str(self.path), output=subprocess.DEVNULL)

    def remove(self) -> None:
        """Remove the folder with all it holds."""
        close(self._janitor)
        self._janitor.wait()


def sweep() -> None:
    """Remove the folders of processes that are gone together with their janitors, as after a power cut."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        owner = NAME.fullmatch(folder.name)
        if owner is not None and not _is_alive(int(owner["pid"])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
