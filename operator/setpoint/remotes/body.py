"""The bytes of an answer: collected up to a bound, and unpacked where something on the way has packed them.

Every request asks for no compression, but there are proxies that compress unasked. A few kilobytes may be gigabytes when they
are unpacked, so a chunk is unpacked a little at a time, and whoever reads the answer may pause in between.

A chunk costs the same whatever its size, so there is a bound for their number, too.
"""

import zlib
from typing import Protocol

_GZIP = zlib.MAX_WBITS | 16
_HEADLESS = -zlib.MAX_WBITS
_AT_ONCE = 64 * 1024
"""Bytes that are unpacked at once."""

_SPARE_CHUNKS = 1024
_SMALLEST_CHUNK = 128
"""Bytes a chunk has on an average, at least, where there are many."""

_HEAD = 2
"""Bytes that tell the two forms of deflate apart: with the header of zlib (RFC 1950), as it should be, and without."""


class Body:
    """Takes in the chunks of one answer; `flaw` says in a few words what is wrong with it, None while nothing is.

    `encoding` is the answer's Content-Encoding, and `largest` how many bytes are taken, both as they come and unpacked.
    """

    def __init__(self, encoding: str, largest: int) -> None:
        self._largest = largest
        self._chunks = 0
        self._arrived = 0
        self._left = b""
        self._has_more = False
        self._content = bytearray()
        self._unpacker: _Unpacker | None = None
        self.flaw: str | None = None
        match encoding.strip().lower():
            case "" | "identity":
                pass
            case "gzip" | "x-gzip":
                self._unpacker = zlib.decompressobj(_GZIP)
            case "deflate":
                self._unpacker = _Deflate()
            case other:
                self.flaw = f"a body packed as {other[:32]}, which was not asked for"

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return len(self._content)

    def take(self, chunk: bytes) -> None:
        """Add what arrived; `unpack` is to be called until it has nothing left."""
        self._chunks += 1
        self._arrived += len(chunk)
        self._left = chunk
        self._has_more = True
        if self.flaw is None and self._chunks > _SPARE_CHUNKS + self._arrived // _SMALLEST_CHUNK:
            self.flaw = "a body in chunks of a few bytes each"

    def unpack(self) -> bool:
        """Add a little of what was taken to the content; False where there is nothing left, or no more is of use."""
        if self.flaw is None:
            try:
                self._content += self._unpacked()
            except zlib.error:
                self.flaw = "a compressed body that cannot be unpacked"
            if max(self._arrived, len(self._content)) > self._largest:
                self.flaw = f"more than {_size(self._largest)}"
        if self.flaw is not None:
            self._content.clear()
            self._has_more = False
        return self._has_more

    def end(self) -> bytearray:
        """Return the content once all has arrived; empty where there is a flaw."""
        if self.flaw is None and self._unpacker is not None and self._arrived and not self._unpacker.eof:
            self.flaw = "a compressed body that ends too early"
            self._content.clear()
        return self._content

    def _unpacked(self) -> bytes:
        if self._unpacker is None:
            self._has_more = False
            return self._left
        content = self._unpacker.decompress(self._left, _AT_ONCE)
        self._left = self._unpacker.unconsumed_tail
        self._has_more = len(content) == _AT_ONCE
        return content


def _size(number: int) -> str:
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Deflate:
    """Unpacks either form of deflate."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: _Unpacker | None = None

    @property
    def eof(self) -> bool:
        return self._inner is not None and self._inner.eof

    @property
    def unconsumed_tail(self) -> bytes:
        return b"" if self._inner is None else self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        if self._inner is None:
            self._head += data
            if len(self._head) < _HEAD:
                return b""
            # By RFC 1950, the first two bytes are a multiple of 31, and the first one's lower half is 8.
            with_header = self._head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(self._head[:_HEAD]) % 31 == 0
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if with_header else _HEADLESS)
            data = self._head
        return self._inner.decompress(data, max_length)
