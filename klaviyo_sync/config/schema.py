"""JSON Schema of both files, from the models that read them, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from klaviyo_sync.config import env
from klaviyo_sync.config.connections import TYPES, KlaviyoSettings
from klaviyo_sync.config.placeholders import PlaceholderSettings
from klaviyo_sync.config.rejects import RejectsSettings
from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.reserved import DISPLAY_NAMES, KLAVIYO_ONLY
from klaviyo_sync.core.sync import Sync

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
ENV: Schema = {"$ref": "#/definitions/env"}
ATTRIBUTE: Schema = {"allOf": [{"$ref": "#/definitions/attribute"}]}
NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
SCALARS = ("string", "integer", "number", "boolean")


def sync_schema() -> Schema:
    """The JSON Schema of `syncs/<name>.yaml`."""
    schema, definitions = described(Sync, "name", "placeholders")
    schema["oneOf"] = [{"required": ["dataset"]}, {"required": ["query"]}]
    properties = schema["properties"]
    definitions["attribute"] = properties["profile"].pop("additionalProperties")
    properties["profile"] |= {
        "properties": {path: ATTRIBUTE | {"description": attribute.about} for path, attribute in ATTRIBUTES.items()},
        "additionalProperties": False,
        "anyOf": [{"required": [path]} for path, attribute in ATTRIBUTES.items() if attribute.identifier],
    }
    properties["profile"].pop("propertyNames", None)
    owned = sorted({*ATTRIBUTES, *DISPLAY_NAMES, *KLAVIYO_ONLY})
    properties["properties"]["propertyNames"] = {"pattern": r"^(?!\$).*\S", "not": {"enum": owned}}
    return document("One sync of klaviyo_sync: its file name is its name.", schema, definitions)


def project_schema() -> Schema:
    """The JSON Schema of klaviyo_sync.yaml."""
    klaviyo, definitions = described(KlaviyoSettings)
    rejects, _ = described(RejectsSettings)
    connections = []
    for kind, model in TYPES.items():
        connection, more = described(model, "name")
        connection["properties"]["type"] = {"const": kind}
        connection["required"] = ["type", *connection.get("required", ())]
        connections.append(connection)
        definitions |= more
    schema: Schema = {
        "type": "object",
        "properties": {
            "klaviyo": klaviyo,
            "connections": {
                "type": "object",
                "description": "Warehouses, by the names that syncs use.",
                "minProperties": 1,
                "propertyNames": {"pattern": NAME},
                "additionalProperties": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {"type": {"enum": list(TYPES)}},
                    "oneOf": connections,
                },
            },
            "placeholders": described(PlaceholderSettings)[0]["properties"]["placeholders"],
            "rejects": {
                "anyOf": [{"type": "string"}, ENV, rejects],
                "description": "Folder or address (s3://, gs://, az://) of the rejects files, or a mapping that adds `keep`.",
                "default": "rejects",
            },
        },
        "required": ["klaviyo", "connections"],
        "additionalProperties": False,
    }
    return document("klaviyo_sync: the Klaviyo account and the warehouses.", schema, definitions)


def document(title: str, schema: Schema, definitions: Schema) -> Schema:
    """A whole schema document."""
    return {"$schema": DRAFT, "title": title, **schema, "definitions": {"env": dict(env.SCHEMA), **definitions}}


def described(model: type[BaseModel], *hidden: str) -> tuple[Schema, Schema]:
    """A model's schema less its hidden fields, and the definitions that it refers to."""
    schema = model.model_json_schema(by_alias=True, ref_template="#/definitions/{model}")
    definitions = {name: plain(part) for name, part in schema.pop("$defs", {}).items()}
    schema = plain(schema)
    schema.pop("description", None)
    for name in hidden:
        schema["properties"].pop(name, None)
        schema["required"] = [key for key in schema.get("required", ()) if key != name]
    return schema, definitions


def plain(schema: Schema) -> Schema:
    """A model's schema, without pydantic's titles, and with variables wherever the loader takes them."""
    schema = {key: value for key, value in schema.items() if key != "title"}
    properties: Schema = schema.get("properties", {})
    return schema | {"properties": {name: or_env(part) for name, part in properties.items()}} if properties else schema


def or_env(schema: Schema) -> Schema:
    """The schema of a value, or a variable in its place where it is a scalar."""
    notes = {key: schema[key] for key in ("description", "default", "examples") if key in schema and schema[key] is not None}
    core = {key: value for key, value in schema.items() if key not in ("title", "description", "default", "examples")}
    choices: list[Schema] = [choice for choice in core["anyOf"] if choice.get("type") != "null"] if "anyOf" in core else [core]
    choices = [ENV if choice.get("required") == ["env"] else choice for choice in choices]
    nested: list[Schema] = [choice for one in choices for choice in (one["anyOf"] if set(one) == {"anyOf"} else [one])]
    for choice in nested:
        for inner in ("items", "additionalProperties"):
            if isinstance(choice.get(inner), dict):
                choice[inner] = or_env(choice[inner])
        if "patternProperties" in choice:
            choice["patternProperties"] = {form: or_env(part) for form, part in choice["patternProperties"].items()}
            choice["additionalProperties"] = False
    if any(is_scalar(choice) for choice in nested) and ENV not in nested:
        nested = [*nested, ENV]
    return (nested[0] if len(nested) == 1 else {"anyOf": nested}) | notes


def is_scalar(schema: Schema) -> bool:
    """Whether a schema is of texts, numbers or fixed words."""
    return schema.get("type") in SCALARS or "enum" in schema or "const" in schema


SCHEMAS = {"klaviyo_sync": project_schema, "sync": sync_schema}
