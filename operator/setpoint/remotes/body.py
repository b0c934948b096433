"""The bytes of an answer: collected up to a bound, and unpacked where something on the way has packed them.

Every request asks for no compression, but there are proxies that compress unasked. A few kilobytes may be gigabytes when they
are unpacked, so the bound holds while they are: of no chunk is more made than still fits.
"""

import zlib
from typing import Protocol

_GZIP = zlib.MAX_WBITS | 16
_HEADLESS = -zlib.MAX_WBITS
_HEAD = 2
"""Bytes that tell the two forms of deflate apart: with the header of zlib (RFC 1950), as it should be, and without."""


class Body:
    """Takes in the chunks of one answer; `flaw` says in a few words what is wrong with it, None while nothing is.

    `encoding` is the answer's Content-Encoding, and `largest` how many bytes are taken, both as they come and unpacked.
    """

    def __init__(self, encoding: str, largest: int) -> None:
        self._largest = largest
        self._arrived = 0
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

    def take(self, chunk: bytes) -> bool:
        """Add what arrived; False where no more is of use."""
        self._arrived += len(chunk)
        if self.flaw is None:
            try:
                self._content += self._unpacked(chunk)
            except zlib.error:
                self.flaw = "a compressed body that cannot be unpacked"
            if max(self._arrived, len(self._content)) > self._largest:
                self.flaw = f"more than {self._largest >> 20} MiB"
        return self.flaw is None

    def end(self) -> bytes:
        """Return the content once all has arrived; empty where there is a flaw."""
        if self.flaw is None and self._unpacker is not None and self._arrived and not self._unpacker.eof:
            self.flaw = "a compressed body that ends too early"
        return b"" if self.flaw is not None else bytes(self._content)

    def _unpacked(self, chunk: bytes) -> bytes:
        if self._unpacker is None:
            return chunk
        # One byte more than fits is enough to know that it does not.
        return self._unpacker.decompress(chunk, self._largest - len(self._content) + 1)


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Deflate:
    """Unpacks either form of deflate."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: _Unpacker | None = None

    @property
    def eof(self) -> bool:
        return self._inner is not None and self._inner.eof

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
