"""Reads the counters of the API server's `/metrics`."""

import re
from collections.abc import Collection

SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(?P<name>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')


def request_count(metrics: str, *, resource: str, verbs: Collection[str], group: str | None) -> int:
    """Add up `apiserver_request_total` over the samples whose labels fit; no group means any group.

    The stable metric and its labels: https://kubernetes.io/docs/reference/instrumentation/metrics/.
    """
    wanted = {verb.upper() for verb in verbs}
    total = 0.0
    for sample in SAMPLE.finditer(metrics):
        labels = {label["name"]: label["value"] for label in LABEL.finditer(sample["labels"])}
        if labels["resource"] == resource and labels["verb"] in wanted and group in {None, labels["group"]}:
            total += float(sample["value"])
    return int(total)
