"""BigQuery in the shared suite: the local server over both of its ways, and a real account where one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from backends import ColumnType, keys_of, scratch

from bigquery_server import serve, statement
from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.config.env import Revealed

VARIABLE = "KLAVIYO_SYNC_TEST_BIGQUERY"
DATASET = "contract"
TYPES = {
    "text": ColumnType("STRING"),
    "integer": ColumnType("INT64", "CAST({} AS INT64)"),
    "decimal": ColumnType("NUMERIC", "CAST({} AS NUMERIC)"),
    "float": ColumnType("FLOAT64", "CAST({} AS FLOAT64)"),
    "boolean": ColumnType("BOOL", "CAST({} AS BOOL)"),
    "date": ColumnType("DATE", "CAST({} AS DATE)"),
    "time": ColumnType("TIME", "CAST({} AS TIME)"),
    "instant": ColumnType("TIMESTAMP", "CAST({} AS TIMESTAMP)"),
    "wall": ColumnType("DATETIME", "CAST({} AS DATETIME)"),
    "list": ColumnType("ARRAY<STRING>", "JSON_VALUE_ARRAY({})"),
    "json": ColumnType("JSON", "PARSE_JSON({})"),
    "object": ColumnType("STRUCT<a INT64, b STRING>", "STRUCT(CAST(JSON_VALUE({0}, '$.a') AS INT64) AS a, JSON_VALUE({0}, '$.b') AS b)"),
}


class BigQueryPlace:
    """A dataset of a project."""

    dialect = "bigquery"
    # Letters, digits and a few signs: https://docs.cloud.google.com/bigquery/docs/schemas#flexible-column-names
    impossible = r"[^\w &%=+:<>#|-]"
    types = TYPES

    def __init__(self, connection: BigQueryConnection, dataset: str, run: Callable[[str], Any]) -> None:
        self.connection: Any = connection
        self.parts = (connection.project, dataset)
        self.execute = run

    def run(self, sql: str) -> None:
        """Runs one statement of GoogleSQL."""
        self.execute(sql)


class BigQueryBackend:
    """The local server, over the Storage Read API."""

    name = "bigquery"
    deviations: Mapping[str, str] = {}
    rest = False

    def missing(self) -> str | None:
        """Never: the server needs what the product and its tests need."""
        return None

    @contextmanager
    def opened(self) -> Iterator[BigQueryPlace]:
        """A server of its own."""
        with serve() as server:
            server.state.execute(f"CREATE SCHEMA {DATASET}")
            connection = BigQueryConnection.model_validate({"name": "bigquery", **server.connection(rest=self.rest)})
            yield BigQueryPlace(connection, DATASET, lambda sql: server.state.execute(statement(sql)))


class BigQueryOverRest(BigQueryBackend):
    """The local server, over REST alone."""

    name = "bigquery-rest"
    rest = True


class BigQueryAccount:
    """A real account: KLAVIYO_SYNC_TEST_BIGQUERY holds a connection's keys as JSON. It may make datasets in its project."""

    name = "bigquery-account"
    deviations: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """The variable, when it is not set."""
        return None if keys_of(VARIABLE) else f"{VARIABLE} is not set: the keys of a connection to a real account, as JSON"

    @contextmanager
    def opened(self) -> Iterator[BigQueryPlace]:
        """A dataset of its own."""
        from klaviyo_sync.warehouses.bigquery import open_bigquery  # noqa: PLC0415 - the driver

        keys = keys_of(VARIABLE) or {}
        secret = {"credentials": Revealed(keys["credentials"])} if "credentials" in keys else {}
        connection = BigQueryConnection.model_validate({"name": "bigquery", **keys, **secret})
        warehouse = open_bigquery(connection, "klaviyo_sync contract suite")
        try:
            with scratch(lambda sql: warehouse.client.query(sql).result()) as dataset:
                yield BigQueryPlace(connection, dataset, lambda sql: warehouse.client.query(sql).result())
        finally:
            warehouse.close()
