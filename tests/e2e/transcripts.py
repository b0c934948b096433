"""The last words of operators, printed with every test that fails while they ran, or in which they ended; a plugin of pytest.

Nothing in them is a credential: values that tests put into Secrets are told to `hide`, and tokens are known by their form.
"""

import base64
import re
from collections.abc import Generator
from pathlib import Path

import pytest

LINES = 60
LENGTH = 1000
"""Characters of one line that are shown; a traceback is one line of JSON."""

TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
"""A ServiceAccount's token."""

_hidden: set[str] = set()
_open: dict[int, Path] = {}
_ended: dict[int, str] = {}


def hide(*values: str) -> None:
    """Never show those values, as they are or as Secrets have them."""
    for value in filter(None, values):
        _hidden.update((value, base64.b64encode(value.encode()).decode()))


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
    text = "\n".join(f"{line[:LENGTH]}…" if len(line) > LENGTH else line for line in map(_clean, lines))
    return text or "(nothing)"


def began(pid: int, log: Path) -> None:
    """Tell that an operator writes its log there."""
    _open[pid] = log


def told(pid: int) -> None:
    """Tell that an error shows the tail already."""
    _open.pop(pid, None)


def ends(pid: int) -> None:
    """Tell that the log of an operator is about to go; its tail is kept until the end of the test."""
    log = _open.pop(pid, None)
    if log is not None and log.exists():
        _ended[pid] = tail(log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the tails to the report of a failure; those that are gone are forgotten when the test has ended."""
    report = yield
    if report.failed:
        words = {**_ended, **{pid: tail(log) for pid, log in _open.items() if log.exists()}}
        report.sections += [(f"log of operator {pid}, its last {LINES} lines", text) for pid, text in words.items()]
    if call.when == "teardown":
        _ended.clear()
    return report


def _clean(line: str) -> str:
    for value in _hidden:
        line = line.replace(value, "(hidden)")
    return TOKEN.sub("(hidden)", line)
