"""What the documentation promises, for tests that hold it against what there is."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MONITORING = ROOT / "deploy" / "monitoring"


def metrics() -> set[str]:
    """Return the metrics that docs/metrics.md tells of."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(setpoint_\w+)` \|", text, flags=re.MULTILINE))


def alerts() -> list[dict[str, Any]]:
    """Return all alert rules."""
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    board: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    return board


def queries() -> list[str]:
    """Return the queries of the dashboard."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
