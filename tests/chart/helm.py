"""Runs helm and kubectl kustomize, and returns what they make."""

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.tools.binaries import tool

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "setpoint"
VALUES = {file.name.removesuffix("-values.yaml"): file for file in sorted((CHART / "ci").glob("*-values.yaml"))}
RELEASE, NAMESPACE = "setpoint", "setpoint-system"

Object = dict[str, Any]


def helm(
    *args: str, kubeconfig: Path | None = None, check: bool = True, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run helm with folders of its own; a failure raises with what it said."""
    with tempfile.TemporaryDirectory(prefix="setpoint-helm-") as folder:
        environment = {
            name: f"{folder}/{name.lower()}" for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        }
        environment |= {"HOME": folder, "PATH": "/usr/bin:/bin"}
        if kubeconfig is not None:
            environment["KUBECONFIG"] = str(kubeconfig)
        done = subprocess.run(
            [str(tool("helm")), *args], env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    if check and done.returncode:
        raise AssertionError(f"helm {' '.join(args)} failed:\n{done.stdout}\n{done.stderr}")
    return done


def template(values: Mapping[str, Any] | Path, *args: str, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    """Return what the chart makes of values."""
    where = ("template", release, str(CHART), "--namespace", namespace, *args)
    if isinstance(values, Path):
        return helm(*where, "--values", str(values)).stdout
    with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="setpoint-values-") as file:
        json.dump(dict(values), file)
        file.flush()
        return helm(*where, "--values", file.name).stdout


def objects(text: str) -> list[Object]:
    """Return the objects of a text of YAML documents."""
    return [one for one in yaml.safe_load_all(text) if one]


def rendered(values: Mapping[str, Any] | Path, *args: str) -> list[Object]:
    """Return the objects the chart makes of values."""
    return objects(template(values, *args))


def only(found: list[Object], kind: str, name: str | None = None) -> Object:
    """Return the only object of a kind, or of that name."""
    (one,) = [each for each in found if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    return one
