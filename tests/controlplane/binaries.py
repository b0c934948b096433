"""Finds the programs of the control plane: where the user says, in the cache, or by building them."""

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.build import build, etcd, kubernetes
from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.progress import Progress

# The variable of controller-runtime's envtest, so that programs fetched for it serve here too.
ASSETS = "KUBEBUILDER_ASSETS"

REQUIRED = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Binaries:
    """The programs; `controller_manager` is None where a user's own set lacks it and it cannot be built."""

    folder: Path
    etcd: Path
    api_server: Path
    kubectl: Path
    controller_manager: Path | None


def cache_folder() -> Path:
    """The folder of the built programs, outside the tree and one per version and platform.

    The variable and its default are those of the XDG Base Directory Specification, which has relative paths ignored.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    machine = platform.machine().lower()
    target = f"{platform.system().lower()}-{ARCHITECTURES.get(machine, machine)}"
    return base / "setpoint" / "controlplane" / f"{kubernetes().version}-{etcd().version}-{target}"


def find_binaries(progress: Progress) -> Binaries:
    """Find or build all programs."""
    assets = os.environ.get(ASSETS)
    if not assets:
        folder = _cached([*REQUIRED, CONTROLLER_MANAGER], progress)
        return _binaries(folder, folder / CONTROLLER_MANAGER)
    folder = Path(assets).absolute()
    if missing := [name for name in REQUIRED if not (folder / name).exists()]:
        raise ControlPlaneError(f"{ASSETS} is {folder}, which lacks {', '.join(missing)}")
    return _binaries(folder, _controller_manager(folder, progress))


def find_kubectl(progress: Progress) -> Path:
    """Find or build a kubectl for a cluster that runs already; the first on PATH goes first."""
    if found := shutil.which("kubectl") or shutil.which("kubectl", path=os.environ.get(ASSETS, "")):
        return Path(found).absolute()
    return _cached(["kubectl"], progress) / "kubectl"


def _binaries(folder: Path, controller_manager: Path | None) -> Binaries:
    return Binaries(
        folder=folder,
        etcd=folder / "etcd",
        api_server=folder / "kube-apiserver",
        kubectl=folder / "kubectl",
        controller_manager=controller_manager,
    )


def _controller_manager(assets: Path, progress: Progress) -> Path | None:
    if (assets / CONTROLLER_MANAGER).exists():
        return assets / CONTROLLER_MANAGER
    try:
        return _cached([CONTROLLER_MANAGER], progress) / CONTROLLER_MANAGER
    except ControlPlaneError:
        progress(f"running without {CONTROLLER_MANAGER}: {ASSETS} lacks it and it cannot be built")
        return None


def _cached(names: Sequence[str], progress: Progress) -> Path:
    """The cache folder with the named programs in it."""
    folder = cache_folder()
    if all((folder / name).exists() for name in names):
        return folder
    try:
        build(names, folder, progress)
    except ControlPlaneError as error:
        reason, _, details = str(error).partition("\n")
        raise ControlPlaneError(
            f"{', '.join(names)} must be built, but {reason}: install Go, or set {ASSETS} to a folder with "
            f"{', '.join(REQUIRED)}, or set CLUSTER=current to use your kubeconfig's cluster, given a kubectl on PATH."
            + (f"\n{details}" if details else "")
        ) from error
    return folder
