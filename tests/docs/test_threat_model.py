"""The threat model names tests that there are."""

import re

from tests.chart.helm import ROOT

SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_threat_has_what_holds_and_a_test_that_is_there() -> None:
    table = SECURITY.partition("## Threat model")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| who ")]
    assert len(rows) > 10
    for row in rows:
        who, what, holds, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert who
        assert what
        assert holds
        named = re.findall(r"`(tests/[\w/.]+)`", tests)
        assert named, f"{row}: no test"
        assert [path for path in named if not (ROOT / path).exists()] == [], row


def test_what_a_connection_gives_away_is_said() -> None:
    assert "can send any Secret of its namespace to a server of his own" in SECURITY
