"""The steps of the Dockerfile: wheels, an installation without an index, and the operator in a read-only jail."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from setpoint import __version__
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import install_chart
from tests.e2e.process import OperatorProcess
from tests.e2e.stage import Stage
from tests.simulators.process import BasetenSimulator

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"
JAIL = Path(__file__).parent / "jail.sh"
STRANGER = 54321
"""A user nobody knows."""


@dataclass(frozen=True)
class Built:
    """What the scripts of the image made."""

    wheels: Path
    prefix: Path

    @property
    def wheel(self) -> Path:
        """Setpoint's own wheel."""
        (wheel,) = self.wheels.glob("setpoint-*.whl")
        return wheel


def script(name: str, *args: str | Path) -> None:
    """Run a script of the image with this Python and nothing of this environment."""
    environment = {
        "PATH": f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "SOURCE_DATE_EPOCH": "0",
    }
    environment |= {
        name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")
    }
    command = [str(IMAGE / name), *(str(each) for each in args)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    """Everything built once, in a place that any user may read."""
    with tempfile.TemporaryDirectory(prefix="setpoint-image-") as folder:
        Path(folder).chmod(0o755)
        made = Built(Path(folder) / "wheels", Path(folder) / "opt")
        script("build.sh", ROOT, made.wheels)
        script("install.sh", ROOT, made.wheels, made.prefix)
        yield made


def test_hadolint_finds_nothing_to_complain_of() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(program), str(IMAGE / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_runs_these_scripts_and_ends_as_a_numeric_user_without_a_compiler() -> None:
    text = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"deploy/image/(\w+\.sh)", text) == ["build.sh", "install.sh"]
    assert "RUN" not in last
    assert re.search(r"^USER 65532:65532$", last, flags=re.MULTILINE)
    assert [line for line in text.splitlines() if line.startswith("FROM")] == [
        "FROM python:${PYTHON} AS build",
        "FROM python:${PYTHON}",
    ]
    ignored = (IMAGE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {word for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, flags=re.MULTILINE) for word in line.split()}
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied


def test_the_wheel_holds_the_package_alone_and_is_the_same_each_time(built: Built, tmp_path: Path) -> None:
    with ZipFile(built.wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"setpoint", f"setpoint-{__version__}.dist-info"}
    script("build.sh", ROOT, tmp_path)
    again = next(tmp_path.glob("setpoint-*.whl"))
    assert sha256(again.read_bytes()).digest() == sha256(built.wheel.read_bytes()).digest()


def test_the_installation_has_what_is_locked_and_no_more(built: Built) -> None:
    locked = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / "runtime.txt").read_text(), flags=re.MULTILINE)
    listing = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
    done = subprocess.run(
        [str(built.prefix / "bin" / "python"), "-c", listing], capture_output=True, text=True, check=True
    )
    there = {_normal(line) for line in done.stdout.split()}
    assert there - {_normal(f"{name}=={version}") for name, version in locked} == {f"setpoint=={__version__}"}
    assert not (built.prefix / "bin" / "pip").exists()


def _normal(requirement: str) -> str:
    name, _, version = requirement.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


@pytest.mark.cluster
def test_the_operator_runs_on_a_read_only_file_system_as_a_user_nobody_knows(
    built: Built, controlplane: ControlPlane, baseten: BasetenSimulator, namespace: str
) -> None:
    # Only root may become somebody else; others stay who they are, as root of a user namespace.
    root = os.geteuid() == 0
    way = ["env", f"JAIL_USER={STRANGER}", "unshare"] if root else ["unshare", "--user", "--map-root-user"]
    installation = install_chart(controlplane, {})

    def jail(account: Path) -> list[str]:
        return [*way, "--mount", str(JAIL), sys.base_prefix, str(account), str(built.prefix / "bin" / "setpoint")]

    stage = Stage(controlplane, namespace, baseten)
    stage.open()
    with OperatorProcess.start(controlplane, installation=installation, jail=jail) as operator:
        stage.das("free", {"modelId": "m-greeter", "deployment": "d-free"}, {"maxReplica": 3})
        stage.until("das", "free", "Synced")
        status = Path(f"/proc/{operator.pid}/status").read_text(encoding="ascii")
        who = STRANGER if root else os.geteuid()
        assert re.search(rf"^Uid:\s+{who}\s+{who}\s+{who}\s+{who}$", status, flags=re.MULTILINE)
        assert operator.probe("/metrics")[0] == 200
        assert operator.stop() == 0
    stage.plane.delete_all("deploymentautoscalings", namespace)
