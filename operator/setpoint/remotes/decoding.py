"""JSON of any size, read in slices between which the event loop has a turn.

`json.loads` reads 16 MiB in one go of several hundred milliseconds, in which nothing else in the process happens, and a thread
would not help: it holds the interpreter's lock all the while. So of a large body only the outer lists and objects are walked
here. What fits a slice is read by the very scanner that `json.loads` uses, so that both say the same of the same bytes.

The bounds hold while a body is read: how many lists and objects there may be in it, how many values, and how many of them in
one list or object. They bound the memory: a byte of a body may be as much as thirty in memory.
"""

import codecs
import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]
"""Work in short steps: wherever it yields, others may have a turn. It returns its result."""

SLICE = 32 * 1024
"""Bytes that are read in one go; also how long a single text in a large body may be."""

DEEPEST = 32
"""Levels of lists and objects that may each be larger than a slice; within a slice it is the interpreter that has a bound."""

_ITEMS_PER_STEP = 256
_BLANKS = re.compile(r"[ \t\n\r]+")
_SCAN = json.JSONDecoder().raw_decode
IN_ONE_GO = 2 * SLICE
"""Bytes up to which a body is read without a pause; measured with the worst of them: 10 ms."""

_REST = 3
"""Characters after which a number may still go on: of `1e+5` a slice may end with `1e+`, which reads as 1 and a rest."""


class UnreadableError(ValueError):
    """A body is not the JSON it should be."""


class ExceedsBoundError(ValueError):
    """A body is more than is read; `str()` says of what, in words that go after "answered 200 with"."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a body may hold, beside its bytes."""

    containers: int
    """Lists and objects in all."""
    values: int
    """Values in lists and objects in all."""
    items: int
    """Values in one list or object."""

    @classmethod
    def of(cls, size: int) -> "Bounds":
        """Return the bounds for bodies of up to so many bytes: several times what an API's items need."""
        return cls(containers=size // 128, values=size // 16, items=size // 1024)


def decode(
    body: bytes | bytearray, bounds: Bounds, seen: Callable[[str], None] | None = None, size: int = SLICE
) -> Steps[Any]:
    """Return the JSON value of a body.

    `seen` is shown the text of every slice: each text of the body is in one of them as a whole. `size` is the bytes of a slice.

    Raises:
        UnreadableError: it is no JSON, or nested too deeply to be read.
        ExceedsBoundError: it holds more than the bounds say.
    """
    try:
        encoding = json.detect_encoding(body)
        if len(body) <= IN_ONE_GO and size == SLICE:
            text = body.decode(encoding, "surrogatepass")
            if seen is not None:
                seen(text)
            return json.loads(text)
        if encoding not in {"utf-8", "utf-8-sig"}:
            body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
        return (yield from _Reader(body, bounds, seen, size).document())
    except ExceedsBoundError:
        raise
    except (ValueError, RecursionError):
        raise UnreadableError from None


class _Reader:
    """Walks one body; `_text` is the slice at hand, and `_at` the place in it up to which it was read."""

    def __init__(self, body: bytes | bytearray, bounds: Bounds, seen: Callable[[str], None] | None, size: int) -> None:
        self._size = size
        self._body = body
        self._bounds = bounds
        self._seen = seen
        self._start = len(codecs.BOM_UTF8) if body.startswith(codecs.BOM_UTF8) else 0
        self._counted = self._start
        self._containers = 0
        self._values = 0
        self._steps = 0
        self._text = ""
        self._at = 0
        self._is_last = False
        self._load()

    def document(self) -> Steps[Any]:
        value = yield from self._value(0)
        if (yield from self._next()):
            raise UnreadableError
        return value

    def _value(self, depth: int) -> Steps[Any]:
        yield from self._next()
        while True:
            try:
                value, end = _SCAN(self._text, self._at)
            except ValueError:
                if self._is_last:
                    raise UnreadableError from None
                end = len(self._text)
            if end < len(self._text) - _REST or self._is_last:
                self._at = end
                return value
            if not self._at:
                return (yield from self._larger_than_a_slice(depth))
            self._load()
            yield

    def _larger_than_a_slice(self, depth: int) -> Steps[Any]:
        if depth == DEEPEST:
            raise ExceedsBoundError(f"more than {DEEPEST} levels of long lists in it")
        match self._text[0]:
            case "[":
                return (yield from self._list(depth))
            case "{":
                return (yield from self._object(depth))
            case sign if sign in '"-0123456789':
                what = "text" if sign == '"' else "number"
                raise ExceedsBoundError(f"a {what} of more than {self._size >> 10} KiB in it")
            case _:
                raise UnreadableError

    def _list(self, depth: int) -> Steps[list[Any]]:
        found: list[Any] = []
        self._at += 1
        if (yield from self._next()) == "]":
            self._at += 1
            return found
        while True:
            found.append((yield from self._value(depth + 1)))
            if (yield from self._is_over("]", len(found))):
                return found

    def _object(self, depth: int) -> Steps[dict[str, Any]]:
        found: dict[str, Any] = {}
        count = 0
        self._at += 1
        if (yield from self._next()) == "}":
            self._at += 1
            return found
        while True:
            if (yield from self._next()) != '"':
                raise UnreadableError
            key = yield from self._value(depth + 1)
            if (yield from self._next()) != ":":
                raise UnreadableError
            self._at += 1
            found[key] = yield from self._value(depth + 1)
            count += 1
            if (yield from self._is_over("}", count)):
                return found

    def _is_over(self, end: str, count: int) -> Steps[bool]:
        """Read the comma after an item, or the end of its list or object; tell which."""
        if count > self._bounds.items:
            raise ExceedsBoundError(f"more than {self._bounds.items} items in one list")
        self._steps += 1
        if self._steps % _ITEMS_PER_STEP == 0:
            yield
        char = yield from self._next()
        if char not in {end, ","}:
            raise UnreadableError
        self._at += 1
        return char == end

    def _next(self) -> Steps[str]:
        """Return the next character that is no blank; empty at the end of the body."""
        while True:
            if (blanks := _BLANKS.match(self._text, self._at)) is not None:
                self._at = blanks.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_last:
                return ""
            self._load()
            yield

    def _load(self) -> None:
        """Take the slice that begins where the last one was read up to."""
        self._start += len(self._text[: self._at].encode("utf-8", "surrogatepass"))
        stop = min(self._start + self._size, len(self._body))
        self._is_last = stop == len(self._body)
        decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        self._text = decoder.decode(self._body[self._start : stop], self._is_last)
        self._at = 0
        self._count(stop)
        if self._seen is not None:
            self._seen(self._text)

    def _count(self, stop: int) -> None:
        """Count what is new in the slice; signs within texts are counted as well, for which there is room enough."""
        begin, self._counted = self._counted, max(stop, self._counted)
        self._containers += self._body.count(b"{", begin, stop) + self._body.count(b"[", begin, stop)
        self._values += self._body.count(b",", begin, stop)
        if self._containers > self._bounds.containers:
            raise ExceedsBoundError(f"more than {self._bounds.containers} lists and objects in it")
        if self._values > self._bounds.values:
            raise ExceedsBoundError(f"more than {self._bounds.values} values in it")
