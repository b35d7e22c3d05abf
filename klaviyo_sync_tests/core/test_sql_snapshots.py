"""The SQL that each warehouse is asked to run, as committed texts: a change of it is a change that somebody looks at.

`python test_sql_snapshots.py` writes the texts anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlglot
from sqlglot import exp

from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import (
    Column,
    Query,
    columns_query,
    extent_query,
    identifier,
    outside_query,
    relation,
    span_query,
    table,
    window_query,
)
from klaviyo_sync.core.recounting import recount
from klaviyo_sync.core.sync import Sync

TEXTS = Path(__file__).parent.parent / "cases" / "sql"
LOWER, UPPER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


class Shape(NamedTuple):
    """A dataset as a warehouse has it: what the YAML says of it, and its columns."""

    dialect: str
    said: dict[str, str]
    columns: tuple[Column, ...]


SHAPES = {
    "duckdb": Shape(
        "duckdb",
        {"dataset": 'crm."the people"'},
        (Column("id", "BIGINT"), Column('the "tags"', "VARCHAR[]"), Column("extra", "JSON"), Column("changed", "TIMESTAMP")),
    ),
    "snowflake": Shape(
        "snowflake",
        {"dataset": 'analytics.crm."the people"'},
        (Column("ID", "NUMBER(38,0)"), Column('the "tags"', "ARRAY"), Column("EXTRA", "VARIANT"), Column("CHANGED", "TIMESTAMP_NTZ")),
    ),
    "bigquery": Shape(
        "bigquery",
        {"dataset": "project.crm.people"},
        (Column("id", "INT64"), Column("the tags", "ARRAY<STRING>"), Column("extra", "JSON"), Column("changed", "TIMESTAMP")),
    ),
    "snowflake_query": Shape(
        "snowflake",
        {"query": "SELECT $1 AS id, tags, extra, changed FROM crm.people -- everybody"},
        (Column("ID", "NUMBER(38,0)"), Column("TAGS", "ARRAY"), Column("EXTRA", "OBJECT"), Column("CHANGED", "TIMESTAMP_TZ")),
    ),
    "bigquery_query": Shape(
        "bigquery",
        {"query": "SELECT id, tags, extra, changed FROM `project.crm`.people WHERE name != '''it's;''';"},
        (Column("id", "STRING"), Column("tags", "ARRAY<STRUCT<a INT64>>"), Column("extra", "STRUCT<a INT64>"), Column("changed", "DATE")),
    ),
}


def queries(shape: Shape) -> Iterator[tuple[str, Query]]:
    """Every kind of query over a dataset."""
    names = [column.name for column in shape.columns]
    sync = Sync.model_validate(
        {
            "name": "people",
            "connection": "there",
            **shape.said,
            "modified_at": {"column": names[3], "timezone": "Europe/Berlin"},
            "frequency": "hourly",
            "start": "2026-01-01",
            "profile": {"external_id": names[0].lower()},
            "properties": {"Tags": {"column": names[1], "type": "list"}, "Extra": names[2].lower()},
        }
    )
    read = relation(sync, shape.dialect)
    columns = list(shape.columns)
    aligned = "DATE" not in [column.type for column in columns]
    yield "columns", columns_query(read)
    yield "first window", window_query(sync, read, columns, lower=None, upper=UPPER, aligned=aligned)
    yield "window", window_query(sync, read, columns, lower=LOWER, upper=UPPER, aligned=aligned)
    yield "identifiers", window_query(sync, read, columns, lower=LOWER, upper=UPPER, names=[names[0], names[3]], aligned=False)
    yield "outside", outside_query(sync, read, columns, now=UPPER)
    yield "extent", extent_query(sync, read, columns, now=UPPER)
    yield "span", span_query(sync, read, columns, after=UPPER)
    yield "counted again", recount(sync, read, columns, [LOWER, LOWER + timedelta(hours=1), UPPER]).query


def written(shape: Shape) -> str:
    """All queries of a dataset with what is bound to them."""
    parts = []
    for name, query in queries(shape):
        bound = "".join(f"\n-- {param.name} = {param.value.isoformat()} ({param.type})" for param in query.params)
        parts.append(f"-- {name}\n{query.sql};{bound}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("name", SHAPES)
def test_the_sql_is_as_committed(name: str) -> None:
    """Each warehouse is asked in its own dialect, with quoted names and bound values."""
    assert written(SHAPES[name]) == (TEXTS / f"{name}.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHAPES)
def test_the_sql_is_one_select_of_its_dialect(name: str) -> None:
    """Whatever is asked is one statement, and a SELECT."""
    shape = SHAPES[name]
    for _, query in queries(shape):
        [statement] = sqlglot.parse(query.sql, read=shape.dialect)
        assert isinstance(statement, exp.Select)


@pytest.mark.parametrize("dataset", ["example.com:project.crm.people", "a.b.c.d.e"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_datasets_that_are_no_name_anywhere(dataset: str, dialect: str) -> None:
    """What is not one name of one to three parts is the configuration's fault, in every dialect."""
    with pytest.raises(ConfigError, match="is not the name"):
        table(dataset, DIALECTS[dialect])


@pytest.mark.parametrize("name", ["a`b", "a\\b", "a\nb", "", "a\0b"])
def test_names_that_bigquery_cannot_quote(name: str) -> None:
    """A name that the warehouse has no way to quote is refused, not passed on."""
    with pytest.raises(ConfigError, match="cannot be quoted"):
        identifier(name, DIALECTS["bigquery"])


KINDS: dict[str, dict[str, Any]] = {
    "snowflake": {
        "VARCHAR(16777216)": "text",
        "NUMBER(38,0)": "integer",
        "NUMBER(38, 0)": "integer",
        "NUMBER(10,2)": "decimal",
        "FLOAT": "float",
        "BOOLEAN": "boolean",
        "DATE": "date",
        "TIME(9)": "time",
        "TIMESTAMP_NTZ(9)": "wall",
        "TIMESTAMP_LTZ(9)": "instant",
        "TIMESTAMP_TZ(9)": "instant",
        "VARIANT": "json",
        "OBJECT": "json",
        "ARRAY": "list",
        "BINARY(8388608)": "binary",
    },
    "bigquery": {
        "STRING": "text",
        "INT64": "integer",
        "NUMERIC(10, 2)": "decimal",
        "BIGNUMERIC": "decimal",
        "FLOAT64": "float",
        "BOOL": "boolean",
        "DATE": "date",
        "DATETIME": "wall",
        "TIME": "time",
        "TIMESTAMP": "instant",
        "JSON": "json",
        "STRUCT<a INT64>": "json",
        "ARRAY<STRING>": "list",
        "ARRAY<STRUCT<a INT64>>": "list",
        "BYTES": "binary",
        "RANGE<DATE>": None,
    },
}


@pytest.mark.parametrize(("dialect", "type_"), [(dialect, type_) for dialect, kinds in KINDS.items() for type_ in kinds])
def test_kinds_of_types(dialect: str, type_: str) -> None:
    """Each type of a warehouse has the kind that it is cleaned by, or none."""
    assert DIALECTS[dialect].kind(type_) == KINDS[dialect][type_]


if __name__ == "__main__":
    for name_, shape_ in SHAPES.items():
        (TEXTS / f"{name_}.sql").write_text(written(shape_), encoding="utf-8")
