"""DuckDB, the embedded warehouse: a file, opened for reading only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError, Refused, Unavailable
from klaviyo_sync.core.query import Column, Query, Relation, columns_query
from klaviyo_sync.scratch import Scratch

BATCH_ROWS = 16_384
MEMORY_LIMIT = "64MB"
QUOTE = "'"


def open_duckdb(connection: Any, label: str) -> DuckDBWarehouse:  # noqa: ARG001 - a file has nobody who watches it
    """The warehouse of a DuckDB connection."""
    return DuckDBWarehouse(connection.path, connection.memory_limit)


class DuckDBWarehouse:
    """Reads a DuckDB file. Sorting and grouping spill to disk instead of growing."""

    dialect = "duckdb"

    def __init__(self, path: str | Path, memory_limit: str = MEMORY_LIMIT) -> None:
        """Opens the file. Raises ConfigError when it does not exist, Unavailable when another process holds it for writing."""
        self.path = Path(path)
        self.notes: list[str] = []
        self.readers: list[pa.RecordBatchReader] = []
        if not self.path.is_file():
            raise ConfigError(f"DuckDB file {self.path} does not exist; correct `path` of the connection.")
        try:
            self.connection = duckdb.connect(str(self.path), read_only=True)
        except (duckdb.IOException, duckdb.ConnectionException) as error:
            raise Unavailable(f"DuckDB file {self.path} cannot be opened: {first_line(error)}") from None
        self.spill = Scratch()
        self.connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        try:
            for name, value in {"memory_limit": memory_limit, "temp_directory": str(self.spill.path)}.items():
                self.connection.execute(f"SET {name} = '{value.replace(QUOTE, QUOTE * 2)}'")
        except duckdb.ParserException as error:
            self.close()
            raise ConfigError(f"memory_limit {memory_limit!r} of the connection: {first_line(error)}") from None

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a table, view or SELECT. Raises ConfigError when it cannot be read."""
        described = self.run(Query(f"DESCRIBE {columns_query(relation).sql}")).fetchall()
        return [Column(name, type_) for name, type_, *_ in described]

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, as Arrow batches of at most BATCH_ROWS. Raises ConfigError for a wrong query, Refused when reading breaks."""
        try:
            reader = self.run(query).to_arrow_reader(BATCH_ROWS)
            self.readers.append(reader)
            yield from reader
        except duckdb.OutOfMemoryException:
            raise Refused(
                f"DuckDB file {self.path}: this query needs more memory than the connection allows; raise its memory_limit."
            ) from None
        except duckdb.Error as error:
            # Its text may quote a cell.
            raise Refused(
                f"DuckDB file {self.path}: rows could not be read ({type(error).__name__}); run the query in DuckDB to see why."
            ) from None

    def run(self, query: Query) -> duckdb.DuckDBPyRelation:
        """The query's lazy result."""
        try:
            return self.connection.sql(query.sql, params={param.name: param.value for param in query.params} or None)
        except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
            raise ConfigError(f"DuckDB refused the query: {before_the_query(error)}") from None

    def estimate(self, query: Query) -> None:
        """None: a file costs nothing to read."""

    def pruning(self, relation: Relation, modified_at: Column) -> None:
        """None: DuckDB skips what its row groups rule out, and nobody pays for the rest."""

    def close(self) -> None:
        """Closes the file and removes what was spilled."""
        # A result that is not read to its end outlives its connection, and the next one to this file would wait for it for ever.
        for reader in self.readers:
            reader.close()
        self.connection.close()
        self.spill.close()


def first_line(error: Exception) -> str:
    """The first line of a driver's message; the rest repeats the query."""
    return str(error).splitlines()[0]


def before_the_query(error: Exception) -> str:
    """A driver's message with the nearest names that it offers, less the query that it repeats."""
    return " ".join(str(error).partition("\n\n")[0].splitlines())
