"""What the schema of a CRD says of a value: an independent judge, for the rules in CEL too.

Only the dialect that this project's CRDs use is known; anything else is an error, so that nothing is passed over.
"""

import math
import re
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias
from unicodedata import category

from setpoint.resources import Managed
from setpoint.resources.crd import definition

Schema: TypeAlias = Mapping[str, Any]

MATCHES = re.compile(r"self\.matches\('([^']*)'\)")
_DURATION_PART = re.compile(r"([0-9]+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}
_TRANSLATED = (
    (MATCHES, r'matches("\1", self)'),
    (re.compile(r"self\.substring\(0, self\.size\(\) - 1\)"), "self[:-1]"),
    (re.compile(r"self\.substring\(self\.size\(\) - 1\)"), "self[-1:]"),
    (re.compile(r"has\(self\.(\w+)\)"), r'("\1" in self)'),
    (re.compile(r"self\.(\w+)"), r'self["\1"]'),
    (re.compile(r"\.endsWith\("), ".endswith("),
    (re.compile(r"\((\([^()]*\)) \? 1 : 0\)"), r"int\1"),
    (re.compile(r"&&"), " and "),
    (re.compile(r"\|\|"), " or "),
    (re.compile(r"!(?!=)"), " not "),
)


def spec_schema(model: type[Managed]) -> Schema:
    """Return the schema of a kind's spec."""
    return part_schema(model, "spec")


def part_schema(model: type[Managed], part: str) -> Schema:
    """Return the schema of `spec` or `status`."""
    whole = definition(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: Schema = whole["properties"][part]
    return found


def kept(schema: Schema, value: Any) -> Any:
    """Return what the API server keeps of a value: without unknown fields and meaningless nulls, with the defaults."""
    match schema.get("type"), value:
        case "object", dict():
            fields: Mapping[str, Schema] = schema.get("properties", {})
            there = {
                name: kept(fields[name], one)
                for name, one in value.items()
                if name in fields and (one is not None or fields[name].get("nullable"))
            }
            missing = {name: one["default"] for name, one in fields.items() if "default" in one and name not in there}
            return {**there, **{name: kept(fields[name], one) for name, one in missing.items()}}
        case "array", list():
            return [kept(schema["items"], one) for one in value]
        case _:
            return value


def allows(schema: Schema, value: Any) -> bool:
    """Tell whether a value that was made by `kept` fits its schema."""
    if value is None:
        return bool(schema.get("nullable"))
    if "x-kubernetes-int-or-string" in schema:
        return isinstance(value, str) or _is_whole(value)
    if "enum" in schema and value not in schema["enum"]:
        return False
    match schema["type"], value:
        case "object", dict():
            fits = _object(schema, value)
        case "array", list():
            fits = _array(schema, value)
        case "string", str():
            fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
        case "boolean", bool():
            fits = True
        case "integer", _:
            fits = _is_whole(value) and schema.get("minimum", value) <= value <= schema.get("maximum", value)
        case "number", _:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            fits = False
    return fits and all(holds(entry["rule"], value) for entry in schema.get("x-kubernetes-validations", ()))


def holds(rule: str, value: Any) -> bool:
    """Tell whether a rule in CEL holds for a value; rules about changes hold for whatever is new."""
    if "oldSelf" in rule:
        return True
    for pattern, replacement in _TRANSLATED:
        rule = pattern.sub(replacement, rule)
    there = {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value
    return bool(eval(rule.strip(), {"matches": matches, "self": there, "duration": seconds}))  # noqa: S307 - the CRD's own rules


def has_whole_fractions(value: Any) -> bool:
    """Tell whether a number such as 3.0 is in a value.

    For a whole number it is one to the schema and an error to the rules in CEL, whose `||` forgets errors where another part is
    true. So what else is in the object decides whether it is refused.
    """
    match value:
        case float():
            return value.is_integer()
        case dict():
            return any(has_whole_fractions(one) for one in value.values())
        case list():
            return any(has_whole_fractions(one) for one in value)
        case _:
            return False


def matches(pattern: str, text: str) -> bool:
    """Tell whether a text matches, by the rules of RE2 as far as the CRDs use them."""
    for name in "ZC":
        pattern = pattern.replace(f"\\p{{{name}}}", _of_category(name))
    return re.search(pattern.replace("$", r"\Z"), text) is not None


@cache
def _of_category(name: str) -> str:
    """Return the characters of a category of Unicode, for a set in a pattern of Python's."""
    every = map(chr, range(sys.maxunicode + 1))
    return "".join(
        re.escape(char) for char in every if category(char)[0] == name and category(char) not in {"Cn", "Co"}
    )


def seconds(text: str) -> int:
    """Return the length of a duration."""
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def _object(schema: Schema, value: Mapping[str, Any]) -> bool:
    fields: Mapping[str, Schema] = schema.get("properties", {})
    complete = all(name in value for name in schema.get("required", ()))
    return complete and all(allows(fields[name], one) for name, one in value.items())


def _array(schema: Schema, value: list[Any]) -> bool:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
        return False
    if not all(allows(schema["items"], one) for one in value):
        return False
    keys = schema.get("x-kubernetes-list-map-keys")
    return keys is None or len({tuple(one[key] for key in keys) for one in value}) == len(value)


def _is_whole(value: Any) -> bool:
    # 3.0 is a whole number to the schema, but not to the rules in CEL.
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
