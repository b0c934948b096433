"""Tells whether the files that are generated from the models are up to date; `make lint` runs it."""

import sys
from pathlib import Path

from setpoint.resources import crd

FOLDER = Path(__file__).parents[1] / "crds"


def stale() -> list[str]:
    """Return the names of generated files that are missing, left over, or differ from what would be written now."""
    wanted = dict(crd.manifests())
    there = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


if __name__ == "__main__":
    if files := stale():
        sys.exit(f"not up to date, run `make generate`: {', '.join(f'crds/{name}' for name in files)}")
