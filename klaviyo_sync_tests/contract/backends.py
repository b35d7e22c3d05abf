"""The warehouses on which the shared suite runs, each through one small protocol. A warehouse joins with one line in BACKENDS."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from sqlglot import exp

from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.query import identifier

Logical = Literal["text", "integer", "decimal", "float", "boolean", "date", "time", "instant", "wall", "list", "json", "object"]
Row = Sequence[str | None]


class ColumnType(NamedTuple):
    """How a warehouse declares a logical type, and its SQL for a value that is written as text (`{}`).

    Text as every backend gets it: decimals `1.25`, moments `2026-01-02 03:04:05.123456` (instants in UTC), lists and objects as JSON.
    """

    declared: str
    value: str = "{}"


class Place(Protocol):
    """A warehouse in which tables can be made.

    `types` are the logical types as it spells them, `parts` stand in front of a table's name, `impossible` is a regular expression of
    names that nobody can give there, and `connection` is what `warehouses.connect` takes.
    """

    dialect: str
    impossible: str
    types: Mapping[Logical, ColumnType]
    parts: Sequence[str]
    connection: Any

    def run(self, sql: str) -> None:
        """Runs one statement of its SQL."""
        ...


class Backend(Protocol):
    """A warehouse of the suite. `deviations` are tests in which it is known to differ from the real one, by parts of their names."""

    name: str
    deviations: Mapping[str, str]

    def missing(self) -> str | None:
        """Why it cannot be tried here, or None."""
        ...

    def opened(self) -> AbstractContextManager[Place]:
        """A place without tables until the end of the block."""
        ...


# A test's id, and the module and class of its backend, which is loaded when it is tried.
BACKENDS = {
    "duckdb": "backend_duckdb:DuckDBBackend",
    "snowflake": "backend_snowflake:SnowflakeBackend",
    "snowflake-account": "backend_snowflake:SnowflakeAccount",
    "bigquery": "backend_bigquery:BigQueryBackend",
    "bigquery-rest": "backend_bigquery:BigQueryOverRest",
    "bigquery-account": "backend_bigquery:BigQueryAccount",
    "bigquery-emulator": "backend_bqemulator:BigQueryEmulator",
}


def backend(name: str) -> Backend:
    """The backend of a name."""
    module, _, factory = BACKENDS[name].partition(":")
    return getattr(importlib.import_module(module), factory)()


def quoted(name: str, dialect: str) -> str:
    """A name as the warehouse quotes it."""
    return identifier(name, DIALECTS[dialect]).sql(dialect)


def spelled(name: str, dialect: str) -> str:
    """A name as people write it: without quotes where it needs none, so that the warehouse changes its case as it is wont to."""
    return name if name.isidentifier() and name.islower() and name not in RESERVED else quoted(name, dialect)


RESERVED = frozenset({"select", "order", "table", "group", "from"})


def located(place: Place, name: str) -> str:
    """The table's whole name, for SQL and for `dataset` alike."""
    return ".".join([*(quoted(part, place.dialect) for part in place.parts), spelled(name, place.dialect)])


def text(value: str | None, dialect: str) -> str:
    """A text as an SQL literal."""
    if value is None:
        return "NULL"
    return exp.Literal.string(value).sql(dialect)


def make_table(place: Place, name: str, columns: Mapping[str, Logical], rows: Sequence[Row]) -> str:
    """A table with these rows; gives its name as `dataset` has it."""
    table = located(place, name)
    declared = ", ".join(f"{spelled(column, place.dialect)} {place.types[kind].declared}" for column, kind in columns.items())
    place.run(f"CREATE TABLE {table} ({declared})")
    selects = []
    for row in rows:
        cells = [
            f"CAST(NULL AS {place.types[kind].declared})" if cell is None else place.types[kind].value.format(text(cell, place.dialect))
            for cell, kind in zip(row, columns.values(), strict=True)
        ]
        selects.append(f"SELECT {', '.join(cells)}")
    if selects:
        place.run(f"INSERT INTO {table} {' UNION ALL '.join(selects)}")
    return table


@contextmanager
def scratch(run: Any) -> Iterator[str]:
    """The name of a schema in a real account that is dropped at the end, whatever happens."""
    name = f"klaviyo_sync_contract_{datetime.now(UTC):%Y%m%d%H%M%S}_{os.getpid()}"
    run(f"CREATE SCHEMA {name}")
    try:
        yield name
    finally:
        run(f"DROP SCHEMA {name} CASCADE")


def keys_of(variable: str) -> dict[str, Any] | None:
    """The keys of a real account's connection, as JSON in a variable of the environment; None when it is not set."""
    found = os.environ.get(variable)
    return json.loads(found) if found else None
