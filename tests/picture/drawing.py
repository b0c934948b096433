"""Draws a Grafana dashboard from what its queries answer, panel by panel in its own grid."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from tests.promql import Series

COLUMNS = 24
"""Of Grafana's grid."""
WIDTH, ROW = 18.0, 0.34
"""Inches, of the picture and of a row of the grid."""
DPI = 72
SMALL = 7.0
COLOURS = {"green": "#3a8f4d", "orange": "#d9822b", "red": "#c4372f"}
INK, PALE = "#24292f", "#d0d7de"
MOST_ROWS = 8

Panel = dict[str, Any]
Answers = Sequence[Sequence[Series]]


def draw(board: dict[str, Any], answers: Answers, file: Path) -> None:
    """Write a picture of a dashboard; the answers are those to its queries, in order."""
    panels = board["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(WIDTH, height * ROW), dpi=DPI, layout=None)
    grid = GridSpec(height, COLUMNS, figure, left=0.02, right=0.99, top=0.985, bottom=0.01)
    rest = iter(answers)
    end = max((one.samples[-1][0] for found in answers for one in found), default=0.0)
    for panel in panels:
        found = [next(rest) for _ in panel["targets"]]
        where = panel["gridPos"]
        frame = figure.add_subplot(grid[where["y"] : where["y"] + where["h"], where["x"] : where["x"] + where["w"]])
        _PAINTERS[panel["type"]](_inside(frame, panel), panel, found, end)
    # No date and no version of the library, so that the same data give the same bytes.
    figure.savefig(file, metadata={"Software": None})


def _inside(frame: Axes, panel: Panel) -> Axes:
    """Draw the frame and the title of a panel, and return what is left of it."""
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set_color(PALE)
    tall = panel["gridPos"]["h"] * ROW * DPI
    title = 16 / tall
    frame.text(0.01, 1 - title / 2, panel["title"], fontsize=SMALL + 1, color=INK, weight="bold", va="center")
    axes = frame.inset_axes((0.09, 0.28, 0.89, 0.72 - title) if panel["type"] == "timeseries" else (0, 0, 1, 1 - title))
    axes.tick_params(labelsize=SMALL, colors=INK, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(panel["type"] == "timeseries" and side in {"left", "bottom"})
        spine.set_color(PALE)
    return axes


def _stat(axes: Axes, panel: Panel, answers: Answers, end: float) -> None:
    axes.axis("off")
    value = next((value for _, value in _now(answers, end)), None)
    text = "no data" if value is None else shown(value, _unit(panel))
    axes.text(0.5, 0.45, text, fontsize=18, ha="center", va="center", color=_colour(panel, value))


def _lines(axes: Axes, panel: Panel, answers: Answers, end: float) -> None:
    for target, found in zip(panel["targets"], answers, strict=True):
        for one in found:
            numbers = one.numbers()
            # What never happened has no line to look at.
            if any(value for _, value in numbers):
                minutes = [(time - end) / 60 for time, _ in numbers]
                axes.plot(minutes, [value for _, value in numbers], linewidth=1.2, label=_name(target, one))
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} min")
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, _unit(panel)))
    axes.grid(visible=True, color=PALE, linewidth=0.4)
    if axes.lines:
        columns = max(1, panel["gridPos"]["w"] // 4)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(-0.08, -0.14),
            fontsize=SMALL - 1,
            ncols=columns,
            frameon=False,
            labelcolor=INK,
            borderaxespad=0,
        )


def _bars(axes: Axes, panel: Panel, answers: Answers, end: float) -> None:
    axes.axis("off")
    target = panel["targets"][0]
    rows = [(_name(target, one), value) for one, value in _now(answers, end)]
    for number, (name, value) in enumerate(_most(rows)):
        y = 1 - (number + 0.5) / MOST_ROWS
        axes.text(0.02, y, name, fontsize=SMALL, va="center", color=INK)
        axes.barh(y, min(value, 1) * 0.45, left=0.45, height=0.6 / MOST_ROWS, color=_colour(panel, value))
        axes.text(0.92, y, shown(value, _unit(panel)), fontsize=SMALL, va="center", color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _table(axes: Axes, panel: Panel, answers: Answers, end: float) -> None:
    axes.axis("off")
    rows = [(" ".join(one.labels.values()), value) for one, value in _now(answers, end)]
    for number, (name, value) in enumerate(_most(rows)):
        y = 1 - (number + 0.5) / MOST_ROWS
        axes.text(0.02, y, name, fontsize=SMALL, va="center", color=INK)
        axes.text(0.92, y, shown(value, _unit(panel)), fontsize=SMALL, va="center", color=INK)


_PAINTERS = {"stat": _stat, "timeseries": _lines, "bargauge": _bars, "table": _table}


def _most(rows: Sequence[tuple[str, float]]) -> Sequence[tuple[str, float]]:
    """Return the largest rows, the largest first."""
    return sorted(rows, key=lambda row: -row[1])[:MOST_ROWS]


def _now(answers: Answers, end: float) -> Iterator[tuple[Series, float]]:
    """Yield the series that are there at the end, with their values then."""
    for found in answers:
        for one in found:
            time, value = one.samples[-1]
            if time == end and not math.isnan(value):
                yield one, value


def _name(target: dict[str, Any], one: Series) -> str:
    """Return a series' name as the panel words it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: one.labels.get(found[1], ""), target["legendFormat"])


def _unit(panel: Panel) -> str:
    return str(panel["fieldConfig"]["defaults"]["unit"])


def _colour(panel: Panel, value: float | None) -> str:
    """Return the colour of the highest threshold that a value has reached."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    reached = [step for step in steps if step["value"] is None or (value is not None and value >= step["value"])]
    return COLOURS.get(reached[-1]["color"], INK) if reached else INK


def shown(value: float, unit: str) -> str:
    """Return a value as people read it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s" and value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g}{' s' if unit == 's' else ''}"
