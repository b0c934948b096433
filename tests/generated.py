"""Writes the files that follow from others, or tells which of them are not up to date.

`make generate` writes them (`--write`), `make lint` holds them against what would be written now. The CRDs come from the
models; the chart carries copies of the CRDs, rules and dashboard; Argo CD's customizations are the same for every kind; the
version is that of the package.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from setpoint import __version__
from setpoint.resources import GROUP, KINDS, crd
from setpoint.resources.common import Managed
from tests import reference
from tests.gitops import examples

ROOT = Path(__file__).parents[1]
CRDS = (Path("crds"), Path("charts/setpoint/files/crds"))
COPIES = {
    Path(f"charts/setpoint/files/{name}"): Path(f"deploy/monitoring/{name}")
    for name in ("rules.yaml", "dashboard.json")
}
ARGOCD = Path("deploy/argocd")
ACTIONS = ("refresh", "suspend", "resume")
PATCH_HEAD = """# Health and actions for Argo CD, to be merged into argocd-cm:
#   kubectl patch configmap argocd-cm -n argocd --patch-file argocd-cm.yaml
# Generated from lua/ by `make generate`.
"""
VERSIONS = {
    Path("charts/setpoint/Chart.yaml"): re.compile(r"^(?:app)?[vV]ersion: (.*)$", re.MULTILINE),
    Path("deploy/image/Dockerfile"): re.compile(r"setpoint/setpoint:(\S*)"),
    Path("deploy/operator/kustomization.yaml"): re.compile(r"^ *newTag: (.*)$", re.MULTILINE),
}


def wanted(root: Path = ROOT) -> dict[Path, str]:
    """Return what each generated file should hold, by its path below the root."""
    files = {folder / name: text for folder in CRDS for name, text in crd.manifests()}
    files |= {copy: (root / source).read_text(encoding="utf-8") for copy, source in COPIES.items()}
    files |= _customizations(root)
    files[Path("docs/reference.md")] = reference.page()
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


def _customizations(root: Path) -> dict[Path, str]:
    """Return Argo CD's customizations of every kind: in the form of its own repository, and as a patch of argocd-cm."""
    lua = root / ARGOCD / "lua"
    health = (lua / "health.lua").read_text(encoding="utf-8")
    discovery = (lua / "actions" / "discovery.lua").read_text(encoding="utf-8")
    actions = {name: (lua / "actions" / f"{name}.lua").read_text(encoding="utf-8") for name in ACTIONS}
    files, data = {}, {}
    for model in KINDS:
        folder = ARGOCD / "resource_customizations" / GROUP / model.kind()
        files[folder / "health.lua"] = health
        data[f"resource.customizations.health.{GROUP}_{model.kind()}"] = health
        samples = examples.samples(model)
        listed = [_health_test(name, status, message) for name, (_, status, message) in samples.items()]
        files[folder / "health_test.yaml"] = _yaml({"tests": listed})
        files |= {folder / "testdata" / f"{name}.yaml": _yaml(body) for name, (body, _, _) in samples.items()}
        if issubclass(model, Managed):
            files |= _action_tests(folder / "actions", samples["healthy"][0])
            files[folder / "actions" / "discovery.lua"] = discovery
            files |= {folder / "actions" / name / "action.lua": text for name, text in actions.items()}
            definitions = [{"name": name, "action.lua": text} for name, text in actions.items()]
            action = {"discovery.lua": discovery, "definitions": definitions}
            data[f"resource.customizations.actions.{GROUP}_{model.kind()}"] = _yaml(action)
    metadata = {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}}
    patch = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    files[ARGOCD / "argocd-cm.yaml"] = PATCH_HEAD + _yaml(patch)
    return files


def _health_test(name: str, status: str, message: str) -> dict[str, object]:
    return {"healthStatus": {"status": status, "message": message}, "inputPath": f"testdata/{name}.yaml"}


def _action_tests(folder: Path, body: dict[str, Any]) -> dict[Path, str]:
    states = {
        name: {**body, "spec": {**body["spec"], "suspend": suspended}}
        for name, suspended in (("suspended", True), ("resumed", False))
    }
    offered = {
        name: [{"name": action, "disabled": suspended != (action == "resume")} for action in sorted(ACTIONS)]
        for name, suspended in (("suspended", True), ("resumed", False))
    }
    tests = {
        "discoveryTests": [{"inputPath": f"testdata/{name}.yaml", "result": offered[name]} for name in states],
        "actionTests": [
            {
                "action": action,
                "inputPath": f"testdata/{before}.yaml",
                "expectedOutputPath": f"testdata/{after}.yaml",
            }
            for action, before, after in (("suspend", "resumed", "suspended"), ("resume", "suspended", "resumed"))
        ],
    }
    files = {folder / "testdata" / f"{name}.yaml": _yaml(state) for name, state in states.items()}
    return {**files, folder / "action_test.yaml": _yaml(tests)}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=4096)


def _with_version(line: "re.Match[str]") -> str:
    return line[0].removesuffix(line[1]) + __version__


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        write()
    elif files := stale():
        sys.exit(f"not up to date, run `make generate`: {', '.join(files)}")
