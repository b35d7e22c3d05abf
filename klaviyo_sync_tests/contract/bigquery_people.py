"""A table of every type on the local BigQuery, and ways to open it: shared by the tests of that warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from bigquery_server import Server
from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.core.query import Query, relation, window_query
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.warehouses.bigquery import BigQueryWarehouse, labels
from klaviyo_sync.warehouses.bigquery_access import BigQueryAccess

PATIENCE = 60.0
"""Seconds for which a request is repeated that is to be answered in the end."""
IMPATIENCE = 2.0
"""The same where it never is."""
TABLE = """
CREATE SCHEMA IF NOT EXISTS crm;
CREATE OR REPLACE TABLE crm.people AS
SELECT i::VARCHAR AS id, i AS whole, (i / 7)::DECIMAL(12, 2) AS numeric,
       CASE WHEN i % 4 <> 0 THEN i / 3.0 WHEN i > 0 THEN 'NaN'::DOUBLE END AS float,
       '12345678901234567890.1234567890123456'::DECIMAL(38, 16) AS bignumeric, i % 2 = 0 AS bool, DATE '0001-01-01' + i::INT AS date,
       TIME '10:11:12.5' + to_seconds(i) AS time, TIMESTAMP '1969-12-31 23:59:59.999999' + to_microseconds(i) AS datetime,
       TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_seconds(i) AS changed, CASE WHEN i % 3 = 0 THEN ['a', i::VARCHAR] END AS array,
       {'x': i, 'at': TIMESTAMPTZ '2026-01-01 00:00:00.5Z'} AS struct, CASE WHEN i % 3 = 0 THEN '{"a": [1, null]}'::JSON END AS json,
       'POINT(1 2)' AS geography, INTERVAL '1 month 2 days 03:04:05' AS interval, CASE WHEN i % 5 = 0 THEN 'é🎉"\\' END AS string
FROM range(ROWS) AS r(i)
"""
COLUMNS = (
    "whole",
    "float",
    "numeric",
    "bignumeric",
    "bool",
    "date",
    "time",
    "datetime",
    "array",
    "struct",
    "json",
    "geography",
    "interval",
    "string",
)


def people(**changes: Any) -> Sync:
    """A sync of the table."""
    plain = {
        "name": "people",
        "connection": "bigquery",
        "dataset": "crm.people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
        "properties": {name: name for name in COLUMNS},
    }
    return Sync.model_validate({key: value for key, value in {**plain, **changes}.items() if value is not None})


@contextmanager
def opened(
    server: Server, *, rest: bool = False, label: str = "klaviyo_sync people", patience: float = PATIENCE, **changes: Any
) -> Iterator[BigQueryWarehouse]:
    """The warehouse behind a server's connection with changes, not as patient as in real life."""
    settings = BigQueryConnection.model_validate({"name": "bigquery", **server.connection(rest=rest)})
    access = {
        "gcp_credentials": None,
        **{key: changes.pop(key) for key in ("gcp_credentials", "impersonate", "location", "project") if key in changes},
    }
    asked = {
        "project": settings.project,
        "location": settings.location,
        "api_endpoint": settings.api_endpoint,
        "storage_endpoint": settings.storage_endpoint,
        **access,
    }
    warehouse = BigQueryWarehouse(BigQueryAccess(**asked), labels=labels(label), patience=patience, **changes)
    try:
        yield warehouse
    finally:
        warehouse.close()


def window(warehouse: BigQueryWarehouse, sync: Sync | None = None, upper: datetime = datetime(2027, 1, 1, tzinfo=UTC)) -> Query:
    """The query for the rows up to a moment."""
    asked = sync or people()
    read = relation(asked, "bigquery")
    return window_query(asked, read, warehouse.columns(read), lower=None, upper=upper)


def rows(warehouse: BigQueryWarehouse, sync: Sync | None = None) -> pa.Table:
    """All rows, in the order of their ids."""
    batches = list(warehouse.batches(window(warehouse, sync)))
    return pa.Table.from_batches(batches).sort_by("changed")
