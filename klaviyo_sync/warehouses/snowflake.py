"""Snowflake, through dagster-snowflake: rows come as Arrow chunks, the next one downloaded ahead, and leave with one schema."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from klaviyo_sync.core.query import Column, Query, Relation, columns_query
from klaviyo_sync.warehouses.recutting import recut
from klaviyo_sync.warehouses.snowflake_clustering import clustering
from klaviyo_sync.warehouses.snowflake_failures import Place, explained, passing
from klaviyo_sync.warehouses.snowflake_fetching import fetched
from klaviyo_sync.warehouses.snowflake_types import normalised, schema_of, type_name

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

BATCH_ROWS = 20_480
TRIES = 3


def open_snowflake(connection: Any, label: str) -> SnowflakeWarehouse:
    """The warehouse of a Snowflake connection. Raises ConfigError, Refused or Unavailable when nobody can log in."""
    from klaviyo_sync.warehouses.snowflake_access import Patience, log_in  # noqa: PLC0415 - the driver takes seconds to load

    place = Place(user=connection.user, role=connection.role, warehouse=connection.warehouse)
    with explained(place):
        return SnowflakeWarehouse(log_in(connection, label, Patience()), place)


class SnowflakeWarehouse:
    """Reads what queries find, in a session of its own. Nothing but SELECT is run."""

    dialect = "snowflake"

    def __init__(self, session: SnowflakeConnection, place: Place) -> None:
        self.session = session
        self.place = place.in_session(role=session.role, warehouse=session.warehouse)
        self.notes: list[str] = []

    def columns(self, relation: Relation) -> list[Column]:
        """The columns of a table, view or SELECT. Raises ConfigError when it cannot be read, Refused when it may not be."""
        with explained(self.place), self.session.cursor() as cursor:
            return [Column(found.name, type_name(found)) for found in cursor.describe(columns_query(relation).sql) or ()]

    def batches(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, as Arrow batches of at most BATCH_ROWS, all with one schema. Raises Refused or Unavailable when reading breaks."""
        with explained(self.place), self.session.cursor() as cursor:
            self.run(cursor, query)
            schema = schema_of(cursor.description)
            yield from recut(map(partial(normalised, schema=schema), fetched(cursor)), BATCH_ROWS)

    def run(self, cursor: SnowflakeCursor, query: Query) -> None:
        """Runs a query, again when Snowflake says that it failed inside: no row of it has gone anywhere."""
        values = [(param.type, param.value) for param in query.params]
        for left in reversed(range(TRIES)):
            try:
                cursor.execute(query.sql, values or None)
            except Exception as error:
                if not left or not passing(error):
                    raise
                time.sleep(1)
            else:
                return

    def estimate(self, query: Query) -> None:
        """None: Snowflake's price is the time that a virtual warehouse runs."""

    def pruning(self, relation: Relation, modified_at: Column) -> str | None:
        """How the table is clustered; None for a view or a SELECT. How well its micro-partitions lie takes more rights than SELECT."""
        with explained(self.place), self.session.cursor() as cursor:
            return clustering(cursor, relation, modified_at)

    def close(self) -> None:
        """Ends the session."""
        self.session.close()
