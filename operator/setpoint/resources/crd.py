"""Turns the models of this package into CustomResourceDefinitions.

Pydantic writes JSON Schema; Kubernetes wants structural schemas (KEP-1693), which are a narrower dialect: no references,
no unions, defaults that are complete, lists that say how they merge. This module is that translation and nothing else;
rules in CEL are written beside the fields they guard and pass through as they are. What a rule really accepts is shown
by the accept/reject tests on a real API server, since nothing here can prove a CEL expression.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from setpoint.resources import KINDS
from setpoint.resources.common import GROUP, VERSION, Column, Resource

CATEGORY = "setpoint"
HEADER = "# Generated from operator/setpoint/resources by `make generate`; edit the models, not this file.\n"

UNSEEN: dict[str, Any] = {"observedGeneration": -1}
"""Default status: without it kstatus takes an object the operator has not seen yet for Current."""

_RECORD_DROPS = ("minimum", "maximum", "minLength", "maxLength", "x-kubernetes-validations", "default")
"""Keywords left out under status: it records what was found, even what the spec would not be allowed to say."""


def definition(model: type[Resource]) -> dict[str, Any]:
    """Return the CustomResourceDefinition of one kind."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    properties = schema["properties"]
    definitions = schema.get("$defs", {})
    open_api: dict[str, Any] = {
        "description": schema["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _structural(properties["spec"], definitions),
        },
    }
    version: dict[str, Any] = {"name": VERSION, "served": True, "storage": True}
    if "status" in properties:
        status = _record(_structural(properties["status"], definitions))
        open_api["properties"]["status"] = {**status, "default": UNSEEN}
        version["subresources"] = {"status": {}}
    version["additionalPrinterColumns"] = [
        *(_column(column) for column in model.COLUMNS),
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version["schema"] = {"openAPIV3Schema": open_api}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{model.PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": model.SCOPE,
            "names": {
                "kind": model.kind(),
                "listKind": f"{model.kind()}List",
                "plural": model.PLURAL,
                "singular": model.kind().lower(),
                "shortNames": list(model.SHORT_NAMES),
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }


def manifests() -> Iterator[tuple[str, str]]:
    """Yield file name and YAML text of every kind's CRD."""
    for model in KINDS:
        text = yaml.dump(definition(model), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
        yield f"{model.PLURAL}.yaml", HEADER + text


def write(folder: Path) -> None:
    """Write every kind's CRD into the folder, and remove YAML files there that no kind has any more."""
    folder.mkdir(parents=True, exist_ok=True)
    files = dict(manifests())
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    for stale in folder.glob("*.yaml"):
        if stale.name not in files:
            stale.unlink()


class _Dumper(yaml.SafeDumper):
    """Repeats shared values in full: anchors are legal YAML but unreadable in a CRD."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _column(column: Column) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    if column.priority:
        shown["priority"] = column.priority
    return shown


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with references put in place, `T | None` as an optional T, and titles dropped."""
    if "$ref" in schema:
        return _merge(definitions[schema["$ref"].rpartition("/")[2]], schema, definitions)
    if "anyOf" in schema:
        [choice] = [entry for entry in schema["anyOf"] if entry != {"type": "null"}]
        merged = _merge(choice, schema, definitions)
        # A null for a managed number is a value users write; for the rest the API server drops it by itself.
        return {**merged, "nullable": True} if merged.get("type") == "integer" else merged
    result = {key: value for key, value in schema.items() if key not in {"title", "default", "properties", "items"}}
    if "default" in schema and schema["default"] is not None:
        result["default"] = _without_nulls(schema["default"])
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    if "properties" in schema:
        result["properties"] = {name: _structural(value, definitions) for name, value in schema["properties"].items()}
    return result


def _merge(base: Mapping[str, Any], around: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base's schema with what the field says around it: its own words win, its rules are added."""
    merged = _structural(base, definitions)
    extra = _structural({key: value for key, value in around.items() if key not in {"$ref", "anyOf"}}, definitions)
    validations = [*merged.get("x-kubernetes-validations", []), *extra.get("x-kubernetes-validations", [])]
    merged.update(extra)
    if validations:
        merged["x-kubernetes-validations"] = validations
    return merged


def _record(schema: dict[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in schema.items() if key not in _RECORD_DROPS}
    if "properties" in result:
        result["properties"] = {name: _record(value) for name, value in result["properties"].items()}
    if "items" in result:
        result["items"] = _record(result["items"])
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    return value
