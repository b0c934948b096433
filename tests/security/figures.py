"""What is measured while an attack goes on, and what it is held against."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import yaml

from tests.chart.helm import CHART

MIB = 2**20
LATEST = 5.0
"""Seconds after which a neighbour's change is at its remote, at the latest."""
SLOWEST_PROBE = 1.0
"""Seconds within which `/healthz` answers."""
LONGEST_BLOCK = 0.1
"""Seconds for which nothing else runs in the operator."""


@cache
def memory_limit() -> int:
    """Return the bytes of memory that the chart gives to the operator."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    limit = str(values["resources"]["limits"]["memory"])
    assert limit.endswith("Mi")
    return int(limit.removesuffix("Mi")) * MIB


@dataclass
class Figures:
    """What one attack cost everybody else."""

    changes: list[float] = field(default_factory=list)
    """Seconds from the acknowledgement of each of the neighbour's changes until it was at the remote."""
    pending: float = 0.0
    """Seconds for which a change was still on its way when the attack was over."""
    probe: float = 0.0
    """Seconds `/healthz` took at most."""
    block: float | None = None
    """Seconds for which the event loop did nothing else at most, as the operator's own metric says; None where it has none."""
    memory: int = 0
    """Bytes that were resident at most."""
    ended: int | None = None
    """The exit code of an operator that has ended by itself."""
    promises: dict[str, bool] = field(default_factory=dict)
    """What else must hold, and whether it did."""
    log: str = ""
    """All that the operator has logged; nothing that is kept."""

    @property
    def median(self) -> float | None:
        """The median of the neighbour's changes; None where not one arrived."""
        return statistics.median(self.changes) if self.changes else None

    @property
    def worst(self) -> float:
        """How late the latest change was, one that never arrived included."""
        return max([*self.changes, self.pending], default=0.0)

    def broken(self, *, probe: float = SLOWEST_PROBE, block: float | None = None) -> list[str]:
        """Return each bound that was broken, in words."""
        found = [f"{promise}: no" for promise, held in self.promises.items() if not held]
        if self.ended is not None:
            found.append(f"the operator ended by itself with {self.ended}")
        if self.worst > LATEST:
            found.append(f"a neighbour's change took {self.worst:.1f} s")
        if self.probe > probe:
            found.append(f"/healthz took {self.probe:.1f} s")
        if self.memory > memory_limit():
            found.append(f"{self.memory // MIB} MiB of memory")
        if block is not None and self.block is not None and self.block > block:
            found.append(f"the loop was blocked for {self.block * 1000:.0f} ms")
        return found

    def kept(self) -> dict[str, Any]:
        """Return what is kept of it in a file."""
        return {
            "median": None if self.median is None else round(self.median, 4),
            "worst": round(self.worst, 3),
            "probe": round(self.probe, 3),
            "block": None if self.block is None else round(self.block, 3),
            "memory": self.memory // MIB * MIB,
            "ended": self.ended,
            "promises": self.promises,
        }

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Self:
        """Return what was kept."""
        median = kept["median"]
        return cls(
            changes=[] if median is None else [median],
            pending=kept["worst"],
            probe=kept["probe"],
            block=kept["block"],
            memory=kept["memory"],
            ended=kept["ended"],
            promises=kept["promises"],
        )


Held = Callable[[], object]
"""Returns something truthy as soon as a promise is kept."""
