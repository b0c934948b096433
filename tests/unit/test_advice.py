"""Every reason has an advice, and the README tells of every reason."""

import re
from pathlib import Path

from setpoint.reconcile.advice import ADVICE, advice
from setpoint.reconcile.conditions import Reason

ROOT = Path(__file__).parents[2]


def test_every_reason_has_an_advice_and_a_line_in_the_readme() -> None:
    assert ADVICE.keys() == set(Reason)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z, ]+) \| (?:True|False|Unknown|kept)", text, flags=re.MULTILINE)
    told = {name.strip() for row in rows for name in row.split(",")}
    assert set(Reason) - told == {Reason.SUSPENDED}


def test_a_reason_of_another_version_is_no_failure() -> None:
    assert "does not know" in advice("BrandNew")
