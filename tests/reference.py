"""Writes docs/reference.md: every field of every kind, as the CRDs have it."""

from collections.abc import Iterator
from typing import Any

from setpoint.resources import KINDS, crd

Schema = dict[str, Any]

HEAD = """# Reference

Every field of every kind. Generated from the models by `make generate`; in a terminal `kubectl explain das.spec --recursive`
tells the same.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for model in KINDS:
        definition = crd.definition(model)
        names = definition["spec"]["names"]
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        short = ", ".join(f"`{name}`" for name in names.get("shortNames", ()))
        parts.append(
            f"## {model.kind()}\n\n{schema['description']}\n\nShort: {short}. {definition['spec']['scope']}.\n"
        )
        for part in ("spec", "status"):
            found = schema["properties"][part]
            rows = [_row(*field) for field in _fields(found, "")]
            parts.append(f"### {model.kind()}.{part}\n")
            parts.append("\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows]) + "\n")
            if part == "spec":
                told = sorted(set(_rules(found)))
                if told:
                    parts.append("Rules:\n\n" + "\n".join(f"- {_escaped(rule)}" for rule in told) + "\n")
    return "\n".join(parts)


def _fields(schema: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, field, name in required
        if field.get("type") == "array":
            yield from _fields(field["items"], f"{here}[]")
        else:
            yield from _fields(field, here)


def _row(path: str, schema: Schema, required: bool) -> str:  # noqa: FBT001 - a row's part
    default = "required" if required else _default(schema)
    return f"| `{path}` | {_type(schema)} | {default} | {_escaped(schema.get('description', ''))} |"


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    bounds = _bounds(schema)
    return f"{schema.get('type', 'any')}{f', {bounds}' if bounds else ''}"


def _bounds(schema: Schema) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is not None and highest is not None:
        return f"{lowest} … {highest}"
    if lowest is not None:
        return f"≥ {lowest}"
    return "" if highest is None else f"≤ {highest}"


def _default(schema: Schema) -> str:
    return f"`{schema['default']}`" if "default" in schema else ""


def _rules(schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield str(rule.get("message", rule["rule"]))
    for field in schema.get("properties", {}).values():
        yield from _rules(field)
    if isinstance(schema.get("items"), dict):
        yield from _rules(schema["items"])


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
