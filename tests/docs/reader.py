"""Somebody who types what the documentation says, in a checkout and with a cluster of their own."""

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.chart.helm import ROOT
from tests.controlplane.binaries import find_kubectl
from tests.controlplane.plane import ControlPlane
from tests.controlplane.progress import StderrProgress
from tests.e2e.process import free_port
from tests.tools.binaries import tool

CHECKOUT = ("operator", "crds", "deploy", "charts", "pyproject.toml", "README.md", "LICENSE")


class Reader:
    """A shell with kubectl, helm and pip in a copy of what the project is installed from."""

    def __init__(self, plane: ControlPlane, folder: Path, namespace: str, words: Mapping[str, str]) -> None:
        self._folder = folder
        self._words = words
        self.checkout = folder / "setpoint"
        for name in CHECKOUT:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, self.checkout)
        self.health = f"127.0.0.1:{free_port()}"
        self.environment = {
            "PATH": f"{self._programs()}:{folder / 'venv' / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "KUBECONFIG": str(self._kubeconfig(plane, namespace)),
            # In a venv in which the locked dependencies are there already.
            **{f"PIP_{name}": "1" for name in ("NO_INDEX", "NO_DEPS", "DISABLE_PIP_VERSION_CHECK")},
            "PIP_NO_BUILD_ISOLATION": "0",
            # Of loopback only.
            "SETPOINT_HEALTH_ADDRESS": self.health,
            "SETPOINT_METRICS_ADDRESS": "",
            "SETPOINT_LEASE_NAMESPACE": namespace,
            "NO_COLOR": "1",
        }

    def types(self, line: str) -> str:
        """Run a line with their own words in place of the examples', and return what it said."""
        for word, own in self._words.items():
            line = re.sub(rf"\b{word}\b", own, line)
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", line],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def starts(self, line: str) -> "subprocess.Popen[bytes]":
        """Run a line that does not end by itself; what it says is in the file log."""
        with (self._folder / "log").open("wb") as log:
            return subprocess.Popen(
                ["/bin/bash", "-c", f"exec {line}"], cwd=self.checkout, env=self.environment, stdout=log, stderr=log
            )

    def _programs(self) -> Path:
        """Make a folder with the programs a reader is expected to have."""
        folder = self._folder / "bin"
        folder.mkdir()
        (folder / "kubectl").symlink_to(find_kubectl(StderrProgress()))
        (folder / "helm").symlink_to(tool("helm"))
        venv = self._folder / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
        pip = folder / "pip"
        pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{venv}/bin/python" "$@"\n')
        pip.chmod(0o755)
        return folder

    def _kubeconfig(self, plane: ControlPlane, namespace: str) -> Path:
        """Write a kubeconfig whose namespace is the reader's."""
        config = yaml.safe_load(plane.kubeconfig.read_text(encoding="utf-8"))
        for context in config["contexts"]:
            context["context"]["namespace"] = namespace
        file = self._folder / "kubeconfig"
        file.touch(0o600)
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return file
