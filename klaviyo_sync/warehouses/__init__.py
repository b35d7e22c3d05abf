"""Warehouses: one file each, its driver imported only when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Protocol

import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import Column, Query, Relation


class Warehouse(Protocol):
    """What a sync needs of a warehouse.

    `notes` are sentences about the way rows were read that its owner should know; they grow as it is read.
    """

    dialect: str
    notes: list[str]

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a table, view or SELECT. Raises ConfigError when there is no such thing, Refused when it may not be read."""
        ...

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows of a query, about 20,000 at a time. Raises Refused or Unavailable when reading breaks."""
        ...

    def estimate(self, query: Query) -> int | None:
        """How many bytes the query would read, which it may cost; None where only running it would tell. It is not run."""
        ...

    def pruning(self, relation: Relation, modified_at: Column) -> str | None:
        """What spares a window's query the rows of other windows, or that nothing does; None where that is not known."""
        ...

    def close(self) -> None:
        """Ends the session."""
        ...


WAREHOUSES: dict[str, str] = {
    "duckdb": "klaviyo_sync.warehouses.duckdb:open_duckdb",
    "snowflake": "klaviyo_sync.warehouses.snowflake:open_snowflake",
    "bigquery": "klaviyo_sync.warehouses.bigquery:open_bigquery",
}


def connect(connection: Any, label: str) -> Warehouse:
    """An open warehouse for the settings of a connection, its values resolved. `label` names the work to whoever watches the warehouse.

    Raises ConfigError, Refused or Unavailable when it cannot be opened.
    """
    if connection.type not in WAREHOUSES:
        raise ConfigError(f"connections of type {connection.type} cannot be opened; expected one of {', '.join(WAREHOUSES)}.")
    module, _, opener = WAREHOUSES[connection.type].partition(":")
    try:
        return getattr(import_module(module), opener)(connection, label)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"connections of type {connection.type} need the package {error.name}, which is not installed: "
            f"pip install 'klaviyo-sync[{connection.type}]'."
        ) from None
