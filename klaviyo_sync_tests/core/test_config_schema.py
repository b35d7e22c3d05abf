"""The committed JSON Schemas are those of the models, and say what the loader takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import klaviyo_sync.config
from klaviyo_sync.config.connections import TYPES
from klaviyo_sync.config.env import Secret
from klaviyo_sync.config.schema import ENV, SCHEMAS, project_schema, sync_schema
from klaviyo_sync.core.attributes import ATTRIBUTES

FOLDER = Path(klaviyo_sync.config.__file__).parent.parent / "schemas"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schemas_are_the_models(name: str) -> None:
    """Whoever changes a model writes the schemas again: `klaviyo-sync schema --write klaviyo_sync/schemas`."""
    assert json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")) == SCHEMAS[name]()


def test_every_attribute_is_offered() -> None:
    """Editors complete every attribute of the catalogue, with a sentence about it."""
    offered = sync_schema()["properties"]["profile"]["properties"]
    assert {path: part["description"] for path, part in offered.items()} == {path: one.about for path, one in ATTRIBUTES.items()}


def test_every_key_is_described() -> None:
    """Editors have a sentence about every key."""
    schemas = [sync_schema(), *sync_schema()["definitions"].values()]
    connections = project_schema()["properties"]["connections"]["additionalProperties"]["oneOf"]
    named = {(key, "description" in part) for one in (*schemas, *connections) for key, part in one.get("properties", {}).items()}
    assert {key for key, described in named if not described} == {"type", "env"}


def test_secrets_are_variables_only() -> None:
    """Where a secret belongs, the schema offers nothing but `{env: NAME}`."""
    connections = project_schema()["properties"]["connections"]["additionalProperties"]["oneOf"]
    for kind, model in TYPES.items():
        schema = next(one for one in connections if one["properties"]["type"]["const"] == kind)
        secrets = [name for name, field in model.model_fields.items() if Secret.__name__ in str(field.annotation)]
        assert all(schema["properties"][name]["$ref"] == ENV["$ref"] for name in secrets)


def test_scalars_may_be_variables() -> None:
    """Every scalar of a sync may be `{env: NAME}`; sections may not."""
    properties = sync_schema()["properties"]
    takes_env = {name for name, part in properties.items() if ENV in part.get("anyOf", ())}
    lists = {"match_on", "upstream", "owners"}
    assert set(properties) - takes_env == {"profile", "properties", "consent", "tolerance", "stop_above", "tags", *lists}


def test_every_key_is_documented() -> None:
    """docs/configuration.md names every key of both files and every attribute."""
    text = (FOLDER.parent.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
    connections = project_schema()["properties"]["connections"]["additionalProperties"]["oneOf"]
    schemas = [sync_schema(), *sync_schema()["definitions"].values(), project_schema(), *connections]
    keys = {key for schema in schemas for key in schema.get("properties", {})} | set(ATTRIBUTES)
    assert not sorted(key for key in keys - {"klaviyo", "env", "tolerance", "stop_above"} if f"{key}`" not in text)
