"""The few requests the operator makes to the Kubernetes API server, besides kopf's watches.

`kubernetes.aio` waits five minutes for an answer unless told otherwise, so every request here carries a timeout, and every
failure becomes one of three: the thing is not there, the request is wrong, or the API server cannot tell now.
"""

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from setpoint import __version__
from setpoint.reconcile.ports import ClusterUnavailable, ResourceGone
from setpoint.resources import GROUP, VERSION, Resource
from setpoint.resources.common import clean_message

REQUEST_TIMEOUT = 15.0
PAGE = 500
DEFAULT_NAMESPACE = "default"
HTTP_PORT, HTTPS_PORT = 80, 443
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WHOLE = "application/json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


Count = Callable[[str, str], None]


class NoCluster(Exception):
    """There is neither a service account nor a kubeconfig."""


class RequestRefused(Exception):
    """The API server refused a request that it understood: the operator's rights or its version do not fit."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


async def connect(
    count: Count | None = None, *, context: str | None = None, agent: str = "setpoint", as_kubectl: bool = False
) -> "KubeApi":
    """Return an API client by the usual rules: the pod's service account, else the kubeconfig, or the context it names.

    `agent` names who owns the fields it writes (managedFields). `count` is told the method of every request and how it
    ended: a status, `timeout` or `unreachable`. `as_kubectl` takes proxies from the environment, which kopf's watches do not;
    the library looks for them, and into the user's netrc, anew for every request, each in a thread.

    Raises:
        NoCluster: there is neither.
    """
    configuration = client.Configuration(client_session_kwargs={"trust_env": as_kubectl})
    if context is None and _load_in_cluster(configuration):
        namespace = DEFAULT_NAMESPACE
        with contextlib.suppress(OSError):
            namespace = await asyncio.to_thread(OWN_NAMESPACE.read_text, encoding="utf-8")
    else:
        # The library reads the variable when it is imported, which is too early for whoever sets it later.
        file = os.environ.get("KUBECONFIG")
        try:
            await config.load_kube_config(  # type: ignore[no-untyped-call] # the client has no types
                config_file=file, context=context, client_configuration=configuration
            )
            namespace = _namespace_of_context(file, context)
        except (ConfigException, OSError) as error:
            raise NoCluster(f"no cluster to work on: {error}") from None
    # As `remotes.trust` has it: a cluster's own authority need not have all that Python 3.13 asks for.
    configuration.disable_strict_ssl_verification = bool(configuration.ssl_ca_cert or configuration.ca_cert_data)
    api_client = client.ApiClient(configuration)
    api_client.user_agent = f"{agent}/{__version__}"
    return KubeApi(api_client, namespace.strip(), count)


def _load_in_cluster(configuration: client.Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # as above
    except ConfigException:
        return False
    return True


def _namespace_of_context(file: str | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(file)  # type: ignore[no-untyped-call] # as above
    chosen = next((one for one in contexts if one["name"] == context), active)
    return chosen.get("context", {}).get("namespace") or DEFAULT_NAMESPACE


class KubeApi:
    """Reads and patches single objects; JSON objects in, JSON objects out."""

    def __init__(self, api_client: client.ApiClient, namespace: str, count: Count | None = None) -> None:
        self._client = api_client
        self._count = count or _uncounted
        self.namespace = namespace
        """The process's own namespace."""

    @property
    def host(self) -> str:
        """The API server's host name or address."""
        return urlsplit(self._client.configuration.host).hostname or ""

    @property
    def port(self) -> int:
        """The API server's port."""
        server = urlsplit(self._client.configuration.host)
        return server.port or (HTTP_PORT if server.scheme == "http" else HTTPS_PORT)

    @property
    def tls(self) -> ssl.SSLContext | None:
        """What its certificate is held against; None where it is held against nothing."""
        https = urlsplit(self._client.configuration.host).scheme == "https"
        return self._client.rest_client.ssl_context if https and self._client.configuration.verify_ssl else None

    @property
    def tls_name(self) -> str:
        """The name that its certificate has to have."""
        return self._client.configuration.tls_server_name or self.host

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call] # as above

    async def get(self, path: str) -> dict[str, Any]:
        """Return an object.

        Raises:
            ResourceGone: it is not there.
            ClusterUnavailable: the API server could not tell.
            RequestRefused: the API server refused to tell.
        """
        return await self._request("GET", path)

    async def json_patch(self, path: str, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """Apply a JSON patch (RFC 6902) and return the object as it then is; raises as `get`.

        A `test` operation that does not hold is a RequestRefused with status 422.
        """
        return await self._request("PATCH", path, body=operations, content_type="application/json-patch+json")

    async def replace(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Replace an object, as long as it is of the version in the body, and return it; raises as `get`."""
        return await self._request("PUT", path, body=body)

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it; raises as `get`."""
        return await self._request("POST", path, body=body)

    async def metadata(self, path: str, label_selector: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield the metadata of every object of a collection, page by page; raises as `get`."""
        async for item in self._items(path, label_selector, _METADATA_ONLY):
            yield item["metadata"]

    def objects(self, path: str, label_selector: str | None) -> AsyncIterator[dict[str, Any]]:
        """Yield every object of a collection, page by page; raises as `get`."""
        return self._items(path, label_selector, _WHOLE)

    async def _items(self, path: str, label_selector: str | None, accept: str) -> AsyncIterator[dict[str, Any]]:
        token = ""
        while True:
            query = [("limit", str(PAGE))]
            if token:
                query.append(("continue", token))
            if label_selector:
                query.append(("labelSelector", label_selector))
            page = await self._request("GET", path, query=query, accept=accept)
            # An empty collection has null for its items.
            for item in page.get("items") or ():
                yield item
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Mapping[str, Any] | list[dict[str, Any]] | None = None,
        content_type: str = _WHOLE,
        accept: str = _WHOLE,
    ) -> dict[str, Any]:
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                request = await self._client.param_serialize(
                    method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
                )
                response = await self._client.call_api(*request, _request_timeout=REQUEST_TIMEOUT)
                data = await response.read()  # type: ignore[no-untyped-call] # as above
        except TimeoutError:
            self._count(method, "timeout")
            raise ClusterUnavailable(f"the API server did not answer {method} {path} in time") from None
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            # The last one where the token's file is empty for a moment.
            self._count(method, "unreachable")
            raise ClusterUnavailable(f"the API server could not be reached: {error}") from None
        self._count(method, str(response.status))
        return _parsed(method, path, response.status, data)


def collection(model: type[Resource], namespace: str | None) -> str:
    """Return the path of all objects of a kind, in one namespace or in all."""
    where = f"/namespaces/{namespace}" if namespace and model.SCOPE == "Namespaced" else ""
    return f"/apis/{GROUP}/{VERSION}{where}/{model.PLURAL}"


def item(model: type[Resource], namespace: str, name: str) -> str:
    """Return the path of one object of a kind."""
    return f"{collection(model, namespace)}/{name}"


def _uncounted(method: str, code: str) -> None:
    """Let it pass."""


def _parsed(method: str, path: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data) if data else {}
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return body
    message = clean_message(str(body.get("message") or f"answered {status}"))
    if status == HTTPStatus.NOT_FOUND:
        raise ResourceGone(message)
    if status in {401, 408, 409, 429} or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ClusterUnavailable(f"{method} {path}: {message}")
    raise RequestRefused(status, f"{method} {path}: {message}")
