"""The documentation builds without a warning, and what it points to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.helm import ROOT
from tests.docs.blocks import PAGES


def test_sphinx_has_nothing_to_complain_of(tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "sphinx-build")
    words = ("--quiet", "--fail-on-warning", "--keep-going", str(ROOT / "docs"), str(tmp_path / "html"))
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {name for name in pages if f'href="{name}.html"' in index} == pages, "every page is in the table of contents"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target
    for path in re.findall(r"(?<![\w/.-])((?:deploy|charts|crds|tests|operator|docs)/[\w./-]+)", text):
        assert (ROOT / path.rstrip(".")).exists() or "NAME" in path, path
