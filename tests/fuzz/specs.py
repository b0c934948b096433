"""Specs that a CRD allows, with values at the ends of their ranges, and specs with something wrong in one place."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import chain, combinations
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from setpoint.resources import Managed
from tests.fuzz.schema import MATCHES, Schema, allows, holds, kept, spec_schema

LARGEST = 2**63 - 1
ODD_NAMES = (
    "*",
    ".",
    "..",
    "a/b",
    "ж",
    "名前",
    "🦙",
    "e\u0301",
    "\u202eabc",
    "a\nb",
    "\x7f",
    "%2e%2e",
    "x" * 253,
    " ",
    "null",
)
INTERVALS = ("30s", "5m", "24h", "1h30m", "90s", "1440m", "86400s", "0h0m30s", "000000000000030s", "1m1m1m")

_ENDING = re.compile(r"^!has\(self\.(\w+)\) \|\| self\.(\w+)\.endsWith\('(\w)'\)$")
"""A rule by which one field, where it is given, wants another one to end with a letter."""

WINDOWS = ("1s", "90m", "24h", "1d", "1w", "1M", "12M", "1Y", "292Y", "106751d", "9223372036s")
QUARTERS = ("1Q", "4Q", "1186Q")

Spec = dict[str, Any]

# Of what nobody has assigned yet, or only for himself, one library knows more than the other.
_CHARACTERS = st.characters(exclude_categories=["Cs", "Cn", "Co"])
_VISIBLE = st.characters(exclude_categories=["C", "Z"])

texts = st.text(_CHARACTERS, max_size=20)
scalars: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, LARGEST, LARGEST + 1, -(2**63) - 1, 10**30, 0.5, 3.0, -0.0, 1e300, 5e-324]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "0", "None", "5", "1M", "production"]),
    texts,
)
anything = st.recursive(
    scalars, lambda some: st.lists(some, max_size=3) | st.dictionaries(texts, some, max_size=3), max_leaves=6
)


def allowed(model: type[Managed]) -> SearchStrategy[Spec]:
    """Return specs of a kind that its CRD allows."""
    schema = spec_schema(model)
    return _allowed(schema).filter(lambda spec: allows(schema, kept(schema, spec)))


def spoiled(model: type[Managed]) -> SearchStrategy[Spec]:
    """Return specs with something else in one place, which may be right all the same."""
    return st.builds(_spoil, allowed(model), st.integers(0, 10**6), st.sampled_from(("put", "drop", "add")), anything)


def _allowed(schema: Schema) -> SearchStrategy[Any]:
    strategy = _of_type(schema)
    rules = [entry["rule"] for entry in schema.get("x-kubernetes-validations", ())]
    if rules:
        strategy = strategy.filter(lambda value: all(holds(rule, kept(schema, value)) for rule in rules))
    return st.none() | strategy if schema.get("nullable") else strategy


def _of_type(schema: Schema) -> SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return _objects(schema)
        case "array":
            return _arrays(schema)
        case "string":
            return _strings(schema)
        case "boolean":
            return st.booleans()
        case "number":
            return st.sampled_from([0.01, 1, 10.5, 150, 1e6, 5e-324, 1e308, LARGEST, 0.1 + 0.2])
        case _:
            least, most = schema.get("minimum", -LARGEST - 1), schema.get("maximum", LARGEST)
            return st.sampled_from([least, most]) | st.integers(least, min(most, least + 100))


def _objects(schema: Schema) -> SearchStrategy[Any]:
    fields = {name: _allowed(one) for name, one in schema["properties"].items()}
    required = set(schema.get("required", ()))
    choices = [required | set(some) for some in _subsets(sorted(fields.keys() - required))]
    presence = [entry["rule"] for entry in schema.get("x-kubernetes-validations", ())]
    sensible = [some for some in choices if all(_may_hold(rule, some) for rule in presence)]
    endings = [found.groups() for rule in presence if (found := _ENDING.search(rule))]

    def with_fields(some: set[str]) -> SearchStrategy[Any]:
        chosen = {name: fields[name] for name in fields if name in some}
        for condition, name, ending in endings:
            if condition in some:
                chosen[name] = chosen[name].filter(partial(_ends, ending))
        return st.fixed_dictionaries(chosen)

    return st.sampled_from(sensible).flatmap(with_fields)


def _ends(ending: str, text: str) -> bool:
    return text.endswith(ending)


def _may_hold(rule: str, names: set[str]) -> bool:
    """Tell whether a rule can hold for an object with these fields; rules about values may."""
    only_presence = "self." not in rule.replace("has(self.", "") and "oldSelf" not in rule
    return not only_presence or holds(rule, dict.fromkeys(names, 0))


def _subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    # All of them for a few; else none, one, two, and all: more of many fields meet no other rules.
    few = 6
    sizes = range(len(names) + 1) if len(names) <= few else (0, 1, 2, 3, len(names))
    return chain.from_iterable(combinations(names, size) for size in sizes)


def _arrays(schema: Schema) -> SearchStrategy[Any]:
    keys = schema.get("x-kubernetes-list-map-keys", ())
    least, most = schema.get("minItems", 0), schema["maxItems"]
    item = _allowed(schema["items"])

    def unique(size: int) -> SearchStrategy[Any]:
        return st.lists(item, min_size=least, max_size=size, unique_by=lambda one: tuple(one[key] for key in keys))

    return unique(min(3, most))


def _strings(schema: Schema) -> SearchStrategy[str]:
    rule = " ".join(entry["rule"] for entry in schema.get("x-kubernetes-validations", ()))
    if "duration(" in rule:
        return st.sampled_from(INTERVALS)
    most = schema.get("maxLength", 253)
    if "substring(" in rule:
        return st.sampled_from([*WINDOWS, *QUARTERS] if "Q" in rule else WINDOWS)
    pattern = MATCHES.search(rule)
    if pattern and "\\p{" in pattern[1]:
        # Nothing at the ends that nobody sees.
        return st.tuples(_VISIBLE, st.text(_CHARACTERS, max_size=10), _VISIBLE).map("".join) | st.sampled_from(
            ODD_NAMES
        )
    if pattern:
        return st.from_regex(pattern[1].replace("$", r"\Z")).filter(lambda text: len(text) <= most)
    return st.sampled_from(ODD_NAMES) | st.text(_CHARACTERS, min_size=schema.get("minLength", 0), max_size=12)


def _spoil(spec: Spec, where: int, how: str, value: Any) -> Spec:
    places = list(_places(spec))
    spoiled_spec: Spec = _changed(spec, places[where % len(places)], how, value)
    return spoiled_spec


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inside: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if path:
        yield path
    for name, one in inside:
        yield from _places(one, (*path, name))


def _changed(value: Any, path: tuple[str | int, ...], how: str, new: Any) -> Any:
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    [name, *rest] = path
    if rest:
        copy[name] = _changed(copy[name], tuple(rest), how, new)
    elif how == "put":
        copy[name] = new
    elif how == "drop":
        del copy[name]
    elif isinstance(copy, list):
        copy.append(new)
    else:
        copy["unknown"] = new
    return copy
