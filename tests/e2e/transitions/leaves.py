"""The fields of a kind's spec, from the schema of its CRD, so that none can be forgotten."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from tests.e2e.process import ROOT

Schema = Mapping[str, Any]


@cache
def leaves(plural: str) -> Mapping[str, Schema]:
    """Return the schema of every field below `spec` that holds a value, by its path; `[]` stands for the items of a list."""
    definition = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return dict(_below(schema, ""))


def _below(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    if "properties" in schema:
        for name, part in schema["properties"].items():
            yield from _below(part, f"{path}.{name}" if path else name)
    elif schema.get("type") == "array":
        yield from _below(schema["items"], f"{path}[]")
    else:
        yield path, schema
