"""Checks answers of a gateway against what is known of its API (bifrost_openapi.yaml)."""

from typing import Any

from tests.contract.openapi import Document
from tests.simulators.bifrost.specs import Generation

_REFERENCE = Document("bifrost_openapi.yaml")

CONFIGS = "/api/governance/model-configs"
CONFIG = f"{CONFIGS}/{{mc_id}}"

OPERATIONS = {(method.upper(), path) for path, methods in _REFERENCE.paths.items() for method in methods}


def validate_request(method: str, template: str, generation: Generation, body: Any) -> None:
    """Raise `ContractError` unless a body is one that a generation knows all of."""
    create = method == "POST"
    update = _REFERENCE.schemas[f"Update{generation}"]
    properties = update["properties"] | (
        _REFERENCE.schemas["Create"]["properties"] if create and generation > 1 else {}
    )
    known = {**update, "properties": properties, "additionalProperties": False}
    _REFERENCE.validate(known, body, f"request of {method} {template}")


def validate_response(method: str, template: str, generation: Generation, body: Any) -> None:
    """Raise `ContractError` unless a body can be the answer of a generation with 200."""
    _REFERENCE.validate(_answer(method, template, generation), body, f"answer to {method} {template}")


def more_fields(method: str, template: str, generation: Generation, body: Any) -> list[str]:
    """Return the fields of an answer that are not known."""
    differences = _REFERENCE.differences(_answer(method, template, generation), body)
    return [difference for difference in differences if " also has " in difference]


def fewer_fields(method: str, template: str, generation: Generation, body: Any) -> list[str]:
    """Return the known fields that an answer does not have."""
    differences = _REFERENCE.differences(_answer(method, template, generation), body)
    return [difference for difference in differences if " lacks " in difference]


def validate_error(status: int, body: Any) -> None:
    """Raise `ContractError` unless a body is that of an error with this status."""
    _REFERENCE.validate(_REFERENCE.schemas["Error"], body, f"error {status}")
    assert body["status_code"] == status


def _answer(method: str, template: str, generation: Generation) -> dict[str, Any]:
    schema = _REFERENCE.json_schema(_REFERENCE.paths[template][method.lower()]["responses"]["200"])
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = _REFERENCE.schemas.get(f"{name}{generation}", schema)
    return found
