"""Checks requests and answers against what the API's reference says (baseten_openapi.yaml)."""

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_ID = "urn:baseten"
_DOCUMENT: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("baseten_openapi.yaml").read_text())
_REGISTRY: Registry[Any] = Registry().with_resource(_ID, DRAFT202012.create_resource(_DOCUMENT))

PATHS: tuple[str, ...] = tuple(_DOCUMENT["paths"])
"""Path templates."""


class ContractError(AssertionError):
    """A request or an answer is not what the reference says."""


def schema(name: str) -> dict[str, Any]:
    """Return one of the reference's schemas."""
    found: dict[str, Any] = _DOCUMENT["components"]["schemas"][name]
    return found


def validate_request(method: str, path: str, body: Any) -> None:
    """Raise `ContractError` unless the reference has the operation and allows the body, None for none."""
    operation = _operation(method, path)
    if "requestBody" not in operation:
        if body is not None:
            raise ContractError(f"{method} {path} has no body")
        return
    _validate(_json_schema(operation["requestBody"]), body, f"request of {method} {path}")


def validate_response(method: str, path: str, body: Any) -> None:
    """Raise `ContractError` unless the reference has the operation and the body can be its answer with 200."""
    _validate(_answer(method, path), body, f"answer to {method} {path}")


def differences(method: str, path: str, body: Any) -> list[str]:
    """Return the fields the reference has and an answer lacks, and the other way round; both may be all right."""
    return list(_differences(_answer(method, path), body, "body"))


def _answer(method: str, path: str) -> dict[str, Any]:
    return _json_schema(_operation(method, path)["responses"]["200"])


def _json_schema(message: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _resolved(message)["content"]["application/json"]["schema"]
    return found


def _operation(method: str, path: str) -> dict[str, Any]:
    for template, pattern in _patterns():
        if pattern.fullmatch(path):
            operation: dict[str, Any] | None = _DOCUMENT["paths"][template].get(method.lower())
            if operation is not None:
                return operation
    raise ContractError(f"the reference has no {method} {path}")


@functools.cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the templates, those without placeholders where others have some first."""
    templates = sorted(PATHS, key=lambda template: template.count("{"))
    return [(template, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template))) for template in templates]


def _resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        place: Any = _DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        node = place
    return node


def _absolute(node: Any) -> Any:
    """Return a schema whose references lead into the document from wherever it is used."""
    match node:
        case {"$ref": str(reference)}:
            return {**node, "$ref": f"{_ID}{reference}"}
        case dict():
            return {name: _absolute(value) for name, value in node.items()}
        case list():
            return [_absolute(item) for item in node]
        case _:
            return node


def _validator(node: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(_absolute(node), registry=_REGISTRY)


def _validate(node: Mapping[str, Any], body: Any, what: str) -> None:
    problems = [f"{error.json_path}: {error.message}" for error in _validator(node).iter_errors(body)]
    if problems:
        raise ContractError(f"{what}: {'; '.join(problems)}")


def _differences(node: Mapping[str, Any], value: Any, where: str) -> Iterator[str]:
    node = _resolved(node)
    if "anyOf" in node:
        node = next((_resolved(one) for one in node["anyOf"] if _validator(one).is_valid(value)), {})
    if "properties" in node and isinstance(value, dict):
        fields = node["properties"]
        yield from (f"{where} lacks {name}" for name in fields.keys() - value.keys())
        yield from (f"{where} also has {name}" for name in value.keys() - fields.keys())
        for name in fields.keys() & value.keys():
            yield from _differences(fields[name], value[name], f"{where}.{name}")
    elif "items" in node and isinstance(value, list):
        for place, item in enumerate(value):
            yield from _differences(node["items"], item, f"{where}[{place}]")
