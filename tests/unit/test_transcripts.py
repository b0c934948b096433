"""What a failing end-to-end test shows of its operators."""

import subprocess
import sys
from pathlib import Path

TEST = """
import base64
from pathlib import Path
from tests.e2e import transcripts

LOG = Path(__file__).with_name("log")

def begin(pid, last):
    log = LOG.with_name(f"log-{pid}")
    lines = [f"line {number} of {pid}" for number in range(1, 100)]
    log.write_text("\\n".join([*lines, last]))
    transcripts.began(pid, log)
    return log

def test_before():
    begin(1, "of a test that passed").exists()
    transcripts.ends(1)

def test_fails():
    transcripts.hide("s3cret")
    begin(2, "still runs")
    begin(3, "ended: s3cret " + base64.b64encode(b"s3cret").decode() + " eyJhbGci.eyJpc3Mi.c2ln " + "x" * 2000)
    transcripts.ends(3)
    (LOG.with_name("log-3")).unlink()
    begin(4, "told by an error already")
    transcripts.told(4)
    assert False
"""


def test_a_failure_shows_the_last_lines_of_each_operator_and_no_credential(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TEST, encoding="utf-8")
    plugins = ["-p", "tests.e2e.transcripts", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *plugins, "--rootdir", str(tmp_path), str(tmp_path)]
    shown = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60, check=False
    )
    lines = shown.stdout.splitlines()
    assert [line.strip("- ") for line in lines if "log of operator" in line] == [
        f"log of operator {pid}, its last 60 lines" for pid in (3, 2)
    ]
    assert "still runs" in lines
    assert "line 41 of 2" in lines
    assert "line 40 of 2" not in lines
    last = next(line for line in lines if line.startswith("ended: "))
    assert last.startswith("ended: (hidden) (hidden) (hidden)")
    assert len(last) == 1001
    assert "of a test that passed" not in shown.stdout
