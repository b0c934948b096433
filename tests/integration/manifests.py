"""Manifests of the kinds, and what the API server says of them."""

import copy
import json
from pathlib import Path
from typing import Any

from tests.controlplane.plane import ControlPlane

ROOT = Path(__file__).parents[2]
API = "setpoint.dev/v1alpha1"
Object = dict[str, Any]

MISSING = object()


def changed(spec: Object, path: str, value: Any) -> Object:
    """Return a spec with one value changed, or with MISSING taken away; the path has dots."""
    result = copy.deepcopy(spec)
    *parents, last = path.split(".")
    place: Any = result
    for name in parents:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return result


def manifest(kind: str, spec: Object, name: str = "case") -> Object:
    """Return a manifest of a kind."""
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def attempt(plane: ControlPlane, kind: str, spec: Object) -> tuple[bool, str, Object]:
    """Let the API server judge a manifest without keeping it; return verdict, message and the object."""
    document = json.dumps(manifest(kind, spec))
    done = plane.kubectl(
        "create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", stdin=document, check=False
    )
    return done.returncode == 0, done.stderr, json.loads(done.stdout) if done.returncode == 0 else {}
