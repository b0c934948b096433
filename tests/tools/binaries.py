"""Finds the programs in the cache, or builds them."""

import hashlib
from pathlib import Path

from tests.controlplane.progress import Progress, StderrProgress
from tests.gobuild import Recipe, build, cache, target

HERE = Path(__file__).parent
SMALL = ["-ldflags", "-s -w"]
PACKAGES = {
    "helm": ("helm", "helm.sh/helm/v4/cmd/helm"),
    "helm-unittest": ("unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"),
    "kube-score": ("kubescore", "github.com/zegl/kube-score/cmd/kube-score"),
    "promtool": ("prometheus", "github.com/prometheus/prometheus/cmd/promtool"),
    "promql": ("prometheus", "."),
    "kstatus": ("kstatus", "."),
    "actionlint": ("actionlint", "github.com/rhysd/actionlint/cmd/actionlint"),
}
"""The module's folder and the package of each program."""


def tool(name: str, progress: Progress | None = None) -> Path:
    """Return a program, which is built where the cache lacks it."""
    folder, package = PACKAGES[name]
    cached = cache("tools", f"{name}-{_fingerprint(HERE / folder)}-{target()}")
    if not (cached / name).exists():
        recipe = Recipe(HERE / folder, [*SMALL, package])
        build({name: recipe}, cached, progress or StderrProgress(), aim=f"building {name} once, a few minutes")
    return cached / name


def _fingerprint(folder: Path) -> str:
    """A text that changes with anything the program is built from."""
    content = b"".join(file.read_bytes() for file in sorted(folder.iterdir()))
    return hashlib.sha256(content).hexdigest()[:12]
