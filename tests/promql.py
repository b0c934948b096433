"""What Prometheus would make of scrapes: PromQL over what a process has shown, evaluated by Prometheus' own engine."""

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.tools.binaries import tool

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Series:
    """An answer's series; times in seconds."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]

    def numbers(self) -> list[tuple[float, float]]:
        """Return the samples that are numbers: a ratio of nothing to nothing is none."""
        return [(time, value) for time, value in self.samples if not math.isnan(value)]


class Scrapes:
    """Pages of metrics in the order of their times."""

    def __init__(self) -> None:
        self._series: dict[Labels, list[tuple[int, str | None]]] = {}
        self._present: dict[Labels, set[Labels]] = {}
        self._first: int | None = None
        self._last = 0

    def add(self, page: str, at: float, **labels: str) -> None:
        """Add a page at a time in seconds, later than the one before; labels are the scraped process's own."""
        now = round(at * 1000)
        target = tuple(sorted(labels.items()))
        there = set[Labels]()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                named = tuple(sorted({**sample.labels, **labels, "__name__": sample.name}.items()))
                self._series.setdefault(named, []).append((now, repr(float(sample.value))))
                there.add(named)
        for gone in self._present.get(target, set()) - there:
            self._series[gone].append((now, None))
        self._present[target] = there
        self._first = now if self._first is None else self._first
        self._last = now

    def ask(self, queries: Sequence[str], *, step: float) -> list[list[Series]]:
        """Return what each query answers from the first scrape to the last.

        Raises:
            AssertionError: a query cannot be evaluated.
        """
        series = [
            {"labels": dict(named), "samples": [{"time": time, "value": value} for time, value in samples]}
            for named, samples in self._series.items()
        ]
        given = {"series": series, "queries": list(queries), "start": self._first, "end": self._last}
        text = json.dumps({**given, "step": round(step * 1000)})
        done = subprocess.run([str(tool("promql"))], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [[_series(one) for one in json.loads(line)] for line in done.stdout.splitlines()]


def _series(body: dict[str, Any]) -> Series:
    return Series(body["labels"], [(one["time"] / 1000, float(one["value"])) for one in body["samples"]])
