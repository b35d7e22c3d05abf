"""Snowflake in the shared suite: the local server, and a real account where one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from backends import ColumnType, keys_of, scratch

from klaviyo_sync.config.connections import SnowflakeConnection
from klaviyo_sync.config.env import Revealed

VARIABLE = "KLAVIYO_SYNC_TEST_SNOWFLAKE"
SECRETS = ("private_key", "private_key_password", "password", "token")
TYPES = {
    "text": ColumnType("VARCHAR"),
    "integer": ColumnType("INTEGER", "CAST({} AS INTEGER)"),
    "decimal": ColumnType("NUMBER(12, 2)", "CAST({} AS NUMBER(12, 2))"),
    "float": ColumnType("FLOAT", "CAST({} AS FLOAT)"),
    "boolean": ColumnType("BOOLEAN", "CAST({} AS BOOLEAN)"),
    "date": ColumnType("DATE", "CAST({} AS DATE)"),
    "time": ColumnType("TIME", "CAST({} AS TIME)"),
    "instant": ColumnType("TIMESTAMP_TZ", "CAST({} || '+00:00' AS TIMESTAMP_TZ)"),
    "wall": ColumnType("TIMESTAMP_NTZ", "CAST({} AS TIMESTAMP_NTZ)"),
    "list": ColumnType("ARRAY", "CAST(PARSE_JSON({}) AS ARRAY)"),
    "json": ColumnType("VARIANT", "PARSE_JSON({})"),
    "object": ColumnType("OBJECT", "CAST(PARSE_JSON({}) AS OBJECT)"),
}


def connection_of(keys: dict[str, Any]) -> SnowflakeConnection:
    """A connection whose secrets are revealed."""
    return SnowflakeConnection.model_validate(
        {"name": "snow", **{key: Revealed(value) if key in SECRETS else value for key, value in keys.items()}}
    )


class SnowflakePlace:
    """A schema of a Snowflake."""

    dialect = "snowflake"
    types = TYPES
    impossible = r"(?!)"

    def __init__(self, connection: SnowflakeConnection, parts: tuple[str, ...], run: Any) -> None:
        self.connection: Any = connection
        self.parts = parts
        self.execute = run

    def run(self, sql: str) -> None:
        """Runs one statement."""
        self.execute(sql)


class SnowflakeBackend:
    """The local server, over the real driver."""

    name = "snowflake"
    deviations: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """fakesnow, which the local server stands on, needs Python 3.11."""
        return None if find_spec("fakesnow") else "fakesnow, on which the local Snowflake stands, is not installed"

    @contextmanager
    def opened(self) -> Iterator[SnowflakePlace]:
        """A server of its own."""
        from snowflake_server import serve  # noqa: PLC0415 - fakesnow, where it can be had

        with serve() as server:
            place = SnowflakePlace(connection_of(server.connection(password="opens nothing")), ("DB1", "PUBLIC"), server.state.execute)
            place.impossible = "'"  # fakesnow writes down names without doubling it
            yield place
            assert server.state.broken == []


class SnowflakeAccount:
    """A real account: KLAVIYO_SYNC_TEST_SNOWFLAKE holds a connection's keys as JSON. Its role may CREATE SCHEMA in its database."""

    name = "snowflake-account"
    deviations: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """The variable, when it is not set."""
        return None if keys_of(VARIABLE) else f"{VARIABLE} is not set: the keys of a connection to a real account, as JSON"

    @contextmanager
    def opened(self) -> Iterator[SnowflakePlace]:
        """A schema of its own."""
        from klaviyo_sync.warehouses.snowflake_access import Patience, log_in  # noqa: PLC0415 - the driver

        connection = connection_of(keys_of(VARIABLE) or {})
        session = log_in(connection, "klaviyo_sync contract suite", Patience())
        try:
            with scratch(lambda sql: session.cursor().execute(sql)) as schema:
                yield SnowflakePlace(connection, (str(connection.database), schema.upper()), lambda sql: session.cursor().execute(sql))
        finally:
            session.close()
