"""DuckDB in the shared suite."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from backends import ColumnType, Logical

from klaviyo_sync.config.connections import DuckDBConnection


class DuckDBPlace:
    """A new file; it is closed after each statement, for only one may hold it."""

    dialect = "duckdb"
    impossible = r"(?!)"
    parts: Sequence[str] = ()
    types: Mapping[Logical, ColumnType] = {
        "text": ColumnType("VARCHAR"),
        "integer": ColumnType("BIGINT", "CAST({} AS BIGINT)"),
        "decimal": ColumnType("DECIMAL(12, 2)", "CAST({} AS DECIMAL(12, 2))"),
        "float": ColumnType("DOUBLE", "CAST({} AS DOUBLE)"),
        "boolean": ColumnType("BOOLEAN", "CAST({} AS BOOLEAN)"),
        "date": ColumnType("DATE", "CAST({} AS DATE)"),
        "time": ColumnType("TIME", "CAST({} AS TIME)"),
        "instant": ColumnType("TIMESTAMPTZ", "CAST({} || '+00' AS TIMESTAMPTZ)"),
        "wall": ColumnType("TIMESTAMP", "CAST({} AS TIMESTAMP)"),
        "list": ColumnType("VARCHAR[]", "from_json({}, '[\"VARCHAR\"]')"),
        "json": ColumnType("JSON", "CAST({} AS JSON)"),
        "object": ColumnType("STRUCT(a BIGINT, b VARCHAR)", 'from_json({}, \'{{"a": "BIGINT", "b": "VARCHAR"}}\')'),
    }

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection: Any = DuckDBConnection(name="local", path=str(path))

    def run(self, sql: str) -> None:
        """Runs one statement."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute(sql)


class DuckDBBackend:
    """Files of its own."""

    name = "duckdb"
    deviations: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """Never: it ships with the product."""
        return None

    @contextmanager
    def opened(self) -> Iterator[DuckDBPlace]:
        """A new file, which is there before the first table."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "contract.duckdb"
            duckdb.connect(str(path)).close()
            yield DuckDBPlace(path)
