"""Kubeconfig files, self-contained: certificates and keys are within, so a file can be copied and handed on."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.certs import Pair

NAME = "setpoint"


def cluster(server: str, ca: Path) -> dict[str, Any]:
    """A kubeconfig's cluster entry."""
    return {"server": server, "certificate-authority-data": _encoded(ca)}


def certificate_user(pair: Pair) -> dict[str, Any]:
    """A kubeconfig's user entry for somebody known by a client certificate."""
    return {"client-certificate-data": _encoded(pair.certificate), "client-key-data": _encoded(pair.key)}


def token_user(token: str) -> dict[str, Any]:
    """A kubeconfig's user entry for somebody known by a token."""
    return {"token": token}


def write(path: Path, *, cluster: Mapping[str, Any], user: Mapping[str, Any], namespace: str = "default") -> Path:
    """Write a kubeconfig with one cluster, one user and one context."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": dict(cluster)}],
        "users": [{"name": NAME, "user": dict(user)}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME, "namespace": namespace}}],
        "current-context": NAME,
    }
    return write_text(path, yaml.safe_dump(config, sort_keys=False))


def write_text(path: Path, content: str) -> Path:
    """Write a kubeconfig's text, readable by its owner only."""
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def current_cluster(path: Path) -> dict[str, Any]:
    """The cluster entry that a kubeconfig's current context names."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    context = _named(config["contexts"], config["current-context"])["context"]
    found: dict[str, Any] = _named(config["clusters"], context["cluster"])["cluster"]
    return found


def ca_data(entry: Mapping[str, Any]) -> bytes | None:
    """The authority's certificate that a cluster entry carries."""
    encoded = entry.get("certificate-authority-data")
    return None if encoded is None else base64.b64decode(encoded)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
