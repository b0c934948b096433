"""What the documentation promises, for tests that hold it against what there is."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def metrics() -> set[str]:
    """Return the metrics that docs/metrics.md tells of."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(setpoint_\w+)` \|", text, flags=re.MULTILINE))
