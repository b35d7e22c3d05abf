"""Types and values: what a DuckDB column is in BigQuery, as Arrow, as a cell of REST's JSON, and as TO_JSON_STRING writes it."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

Field = dict[str, Any]

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NUMERIC_SCALE, NUMERIC_DIGITS = 9, 29
LARGEST_EXACT = 2**53
NAMES = {
    "boolean": "BOOLEAN",
    "double": "FLOAT",
    "float": "FLOAT",
    "blob": "BYTES",
    "date": "DATE",
    "time": "TIME",
    "interval": "INTERVAL",
    "timestamp": "DATETIME",
    "timestamp_s": "DATETIME",
    "timestamp_ms": "DATETIME",
    "timestamp_ns": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
}
INTEGERS = {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "sqlnull"}
ARROW: dict[str, pa.DataType] = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "BYTES": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "DATETIME": pa.timestamp("us"),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
}


def field_of(name: str, type_: Any) -> Field:
    """A column of BigQuery's schema for a DuckDB type."""
    if type_.id == "list":
        return {**field_of(name, type_.children[0][1]), "mode": "REPEATED"}
    if type_.id == "struct":
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": [field_of(part, kind) for part, kind in type_.children]}
    return {"name": name, "type": scalar_name(type_), "mode": "NULLABLE"}


def scalar_name(type_: Any) -> str:
    """BigQuery's name of a DuckDB type that is neither list nor struct."""
    if type_.id == "decimal":
        sizes = dict(type_.children)
        fits = sizes["scale"] <= NUMERIC_SCALE and sizes["precision"] - sizes["scale"] <= NUMERIC_DIGITS
        return "NUMERIC" if fits else "BIGNUMERIC"
    if str(type_) == "JSON":
        return "JSON"
    # A column of nothing but NULL is INT64 in BigQuery.
    return "INTEGER" if type_.id in INTEGERS or str(type_).strip('"') == "NULL" else NAMES.get(type_.id, "STRING")


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type in which the Storage Read API sends a column."""
    if field["mode"] == "REPEATED":
        return pa.list_(arrow_type({**field, "mode": "NULLABLE"}))
    if field["type"] == "RECORD":
        return pa.struct([pa.field(part["name"], arrow_type(part)) for part in field["fields"]])
    return ARROW.get(field["type"], pa.string())


def rest_cell(value: Any, field: Field) -> Any:
    """A value in the JSON of getQueryResults, timestamps as microseconds."""
    if field["mode"] == "REPEATED":
        return [{"v": rest_cell(part, {**field, "mode": "NULLABLE"})} for part in value or []]
    if value is None:
        return None
    if field["type"] == "RECORD":
        return {"f": [{"v": rest_cell(value[part["name"]], part)} for part in field["fields"]]}
    if field["type"] == "TIMESTAMP":
        return str((value - EPOCH) // dt.timedelta(microseconds=1))
    if field["type"] == "FLOAT" and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return text_of(value)


def text_of(value: Any) -> str:
    """A value as CAST(... AS STRING) writes it, or REST's JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, pa.MonthDayNano):
        hours, rest = divmod(value.nanoseconds // 1000, 3_600_000_000)
        return f"{value.months // 12}-{value.months % 12} {value.days} {hours}:{rest // 60_000_000}:{rest // 1_000_000 % 60}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)


def json_text(value: Any, field: Field) -> str:
    """A value as TO_JSON_STRING writes it: a text in any case, `null` for NULL.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_encodings
    """
    if field["mode"] == "REPEATED":
        return "[" + ",".join(json_text(part, {**field, "mode": "NULLABLE"}) for part in value or []) + "]"
    if value is None:
        return "null"
    if field["type"] == "RECORD":
        parts = (f"{json.dumps(part['name'])}:{json_text(value[part['name']], part)}" for part in field["fields"])
        return "{" + ",".join(parts) + "}"
    return SCALARS_IN_JSON.get(field["type"], lambda found: json.dumps(text_of(found), ensure_ascii=False))(value)


def exact_number(value: int | Decimal) -> str:
    """A number, in quotes where a FLOAT64 could not hold it."""
    return text_of(value) if Decimal(repr(float(value))) == value else f'"{text_of(value)}"'


def float_in_json(value: float) -> str:
    """A FLOAT64; what JSON has no number for is a text."""
    if not math.isfinite(value):
        return json.dumps(rest_cell(value, {"type": "FLOAT", "mode": "NULLABLE"}))
    return str(int(value)) if value.is_integer() and abs(value) < LARGEST_EXACT else repr(value)


SCALARS_IN_JSON: dict[str, Callable[[Any], str]] = {
    "JSON": lambda value: json.dumps(json.loads(value), separators=(",", ":"), ensure_ascii=False),
    "BOOLEAN": text_of,
    "FLOAT": float_in_json,
    "INTEGER": exact_number,
    "NUMERIC": exact_number,
    "BIGNUMERIC": exact_number,
    "TIMESTAMP": lambda value: json.dumps(value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")),
}


def columns_of(relation: duckdb.DuckDBPyRelation) -> list[Field]:
    """The schema of a result."""
    return [field_of(name, type_) for name, type_ in zip(relation.columns, relation.types, strict=True)]
