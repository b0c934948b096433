"""Answers as no API should give them: valid ones with something else in one place, and such as are none at all."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import httpx
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.remote import response
from tests.fuzz.specs import anything
from tests.fuzz.stage import SECRET
from tests.simulators.api import Reply

MARK = "m4rk-0f-wh4t-n0b0dy-4sk3d-f0r"
"""Stands where nothing of a body is meant to be shown."""

_DEEP = {"@deep@": 200, "@deeper@": 900, "@deepest@": 100_000}

MANY = 10_000
_MANY = {
    "@many@": "[" + ",".join(['{"id":"a","name":"a","model_name":"a"}'] * MANY) + "]",
    "@wide@": "{" + ",".join(f'"k{number}":{number}' for number in range(MANY)) + "}",
    "@long@": '"' + "x" * 50 * MANY + '"',
    "@empty@": "[" + ",".join(["{}"] * MANY) + "]",
    "@windows@": "[" + ",".join(f'{{"max_limit":1,"reset_duration":"{number}h"}}' for number in range(1, MANY)) + "]",
}
"""Values that are far larger than any that is meant."""

_LISTS = ("models", "chains", "teams", "deployments", "environments", "chainlet_settings", "model_configs")
LARGE: dict[str, Callable[[], bytes]] = {
    "equal things": lambda: _lists('{"id":"a","name":"a","model_name":"a","chainlet_name":"a"}', MANY),
    "different things": lambda: _lists(*(_thing(number) for number in range(MANY))),
    "things of nothing": lambda: _lists("{}", 10 * MANY),
    "things whose names are as long as a page": lambda: _lists(f'{{"id":"a","name":"{"n" * 5000}"}}', 200),
    "more than is read": lambda: b"[" + b" " * (17 << 20),
    "a number of a million digits": lambda: b'{"model_configs": ' + b"9" * 1_000_000 + b"}",
    "names of a million letters": lambda: b'{"' + b"k" * 1_000_000 + b'": []}',
}
"""Bodies that are far larger than any that is meant, by a name that a failure can show."""

_NOT_READ = frozenset(
    (
        *("zz", "created_at", "updated_at", "config_hash", "instance_type", "instance_type_name", "promotion_settings"),
        *(
            "current_deployment",
            "labels",
            "team_name",
            "deployments_count",
            "active_replica_count",
            "model_id",
            "chain_id",
        ),
    )
)
"""Places whose change would show nothing: what the operator does not look at."""

_SAID = frozenset({"message", "error", "detail", "details", "errors"})
"""Fields of an error that are shown whatever is in them, with the names of what they are about."""

How = Literal["put", "drop", "twice", "within"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one place of an answer's JSON."""

    where: int
    how: How
    value: Any

    def applied(self, body: Any, shift: int) -> Any:
        """Return the body with the change; `where` says at which field, and then at which of those of that name.

        `shift` moves it on, since hypothesis likes to draw the same again.
        """
        where = self.where + shift
        places: dict[str, list[tuple[str | int, ...]]] = {}
        for place in _places(body):
            name = next((part for part in reversed(place) if isinstance(part, str)), "")
            places.setdefault(name, []).append(place)
        same = list(places.values())[where % len(places)]
        path = same[where // len(places) % len(same)]
        change = replace(self, value=unmarked(self.value)) if _SAID.intersection(path) else self
        return change._at(body, path)

    def _at(self, value: Any, path: tuple[str | int, ...]) -> Any:
        if not path:
            return self.value if self.how == "put" else {"note": MARK} if self.how == "drop" else [value, value]
        copy: Any = dict(value) if isinstance(value, dict) else list(value)
        [name, *rest] = path
        if rest:
            copy[name] = self._at(copy[name], tuple(rest))
        elif self.how == "put":
            copy[name] = self.value
        elif self.how == "within":
            copy[name] = [copy[name]]
        elif self.how == "drop":
            del copy[name]
        elif isinstance(copy, list) and isinstance(name, int):
            copy.insert(name, copy[name])
        else:
            copy[f"{name}_"] = copy[name]
        return copy


@dataclass(frozen=True, slots=True)
class Garbled:
    """What becomes of one answer."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    body: bytes | None = None
    """Instead of the answer's own."""
    cut: float | None = None
    """Part of the body that is left."""
    broken: type[httpx.TransportError] | None = None
    large: str | None = None
    """Which of `LARGE` there is instead of the answer's own body."""
    pieces: int | None = None
    """Bytes that come at a time."""

    def answer(self, reply: Reply, shift: int) -> httpx.Response:
        """Return the answer, or raise what the transport would."""
        if self.broken is not None:
            raise self.broken("it broke")
        body = marked(reply.body)
        for number, change in enumerate(self.changes):
            body = change.applied(body, shift + 11 * number)
        sent = encoded(body) if self.body is None else self.body
        if self.large is not None:
            sent = LARGE[self.large]()
        if self.cut is not None:
            sent = sent[: int(len(sent) * self.cut)]
        return response(self.status or reply.status, sent, {**reply.headers, **self.headers}, self.pieces)


def marked(body: Any) -> Any:
    """Return a body with a field in every object that nobody has asked for."""
    match body:
        case dict():
            return {**{name: marked(value) for name, value in body.items()}, "zz": MARK}
        case list():
            return [marked(value) for value in body]
        case _:
            return body


def unmarked(value: Any) -> Any:
    """Return a value as it may stand where everything is meant to be shown."""
    match value:
        case str():
            return value.replace(MARK, "words")
        case dict():
            return {unmarked(name): unmarked(one) for name, one in value.items()}
        case list():
            return [unmarked(one) for one in value]
        case _:
            return value


def encoded(body: Any) -> bytes:
    """Return the JSON of a body, with what Python's own encoder cannot write."""
    text = json.dumps(body)
    for name, depth in _DEEP.items():
        text = text.replace(f'"{name}"', "[" * depth + "]" * depth)
    for name, value in _MANY.items():
        text = text.replace(f'"{name}"', value)
    return text.replace('"@huge@"', "9" * 5000).encode()


def _thing(number: int) -> str:
    return f'{{"id":"i{number}","name":"n{number}","model_name":"n{number}","chainlet_name":"n{number}"}}'


def _lists(*items: Any) -> bytes:
    """Return a body with a list under each name that is asked for; a number at the end repeats the one item."""
    *things, last = items
    listed = "[" + ",".join(things * last if isinstance(last, int) else items) + "]"
    return ("{" + ",".join(f'"{name}":{listed}' for name in _LISTS) + "}").encode()


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inside:
        if name not in _NOT_READ:
            yield from _places(one, (*path, name))


values: SearchStrategy[Any] = st.one_of(
    anything,
    st.sampled_from([*_MANY]),
    st.sampled_from([*_DEEP, "@huge@", float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e308, -1]),
    st.sampled_from(
        ["\ud800", "a\x00b\x1b[31m\u2028", "x" * 5000, "-", "24h", "0s", "1" * 300 + "d", "ACTIVE", "QUEUED"]
    ),
    st.sampled_from([SECRET, f"a {SECRET} b", {"message": f"no {SECRET}"}, [SECRET], {SECRET: SECRET}]),
    st.sampled_from([{"note": MARK}, [{"note": MARK}], {MARK: 1}, {"id": {"note": MARK}, "name": [{"note": MARK}]}]),
)

errors: SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {"trace": st.just(MARK)},
        optional={
            "message": values.map(unmarked),
            "error": st.sampled_from(
                ["out of order", {"message": f"\x07 {SECRET} " + "long " * 1000, "type": MARK}, None]
            ),
            "detail": st.sampled_from([[{"msg": "wrong", "loc": [MARK], "input": MARK}], f"{SECRET}", [[["deep"]]]]),
            "retry_after": st.sampled_from([0, -1, 3, 37.5, 1e300, 10**400, float("nan"), "soon", None, True, [1]]),
        },
    ),
    values,
)

