"""docs/attacks.md: what each attack did before, and what it does now."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.security.attacks import ATTACKS, CHAPTERS, Attack
from tests.security.figures import LATEST, LONGEST_BLOCK, MIB, SLOWEST_PROBE, Figures, memory_limit

BEFORE = Path(__file__).with_name("before.json")
NONE = "-"


@dataclass(frozen=True)
class Run:
    """All attacks once, with one state of the operator."""

    commit: str
    date: str
    figures: Mapping[str, Figures]
    """By the name of the attack."""

    def text(self) -> str:
        """Return it for a file."""
        kept = {name: one.kept() for name, one in self.figures.items()}
        return (
            json.dumps({"commit": self.commit, "date": self.date, "attacks": kept}, indent=1, ensure_ascii=False) + "\n"
        )


def before() -> Run:
    """Return what was measured before the walls were there."""
    if not BEFORE.exists():
        return Run("", "", {})
    found = json.loads(BEFORE.read_text(encoding="utf-8"))
    figures = {name: Figures.of(kept) for name, kept in found["attacks"].items()}
    return Run(found["commit"], found["date"], figures)


def page(now: Mapping[str, Figures]) -> str:
    """Return the page; an attack that was not tried now has no row."""
    then = before()
    text = f"""# Attacks, and what they do to others

Made by `make attacks`: every attack on the real API server and over real sockets, with a real operator process, on two cores
that also run the API server, the remotes and the attack. Meanwhile a neighbour in another namespace changes a spec again and
again. Figures are *before → now*; before is commit `{then.commit}` of {then.date}, which had none of these walls.

- **Change**, p50 and worst: from the API server's acknowledgement of a neighbour's change to the write at the remote. Bound:
  {LATEST:.0f} s.
- **/healthz**: the longest wait for its answer. Bound: {SLOWEST_PROBE:.0f} s.
- **Block**: how long the event loop did nothing else, by the metric `setpoint_event_loop_longest_block_seconds`; there was none
  before. Bound: {LONGEST_BLOCK * 1000:.0f} ms for answers, which one remote alone decides on.
- **Memory**: the most that was resident (VmHWM). Bound: {memory_limit() // MIB} MiB, the chart's limit.
- **Ended**: whether the operator ended by itself, as it does when it loses its lease. Bound: no.

A figure in bold breaks its bound.
"""
    for chapter, heading in CHAPTERS.items():
        tried = [one for one in ATTACKS if one.chapter == chapter and one.name in now]
        if tried:
            text += f"\n## {heading}\n\n{_costs(tried, then.figures, now)}{_promises(tried, then.figures, now)}"
    return text


def _costs(tried: list[Attack], then: Mapping[str, Figures], now: Mapping[str, Figures]) -> str:
    lines = [
        "| attack | whoever tries it | change p50 | worst | `/healthz` | block | memory | ended |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in tried:
        cells = zip(_cells(then.get(one.name), one), _cells(now[one.name], one), strict=True)
        lines.append(f"| {one.name} | {one.may} | {' | '.join(f'{old} → {new}' for old, new in cells)} |")
    return "\n".join(lines) + "\n"


def _cells(figures: Figures | None, attack: Attack) -> list[str]:
    if figures is None:
        return [NONE] * 6
    median, block = figures.median, figures.block
    return [
        NONE if median is None else f"{median * 1000:.0f} ms",
        _bold(f"{figures.worst:.2f} s", broken=figures.worst > LATEST),
        _bold(f"{figures.probe:.2f} s", broken=figures.probe > SLOWEST_PROBE),
        NONE if block is None else _bold(f"{block * 1000:.0f} ms", broken=block > (attack.longest_block or math.inf)),
        _bold(f"{figures.memory // MIB} MiB", broken=figures.memory > memory_limit()),
        "no" if figures.ended is None else "**yes**",
    ]


def _promises(tried: list[Attack], then: Mapping[str, Figures], now: Mapping[str, Figures]) -> str:
    lines = []
    for one in tried:
        old = then[one.name].promises if one.name in then else {}
        for promise, held in now[one.name].promises.items():
            lines.append(f"| {one.name} | {promise} | {_held(old.get(promise))} → {_held(held)} |")
    return "\n".join(["\n| attack | what must hold | held |", "|---|---|---|", *lines]) + "\n" if lines else ""


def _held(held: bool | None) -> str:  # noqa: FBT001 - the value itself is shown
    return NONE if held is None else "yes" if held else "**no**"


def _bold(text: str, *, broken: bool) -> str:
    return f"**{text}**" if broken else text
