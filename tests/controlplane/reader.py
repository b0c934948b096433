"""Reads objects over a connection that is kept.

Tests ask again and again until something is so. A process of kubectl for each question takes more of the machine than the
operator under test.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from tests.controlplane.errors import ControlPlaneError

TIMEOUT = 60.0
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""One answer with all kinds there are, https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    base: str
    plural: str
    namespaced: bool

    def path(self, namespace: str | None) -> str:
        scope = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{self.base}{scope}/{self.plural}"


class Reader:
    """Gets objects by the names of kinds that kubectl takes: singular, plural, short, with or without the group."""

    def __init__(self, kubeconfig: Path) -> None:
        connected = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call] # it has no types
        self._client: client.ApiClient = connected
        self._kinds: dict[str, _Kind] = {}

    def get(self, kind: str, name: str, namespace: str | None) -> Object | None:
        """Return an object, None where there is none."""
        return self._read(f"{self._kind(kind).path(namespace)}/{name}")

    def items(self, kind: str, namespace: str | None) -> list[Object]:
        """Return all objects of a kind, those of one namespace where the kind has namespaces."""
        found = self._read(self._kind(kind).path(namespace))
        items: list[Object] = (found or {}).get("items") or []
        return items

    def text(self, path: str) -> str:
        """Return what the API server answers at a path."""
        status, data = self._answer(path, "*/*")
        if status != HTTPStatus.OK:
            raise ControlPlaneError(f"the API server answered {status} to {path}")
        return data.decode()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call] # as above

    def _kind(self, name: str) -> _Kind:
        if name not in self._kinds:
            self._kinds = dict(reversed([*self._discovered()]))
        if name not in self._kinds:
            raise ControlPlaneError(f"the server has no kind {name!r}")
        return self._kinds[name]

    def _discovered(self) -> Iterator[tuple[str, _Kind]]:
        """Yield every kind under each of its names; of several with one name the first one is meant."""
        for root in ("/api", "/apis"):
            for group in (self._read(root, DISCOVERY) or {}).get("items", []):
                named = group["metadata"].get("name", "")
                for version in group["versions"]:
                    base = f"{root}/{named}/{version['version']}" if named else f"{root}/{version['version']}"
                    for one in version["resources"]:
                        kind = _Kind(base, one["resource"], one["scope"] == "Namespaced")
                        names = {one["resource"], one.get("singularResource") or "", *one.get("shortNames", ())} - {""}
                        for name in names:
                            yield name, kind
                            yield f"{name}.{named}", kind

    def _read(self, path: str, accept: str = "application/json") -> Object | None:
        status, data = self._answer(path, accept)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status != HTTPStatus.OK:
            raise ControlPlaneError(f"the API server answered {status} to {path}: {data.decode()[:500]}")
        found: Object = json.loads(data)
        return found

    def _answer(self, path: str, accept: str) -> tuple[int, bytes]:
        request = self._client.param_serialize(
            "GET", path, header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )
        try:
            response = self._client.call_api(*request, _request_timeout=TIMEOUT)
            data: bytes = response.read()  # type: ignore[no-untyped-call] # as above
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ControlPlaneError(f"the API server could not be asked for {path}: {error}") from None
        return response.status, data
