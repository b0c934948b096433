"""Reads single keys of Secrets, when they are needed, and keeps them for at most a minute.

Only `get` is used, so that a Role can name the Secrets; nothing is listed or watched. The values live in this cache and in
the clients that use them, and appear in no log, Event, status or exception text.
"""

import asyncio
import base64
import binascii
from typing import Any
from weakref import WeakValueDictionary

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.reconcile.ports import Clock, ConnectionNotFound, ResourceGone

LIFETIME = 60.0


class Secrets:
    """Values of Secret keys by namespace, name and key."""

    def __init__(self, kube: KubeApi, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def value(self, namespace: str, name: str, key: str, *, not_older_than: float | None = None) -> str:
        """Return one key's value as text, without line breaks at its end (which editors and `echo` leave there).

        Raises as `content`, and ConnectionNotFound where the value is no text.
        """
        content = await self.content(namespace, name, key, not_older_than=not_older_than)
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ConnectionNotFound(f"key {key} of Secret {namespace}/{name} is not text (UTF-8)") from None

    async def content(self, namespace: str, name: str, key: str, *, not_older_than: float | None = None) -> bytes:
        """Return one key's value as it is.

        `not_older_than` is a monotonic time: what was read before it is read again.

        Raises:
            ConnectionNotFound: the Secret or the key is missing, or may not be read.
            ClusterUnavailable: the API server could not tell.
        """
        data = await self._data(namespace, name, not_older_than)
        encoded = data.get(key)
        if encoded is None:
            # Somebody is about to add it, so the next try has to read the Secret again.
            self._known.pop((namespace, name), None)
            there = ", ".join(sorted(data)[:10]) or "none"
            raise ConnectionNotFound(f"Secret {namespace}/{name} has no key {key}; its keys: {there}")
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ConnectionNotFound(f"key {key} of Secret {namespace}/{name} is not base64") from None

    def _forget(self, where: tuple[str, str]) -> None:
        """Drop a Secret, and every other one that has not been asked for since it grew old."""
        self._known.pop(where, None)
        oldest = self._clock.monotonic() - LIFETIME
        for other in [other for other, (read, _) in self._known.items() if read < oldest]:
            del self._known[other]

    async def _data(self, namespace: str, name: str, not_older_than: float | None) -> dict[str, Any]:
        where = (namespace, name)
        oldest = self._clock.monotonic() - LIFETIME
        if not_older_than is not None:
            oldest = max(oldest, not_older_than)
        async with self._locks.setdefault(where, asyncio.Lock()):
            known = self._known.get(where)
            if known is not None and known[0] >= oldest:
                return known[1]
            self._forget(where)
            started = self._clock.monotonic()
            try:
                body = await self._kube.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            except ResourceGone:
                raise ConnectionNotFound(f"Secret {namespace}/{name} does not exist") from None
            except RequestRefused as error:
                raise ConnectionNotFound(f"Secret {namespace}/{name} cannot be read: {error}") from None
            data: dict[str, Any] = body.get("data") or {}
            self._known[where] = (started, data)
            return data
