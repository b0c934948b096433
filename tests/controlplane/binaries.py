"""Finds the programs of the control plane: where the user says, in the cache, or by building them."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.progress import Progress
from tests.gobuild import Recipe, build, cache, pinned, target

HERE = Path(__file__).parent
ETCD = "go.etcd.io/etcd/server/v3"
KUBERNETES = "k8s.io/kubernetes"

# The variable of controller-runtime's envtest, so that programs fetched for it serve here too.
ASSETS = "KUBEBUILDER_ASSETS"

REQUIRED = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"


@dataclass(frozen=True)
class Binaries:
    """The programs; `controller_manager` is None where a user's own set lacks it and it cannot be built."""

    folder: Path
    etcd: Path
    api_server: Path
    kubectl: Path
    controller_manager: Path | None


def etcd_version() -> str:
    """The version of the pinned etcd."""
    return pinned(HERE / "etcd", ETCD)


def kubernetes_version() -> str:
    """The version of the pinned Kubernetes."""
    return pinned(HERE / "kubernetes", KUBERNETES)


def cache_folder() -> Path:
    """The folder of the built programs, one per version and platform."""
    return cache("controlplane", f"{kubernetes_version()}-{etcd_version()}-{target()}")


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
        recipes = {name: _recipe(name) for name in names}
        build(recipes, folder, progress, aim="building a control plane once, about 5 minutes")
    except ControlPlaneError as error:
        reason, _, details = str(error).partition("\n")
        raise ControlPlaneError(
            f"{', '.join(names)} must be built, but {reason}: install Go, or set {ASSETS} to a folder with "
            f"{', '.join(REQUIRED)}, or set CLUSTER=current to use your kubeconfig's cluster, given a kubectl on PATH."
            + (f"\n{details}" if details else "")
        ) from error
    return folder


def _recipe(name: str) -> Recipe:
    if name == "etcd":
        return Recipe(HERE / "etcd", [ETCD])
    version = kubernetes_version()
    # Without these a Kubernetes built by go build says that it is v0.0.0, which clients compare with.
    major, minor, _ = version.removeprefix("v").split(".", maxsplit=2)
    told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X k8s.io/component-base/version.{key}={value}" for key, value in told.items()]
    return Recipe(HERE / "kubernetes", ["-ldflags", " ".join(["-s", "-w", *stamps]), f"{KUBERNETES}/cmd/{name}"])
