"""Reads single keys of Secrets, when they are needed, and keeps them for at most a minute.

Only `get` is used, so that a Role can name the Secrets; nothing is listed or watched. Of what the API server answers only the
keys that are wanted are kept, and nothing that is larger than what is wanted can be. The values live in this cache and in the
clients that use them. They appear in no log, Event, status or exception text; neither do the names of a Secret's other keys.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from setpoint.cluster.api import KubeApi, RequestRefused
from setpoint.reconcile.ports import Clock, ConnectionNotFound, ResourceGone

LIFETIME = 60.0

LARGEST_CREDENTIAL = 64 * 1024
"""Bytes of a value that is sent in a header; most servers take no more than 16 KiB of these."""
LARGEST_BUNDLE = 512 * 1024
"""Bytes of a bundle of certificate authorities; all public ones together are less than half of it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a Secret: when it was read, for which keys (with the bytes each may have), and what they hold.

    A text instead of bytes says what is wrong with the value; a key that is not there has neither.
    """

    read: float
    wanted: Mapping[str, int]
    values: Mapping[str, bytes | str]


class Secrets:
    """Values of Secret keys by namespace, name and key.

    `also` are the other keys of the Secret, with the bytes that each may have, which whoever asks is going to ask for next:
    they are kept from the same answer of the API server.
    """

    def __init__(self, kube: KubeApi, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._known: dict[tuple[str, str], _Kept] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def forget_old(self) -> None:
        """Drop what has not been asked for since it grew old; to be called now and then."""
        self._known = {where: kept for where, kept in self._known.items() if self._is_young(kept)}

    async def value(
        self,
        namespace: str,
        name: str,
        key: str,
        *,
        also: Mapping[str, int] | None = None,
        not_older_than: float | None = None,
    ) -> str:
        """Return one key's value as text, without line breaks at its end (which editors and `echo` leave there).

        Raises as `content`, and ConnectionNotFound where the value is no text.
        """
        content = await self.content(
            namespace, name, key, at_most=LARGEST_CREDENTIAL, also=also, not_older_than=not_older_than
        )
        try:
            return content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise ConnectionNotFound(f"key {key} of Secret {namespace}/{name} is not text (UTF-8)") from None

    async def content(
        self,
        namespace: str,
        name: str,
        key: str,
        *,
        at_most: int = LARGEST_BUNDLE,
        also: Mapping[str, int] | None = None,
        not_older_than: float | None = None,
    ) -> bytes:
        """Return one key's value as it is.

        `not_older_than` is a monotonic time: what was read before it is read again.

        Raises:
            ConnectionNotFound: the Secret or the key is missing, may not be read, or is larger than `at_most` bytes.
            ClusterUnavailable: the API server could not tell.
        """
        wanted = dict(also or {})
        wanted[key] = max(at_most, wanted.get(key, 0))
        kept = await self._kept(namespace, name, key, wanted, not_older_than)
        value = kept.values.get(key)
        if value is None:
            # Somebody is about to add it, so the next try has to read the Secret again.
            self._known.pop((namespace, name), None)
            raise ConnectionNotFound(f"Secret {namespace}/{name} has no key {key}")
        if isinstance(value, bytes) and len(value) > at_most:
            value = _too_large(len(value), at_most)
        if isinstance(value, str):
            raise ConnectionNotFound(f"key {key} of Secret {namespace}/{name} {value}")
        return value

    async def _kept(
        self, namespace: str, name: str, key: str, wanted: Mapping[str, int], not_older_than: float | None
    ) -> _Kept:
        where = (namespace, name)
        async with self._locks.setdefault(where, asyncio.Lock()):
            known = self._known.pop(where, None)
            if known is not None and self._is_young(known):
                # What others want of the same Secret is kept from the same answer, too.
                wanted = {
                    other: max(known.wanted.get(other, 0), wanted.get(other, 0)) for other in {**known.wanted, **wanted}
                }
                is_new_enough = not_older_than is None or known.read >= not_older_than
                if is_new_enough and known.wanted.get(key, 0) >= wanted[key]:
                    self._known[where] = known
                    return known
            started = self._clock.monotonic()
            try:
                body = await self._kube.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
            except ResourceGone:
                raise ConnectionNotFound(f"Secret {namespace}/{name} does not exist") from None
            except RequestRefused as error:
                raise ConnectionNotFound(f"Secret {namespace}/{name} cannot be read: {error}") from None
            kept = self._known[where] = _Kept(started, wanted, _values(body.get("data") or {}, wanted))
            return kept

    def _is_young(self, kept: _Kept) -> bool:
        return kept.read >= self._clock.monotonic() - LIFETIME


def _values(data: Mapping[str, Any], wanted: Mapping[str, int]) -> dict[str, bytes | str]:
    """Return what a Secret holds of the keys that are wanted, or what is wrong with it."""
    return {key: _decoded(str(data[key]), at_most) for key, at_most in wanted.items() if data.get(key) is not None}


def _decoded(encoded: str, at_most: int) -> bytes | str:
    size = len(encoded) // 4 * 3 - encoded[-2:].count("=")
    if size > at_most:
        return _too_large(size, at_most)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return "is not base64"


def _too_large(size: int, at_most: int) -> str:
    return f"has {size} bytes, and no more than {at_most} are taken"
