"""DuckDB, the embedded warehouse: a file, opened for reading only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import Column, Query, Relation, columns_query
from klaviyo_sync.interrupts import on_interrupt
from klaviyo_sync.scratch import Scratch
from klaviyo_sync.warehouses.duckdb_failures import explained

BATCH_ROWS = 16_384
MEMORY_LIMIT = "256MB"
BLOCKS_KEPT = 8 * 2**20  # bytes
QUOTE = "'"
FLUSH_EARLY = "SET allocator_flush_threshold = '1MB'"  # DuckDB's allocator gives back what it has freed after each task
STREAM_LITTLE = "SET streaming_buffer_size = '256KB'"  # rows that wait between the query and whoever takes its batches
MEMORY_HELD = """SELECT coalesce(sum(memory_usage_bytes) FILTER (tag = 'BASE_TABLE'), 0)::BIGINT,
    coalesce(sum(memory_usage_bytes) FILTER (tag <> 'BASE_TABLE'), 0)::BIGINT FROM duckdb_memory()"""


def open_duckdb(connection: Any, label: str) -> DuckDBWarehouse:  # noqa: ARG001 - a file has nobody who watches it
    """The warehouse of a DuckDB connection."""
    return DuckDBWarehouse(connection.path, connection.memory_limit)


class DuckDBWarehouse:
    """Reads a DuckDB file. Sorting and grouping may take `memory_limit`, then spill to disk; a plain table takes little of it."""

    dialect = "duckdb"

    def __init__(self, path: str | Path, memory_limit: str = MEMORY_LIMIT) -> None:
        """Opens the file. Raises ConfigError when it does not exist, Unavailable when another process holds it for writing."""
        self.path = Path(path)
        self.notes: list[str] = []
        self.readers: list[pa.RecordBatchReader] = []
        self.memory_limit = memory_limit
        self.unlooked = 0
        if not self.path.is_file():
            what = "is a folder, not a file" if self.path.is_dir() else "does not exist"
            raise ConfigError(f"DuckDB file {self.path} {what}; correct `path` of the connection.")
        with explained(self.path):
            self.connection = duckdb.connect(str(self.path), read_only=True)
        self.spill = Scratch()
        # One thread: what a sort needs grows with the threads, and cleaning the rows takes longer than reading them.
        self.connection.execute("SET GLOBAL TimeZone = 'UTC'; SET preserve_insertion_order = false; SET threads = 1")
        self.connection.execute(FLUSH_EARLY)
        self.connection.execute(STREAM_LITTLE)
        try:
            change_setting(self.connection, "temp_directory", str(self.spill.path))
            change_setting(self.connection, "memory_limit", memory_limit)
        except duckdb.ParserException as error:
            self.close()
            raise ConfigError(f"memory_limit {memory_limit!r} of the connection: {first_line(error)}") from None

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a table, view or SELECT. Raises ConfigError when it cannot be read."""
        with explained(self.path):
            described = self.run(self.connection, Query(f"DESCRIBE {columns_query(relation).sql}")).fetchall()
        return [Column(name, type_) for name, type_, *_ in described]

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, as Arrow batches of at most BATCH_ROWS. Raises ConfigError for a wrong query, Refused when reading breaks."""
        # A connection of its own: another query may begin before this one is read to its end.
        with explained(self.path), self.connection.cursor() as cursor, on_interrupt(cursor.interrupt):
            reader = self.run(cursor, query).to_arrow_reader(BATCH_ROWS)
            self.readers.append(reader)
            # map, not a loop: no name here keeps the last batch alive while the next one is made.
            yield from map(self.counted, reader)

    def run(self, connection: duckdb.DuckDBPyConnection, query: Query) -> duckdb.DuckDBPyRelation:
        """The query's lazy result."""
        return connection.sql(query.sql, params={param.name: param.value for param in query.params} or None)

    def counted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch. Blocks of the file are forgotten before there can be many: they are compressed, so less than what came out of them."""
        self.unlooked += batch.nbytes
        if self.unlooked > BLOCKS_KEPT // 2:
            self.unlooked = 0
            self.forget_blocks()
        return batch

    def forget_blocks(self) -> None:
        """Gives back the blocks of the file that DuckDB has read and keeps until its memory is full: each is read once in a query.

        A lower limit has it let go of blocks before anything else. Between two batches, with one thread, nothing else asks for memory.
        """
        with self.connection.cursor() as cursor:
            blocks, others = cursor.execute(MEMORY_HELD).fetchone() or (0, 0)
            if blocks > BLOCKS_KEPT:
                with suppress(duckdb.OutOfMemoryException):
                    change_setting(cursor, "memory_limit", f"{others + BLOCKS_KEPT // 2}B")
                change_setting(cursor, "memory_limit", self.memory_limit)

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


def change_setting(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Changes a setting of DuckDB's."""
    connection.execute(f"SET {name} = '{value.replace(QUOTE, QUOTE * 2)}'")


def first_line(error: Exception) -> str:
    """The first line of a driver's message; the rest repeats the query."""
    return str(error).splitlines()[0]
