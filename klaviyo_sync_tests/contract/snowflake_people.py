"""A table on the local Snowflake, and ways to log in and read it: shared by the tests of that warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import pyarrow as pa
from backend_snowflake import connection_of
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from klaviyo_sync.core.query import Query, relation, window_query
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.warehouses.snowflake import SnowflakeWarehouse
from klaviyo_sync.warehouses.snowflake_access import Patience, log_in
from klaviyo_sync.warehouses.snowflake_failures import Place, explained
from snowflake_server import Server

PASSWORD = "opens nothing"
SHORT = Patience(login=3, network=2, socket=2, pauses=lambda: repeat(0))
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
COLUMNS = ("whole", "numeric", "local")


def pem(password: str | None = None, key: rsa.RSAPrivateKey = KEY) -> str:
    """The private key as PEM."""
    closed = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, closed).decode()


def public() -> str:
    """Its public half."""
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def make_people(server: Server, rows: int) -> None:
    """So many rows: ids 0, 1, ..., numbers that grow, and a TIMESTAMP_LTZ that every third row lacks."""
    server.state.execute(
        "CREATE TABLE people (id VARCHAR, whole INTEGER, numeric NUMBER(12,2), local TIMESTAMP_LTZ, changed TIMESTAMP_NTZ, secret VARCHAR)"
    )
    server.state.engine.duck_conn.execute(
        f"""INSERT INTO DB1.PUBLIC.PEOPLE SELECT i::VARCHAR, i * i, (i / 4)::DECIMAL(12, 2),
        CASE WHEN i % 3 > 0 THEN TIMESTAMPTZ '1969-12-31 23:59:59.25Z' + to_seconds(i) END,
        TIMESTAMP '2026-01-01' + to_seconds(i), 'nobody reads this' FROM range({rows}) AS r(i)"""
    )


def people(**changes: Any) -> Sync:
    """A sync of the table."""
    plain = {
        "name": "people",
        "connection": "snow",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
        "properties": {name: name for name in COLUMNS},
    }
    return Sync.model_validate({key: value for key, value in {**plain, **changes}.items() if value is not None})


@contextmanager
def opened(server: Server, **keys: Any) -> Iterator[SnowflakeWarehouse]:
    """The warehouse behind a server's connection with these keys, not as patient as in real life."""
    if not {"password", "private_key", "private_key_path", "token"} & keys.keys():
        keys["password"] = PASSWORD
    connection = connection_of(server.connection(**keys))
    place = Place(user=connection.user, role=connection.role, warehouse=connection.warehouse)
    with explained(place):
        warehouse = SnowflakeWarehouse(log_in(connection, "klaviyo_sync people 2026-01-01", SHORT), place)
    try:
        yield warehouse
    finally:
        warehouse.close()


def window(warehouse: SnowflakeWarehouse, sync: Sync | None = None) -> Query:
    """The query for all rows."""
    asked = sync or people()
    read = relation(asked, "snowflake")
    return window_query(asked, read, warehouse.columns(read), lower=None, upper=FOREVER)


def rows(warehouse: SnowflakeWarehouse, sync: Sync | None = None) -> pa.Table:
    """All rows, in the order of `changed`."""
    return pa.Table.from_batches(list(warehouse.batches(window(warehouse, sync)))).sort_by("changed")
