"""Checks requests and answers against what the API's reference says (baseten_openapi.yaml)."""

import functools
import re
from typing import Any

from tests.contract.openapi import ContractError, Document

_REFERENCE = Document("baseten_openapi.yaml")

PATHS: tuple[str, ...] = tuple(_REFERENCE.paths)
"""Path templates."""
OPERATIONS: frozenset[tuple[str, str]] = frozenset(
    (method.upper(), path) for path, operations in _REFERENCE.paths.items() for method in operations
)
"""Methods and path templates."""


def schema(name: str) -> dict[str, Any]:
    """Return one of the reference's schemas."""
    found: dict[str, Any] = _REFERENCE.schemas[name]
    return found


def validate_request(method: str, path: str, body: Any) -> None:
    """Raise `ContractError` unless the reference has the operation and allows the body, None for none."""
    operation = _operation(method, path)
    if "requestBody" not in operation:
        if body is not None:
            raise ContractError(f"{method} {path} has no body")
        return
    _REFERENCE.validate(_REFERENCE.json_schema(operation["requestBody"]), body, f"request of {method} {path}")


def validate_response(method: str, path: str, body: Any) -> None:
    """Raise `ContractError` unless the reference has the operation and the body can be its answer with 200."""
    _REFERENCE.validate(_answer(method, path), body, f"answer to {method} {path}")


def differences(method: str, path: str, body: Any) -> list[str]:
    """Return the fields the reference has and an answer lacks, and the other way round; both may be all right."""
    return list(_REFERENCE.differences(_answer(method, path), body))


def _answer(method: str, path: str) -> dict[str, Any]:
    return _REFERENCE.json_schema(_operation(method, path)["responses"]["200"])


def _operation(method: str, path: str) -> dict[str, Any]:
    for template, pattern in _patterns():
        if pattern.fullmatch(path):
            operation: dict[str, Any] | None = _REFERENCE.paths[template].get(method.lower())
            if operation is not None:
                return operation
    raise ContractError(f"the reference has no {method} {path}")


@functools.cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Return the templates, those without placeholders where others have some first."""
    templates = sorted(PATHS, key=lambda template: template.count("{"))
    return [(template, re.compile(re.sub(r"\{[^}]+\}", "[^/]+", template))) for template in templates]
