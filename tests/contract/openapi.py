"""Checks what goes over the wire against a document in the manner of OpenAPI."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012


class ContractError(AssertionError):
    """A request or an answer is not what the reference says."""


class Document:
    """One of the documents beside this module."""

    def __init__(self, name: str) -> None:
        self._id = f"urn:{name}"
        self._content: dict[str, Any] = yaml.safe_load(Path(__file__).with_name(name).read_text())
        self._registry: Registry[Any] = Registry().with_resource(self._id, DRAFT202012.create_resource(self._content))

    @property
    def paths(self) -> dict[str, Any]:
        """The operations by path template."""
        found: dict[str, Any] = self._content["paths"]
        return found

    @property
    def schemas(self) -> dict[str, Any]:
        """The schemas by name."""
        found: dict[str, Any] = self._content["components"]["schemas"]
        return found

    def json_schema(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the schema of the JSON in a request or an answer."""
        found: dict[str, Any] = self.resolved(message)["content"]["application/json"]["schema"]
        return found

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a reference leads to."""
        while "$ref" in node:
            place: Any = self._content
            for step in node["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            node = place
        return node

    def validate(self, node: Mapping[str, Any], body: Any, what: str) -> None:
        """Raise `ContractError` unless a schema allows the body."""
        problems = [f"{error.json_path}: {error.message}" for error in self._validator(node).iter_errors(body)]
        if problems:
            raise ContractError(f"{what}: {'; '.join(problems)}")

    def differences(self, node: Mapping[str, Any], value: Any, where: str = "body") -> Iterator[str]:
        """Give the fields a schema has and a value lacks, and the other way round; both may be all right."""
        node = self.resolved(node)
        if "anyOf" in node:
            node = next((self.resolved(one) for one in node["anyOf"] if self._validator(one).is_valid(value)), {})
        if "properties" in node and isinstance(value, dict):
            fields = node["properties"]
            expected = {name for name, field in fields.items() if not field.get("x-omitted")}
            yield from (f"{where} lacks {name}" for name in expected - value.keys())
            yield from (f"{where} also has {name}" for name in value.keys() - fields.keys())
            for name in fields.keys() & value.keys():
                yield from self.differences(fields[name], value[name], f"{where}.{name}")
        elif "items" in node and isinstance(value, list):
            for place, item in enumerate(value):
                yield from self.differences(node["items"], item, f"{where}[{place}]")

    def _validator(self, node: Mapping[str, Any]) -> Draft202012Validator:
        return Draft202012Validator(self._absolute(node), registry=self._registry)

    def _absolute(self, node: Any) -> Any:
        """Return a schema whose references lead into the document from wherever it is used."""
        match node:
            case {"$ref": str(reference)}:
                return {**node, "$ref": f"{self._id}{reference}"}
            case dict():
                return {name: self._absolute(value) for name, value in node.items()}
            case list():
                return [self._absolute(item) for item in node]
            case _:
                return node
