"""The code blocks of the documentation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chart.helm import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md"))]
FENCE = re.compile(r"^```(.*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block, and the heading it stands under."""

    page: str
    heading: str
    language: str
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is, for those who have to find it."""
        return f"{self.page}#{self.heading}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    heading, language, lines = "", None, list[str]()
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = FENCE.match(line)
        if fence and language is None:
            language, lines = fence[1].strip(), []
        elif fence and language is not None:
            yield Block(page.name, heading, language, tuple(lines))
            language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]
