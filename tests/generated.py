"""Writes the files that follow from others, or tells which of them are not up to date.

`make generate` writes them (`--write`), `make lint` holds them against what would be written now. The CRDs come from the
models; the chart carries copies of the CRDs, rules and dashboard; the version is that of the package.
"""

import re
import sys
from pathlib import Path

from setpoint import __version__
from setpoint.resources import crd

ROOT = Path(__file__).parents[1]
CRDS = (Path("crds"), Path("charts/setpoint/files/crds"))
COPIES = {
    Path(f"charts/setpoint/files/{name}"): Path(f"deploy/monitoring/{name}")
    for name in ("rules.yaml", "dashboard.json")
}
VERSIONS = {
    Path("charts/setpoint/Chart.yaml"): re.compile(r"^(?:app)?[vV]ersion: (.*)$", re.MULTILINE),
    Path("deploy/operator/kustomization.yaml"): re.compile(r"^ *newTag: (.*)$", re.MULTILINE),
}


def wanted(root: Path = ROOT) -> dict[Path, str]:
    """Return what each generated file should hold, by its path below the root."""
    files = {folder / name: text for folder in CRDS for name, text in crd.manifests()}
    files |= {copy: (root / source).read_text(encoding="utf-8") for copy, source in COPIES.items()}
    for path, line in VERSIONS.items():
        files[path] = line.sub(_with_version, (root / path).read_text(encoding="utf-8"))
    return files


def stale(root: Path = ROOT) -> list[str]:
    """Return the generated files that are missing, left over, or differ from what would be written now."""
    files = wanted(root)
    left = {path.relative_to(root) for folder in CRDS for path in (root / folder).glob("*.yaml")} - files.keys()
    return sorted(str(path) for path in left | {path for path, text in files.items() if _read(root / path) != text})


def write(root: Path = ROOT) -> None:
    """Write all files, and remove those that are left over."""
    files = wanted(root)
    for name in stale(root):
        path = Path(name)
        if path not in files:
            (root / path).unlink()
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")


def _with_version(line: "re.Match[str]") -> str:
    return line[0].removesuffix(line[1]) + __version__


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    elif files := stale():
        sys.exit(f"not up to date, run `make generate`: {', '.join(files)}")
