"""The picture of the dashboard can be drawn, and the documentation shows it."""

from pathlib import Path

import pytest
from PIL import Image

from tests import documented
from tests.picture.drawing import COLUMNS, draw, shown
from tests.promql import Scrapes

PAGE = """\
# TYPE setpoint_resources gauge
setpoint_resources{{kind="DeploymentAutoscaling",ready="True",reason="Synced"}} {ready}
# TYPE setpoint_budget_used_ratio gauge
setpoint_budget_used_ratio{{namespace="ai",name="gpt",limit="budget",reset_duration="1M"}} 0.85
# TYPE setpoint_remote_requests counter
setpoint_remote_requests_total{{provider="Baseten",method="GET",code="200"}} {requests}
"""


def colours(image: Image.Image) -> int:
    """Return how many colours a picture has."""
    return len(image.convert("RGB").getcolors(maxcolors=2**24) or [])


def test_a_dashboard_is_drawn_with_much_little_or_nothing_to_show(tmp_path: Path) -> None:
    scrapes = Scrapes()
    for number in range(10):
        scrapes.add(PAGE.format(ready=number, requests=number * 7), 1e9 + number * 15, instance="one")
    file = tmp_path / "picture.png"
    draw(documented.dashboard(), scrapes.ask(documented.queries(), step=15), file)
    with Image.open(file) as some, Image.open(documented.DOCS / "dashboard.png") as real:
        assert some.size == real.size
        there = colours(some)
    draw(documented.dashboard(), [[] for _ in documented.queries()], file)
    with Image.open(file) as none:
        assert colours(none) < there


def test_every_panel_has_a_place_in_the_grid() -> None:
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS for panel in documented.dashboard()["panels"])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.856, "percentunit", "86%"),
        (3 * 2**20, "bytes", "3 MiB"),
        (0.025, "s", "25 ms"),
        (90, "s", "90 s"),
        (7, "short", "7"),
    ],
)
def test_values_are_shown_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_the_documentation_shows_the_picture() -> None:
    assert "](dashboard.png)" in (documented.DOCS / "metrics.md").read_text(encoding="utf-8")