_moments = st.sampled_from(
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Sat, 01 Jan 0001 00:00:00 +2359",
        "0",
        ", , ,",
        "1 2",
    ]
)
_header_texts = _moments | st.sampled_from(
    [
        "",
        "-1",
        "1",
        "59",
        "1e309",
        "nan",
        "0x10",
        "3600000",
        "soon",
        " ",
        "\xff",
        SECRET,
        "٣".encode().decode("latin-1"),
    ]
)
headers: SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": _header_texts | st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=30),
        "date": _moments | st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=30),
        "content-type": st.sampled_from(["text/html", f"text/{SECRET}", "\x1b[31m", "application/json; " + "x" * 3000]),
        "location": st.just(f"https://elsewhere/{SECRET}"),
        "x-trace": st.just(MARK),
    },
)
statuses = st.sampled_from(
    [
        200,
        201,
        204,
        206,
        299,
        301,
        304,
        307,
        400,
        401,
        402,
        403,
        404,
        405,
        408,
        409,
        410,
        418,
        422,
        425,
        429,
        451,
        500,
        502,
        503,
        599,
    ]
)
places = st.integers(0, 150)
changes = st.builds(Change, places, st.sampled_from(["put", "put", "put", "drop", "twice", "within"]), values)
bodies = st.one_of(
    st.sampled_from(
        [
            b"",
            b"null",
            b"{",
            b"<html><body>502</body></html>",
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b'"\\ud800"',
            b"[" * 100_000,
        ]
    ),
    st.sampled_from([b'{"status": "ACCEPTED", "status": 7}', b"NaN", b"-", b'{"a":1}{"a":2}', b"9" * 5000]),
    st.binary(max_size=20),
    values.map(encoded),
)
transport_errors = st.sampled_from(
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.PoolTimeout,
    ]
)

garbled: SearchStrategy[Garbled] = st.one_of(
    st.just(Garbled()),
    st.builds(Garbled, changes=st.tuples(changes)),
    st.builds(Garbled, changes=st.tuples(changes, changes)),
    st.builds(Garbled, changes=st.tuples(changes, changes)),
    st.builds(Garbled, changes=st.lists(changes, min_size=3, max_size=6).map(tuple)),
    st.builds(Garbled, changes=st.lists(changes, min_size=3, max_size=6).map(tuple)),
    st.builds(Garbled, status=statuses, headers=headers, body=errors.map(encoded)),
    st.builds(Garbled, status=statuses, headers=headers),
    st.builds(Garbled, body=bodies, headers=headers),
    st.builds(Garbled, cut=st.floats(0, 1)),
    st.builds(Garbled, broken=transport_errors),
    st.builds(Garbled, large=st.sampled_from([*LARGE]), pieces=st.sampled_from([None, 1 << 16])),
    st.builds(Garbled, pieces=st.sampled_from([1, 7])),
)
