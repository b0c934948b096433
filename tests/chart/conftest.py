"""Fixtures of the tests of manifests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chart.helm import ROOT, Object, objects
from tests.controlplane.binaries import find_kubectl
from tests.controlplane.progress import StderrProgress


@pytest.fixture(scope="session")
def kustomized() -> Callable[[str], list[Object]]:
    """Return what `kubectl kustomize` makes of a folder of deploy/."""
    kubectl = find_kubectl(StderrProgress())

    def build(folder: str) -> list[Object]:
        command = [str(kubectl), "kustomize", str(Path("deploy") / folder)]
        return objects(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    return build
