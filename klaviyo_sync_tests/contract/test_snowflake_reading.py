"""Snowflake over the wire with its own driver: logins, the session, chunks, one schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

pytest.importorskip("fakesnow", reason="fakesnow, on which the local Snowflake stands, is not installed")

from snowflake_people import COLUMNS, PASSWORD, make_people, opened, pem, people, public, rows, window

from klaviyo_sync.core.query import find_column, relation
from klaviyo_sync.warehouses.snowflake import BATCH_ROWS
from snowflake_server import Account, Server, serve

DRIVERS = ("snowflake.", "dagster_snowflake", "cryptography")
MANY = 2 * BATCH_ROWS + 100


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with many people, in chunks of uneven sizes."""
    with serve() as running:
        running.state.chunk_rows = 7_000
        make_people(running, MANY)
        yield running
        assert running.state.broken == []


@pytest.mark.parametrize("way", ["pem", "path", "password", "oauth"])
def test_ways_to_log_in(server: Server, tmp_path: Path, way: str) -> None:
    """A key, from a variable or a file; a password; a token. The server checks each."""
    server.state.accounts["KEYED"] = Account(public_key=public())
    file = tmp_path / "key.p8"
    file.write_text(pem(), encoding="utf-8")
    keys = {
        "pem": {"user": "keyed", "private_key": pem()},
        "path": {"user": "keyed", "private_key_path": str(file)},
        "password": {"password": PASSWORD},
        "oauth": {"token": PASSWORD, "authenticator": "oauth"},
    }
    with opened(server, **keys[way]) as warehouse:
        assert {column.name for column in warehouse.columns(relation(people(), "snowflake"))} > {"ID", "WHOLE"}


def test_the_session_is_set_for_reading(server: Server) -> None:
    """The session is in UTC, names the sync and the window to whoever watches, and lets nobody cut results short. It ends."""
    with opened(server):
        session = next(reversed(server.state.sessions.values()))
        asked = session.parameters
        before = server.state.asked["logout"]
    assert asked["TIMEZONE"] == "UTC"
    assert asked["QUERY_TAG"] == "klaviyo_sync people 2026-01-01"
    assert (asked["ROWS_PER_RESULTSET"], asked["STRICT_JSON_OUTPUT"]) == (0, True)
    assert server.state.asked["logout"] == before + 1


def test_chunks_become_batches_of_one_schema(server: Server) -> None:
    """However rows are cut and however narrow the numbers of a chunk are, no batch is too large, and all have one schema."""
    with opened(server) as warehouse:
        batches = list(warehouse.batches(window(warehouse)))
    assert sum(batch.num_rows for batch in batches) == MANY
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in batches)
    assert [str(type_) for type_ in batches[0].schema.types] == [
        "string", "decimal128(38, 0)", "decimal128(12, 2)", "timestamp[us, tz=UTC]", "timestamp[us]",
    ]  # fmt: skip
    assert len({batch.schema for batch in batches}) == 1
    last = batches[-1].to_pylist()[-1]
    number = MANY - 1
    assert (last["id"], last["whole"], last["numeric"]) == (str(number), number**2, Decimal(number) / 4)


def test_moments_of_the_session_and_none(server: Server) -> None:
    """TIMESTAMP_LTZ arrives as the moment it is, from before 1970 too, and NULL as NULL."""
    with opened(server) as warehouse:
        found = rows(warehouse).column("local").slice(0, 3).to_pylist()
    assert found == [None, datetime(1970, 1, 1, 0, 0, 0, 250_000, UTC), datetime(1970, 1, 1, 0, 0, 1, 250_000, UTC)]


@pytest.mark.parametrize("declared", ["TIMESTAMP_LTZ", "TIMESTAMP_TZ", "TIMESTAMP_NTZ", "DATE"])
def test_bounds_are_bound_with_the_columns_own_type(server: Server, declared: str) -> None:
    """No cast stands between a column and its bound, so that Snowflake can pass over what lies outside."""
    table = f"bound_{declared}"
    server.state.execute(f"CREATE TABLE {table} (id VARCHAR, changed {declared})")
    server.state.execute(f"INSERT INTO {table} SELECT 'x', CAST('2026-01-02' AS {declared.replace('LTZ', 'TZ')})")
    sync = people(dataset=table, properties={})
    with opened(server) as warehouse:
        assert rows(warehouse, sync).num_rows == 1
    assert 'src."CHANGED" < ?' in server.state.queries[-1]


def test_places_arrive_as_geojson(server: Server) -> None:
    """A GEOGRAPHY is asked for as GeoJSON, and read as the JSON that it is."""
    server.state.execute("CREATE TABLE shops (id VARCHAR, place GEOGRAPHY, changed TIMESTAMP_NTZ)")
    server.state.execute("INSERT INTO shops SELECT 'x', PARSE_JSON('{\"type\":\"Point\"}'), '2026-01-01'::TIMESTAMP_NTZ")
    with opened(server) as warehouse:
        assert rows(warehouse, people(dataset="shops", properties={"P": "place"})).column("place").to_pylist() == ['{"type":"Point"}']


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            "CREATE TABLE by_day (id VARCHAR, changed TIMESTAMP_NTZ) CLUSTER BY (TO_DATE(changed), id)",
            "clustered by LINEAR(TO_DATE(CHANGED), ID)",
        ),
        ("CREATE TABLE by_id (id VARCHAR, changed TIMESTAMP_NTZ) CLUSTER BY (id)", "not clustered by CHANGED"),
        ("CREATE TABLE heap (id VARCHAR, changed TIMESTAMP_NTZ)", "CLUSTER BY (CHANGED)"),
        ("CREATE VIEW seen AS SELECT * FROM people", None),
    ],
)
def test_how_a_table_is_clustered(server: Server, made: str, said: str | None) -> None:
    """Whoever may SELECT learns whether a window's query can pass over other windows' rows; of a view that is not known."""
    server.state.execute(made)
    sync = people(dataset=made.split()[2])
    read = relation(sync, "snowflake")
    with opened(server) as warehouse:
        found = warehouse.pruning(read, find_column("changed", warehouse.columns(read), "it"))
    assert found == said or (said is not None and found is not None and said in found)


def test_a_reader_that_stops_early_leaves_nothing_open(server: Server) -> None:
    """Whoever stops after the first batch can close, and nothing is fetched any more."""
    with opened(server) as warehouse:
        batches = warehouse.batches(window(warehouse))
        assert isinstance(batches, Generator)
        assert 0 < next(batches).num_rows <= BATCH_ROWS
        batches.close()
        fetched = server.state.asked["chunk"]
    assert server.state.asked["chunk"] <= fetched + 1


def test_the_module_imports_no_driver() -> None:
    """The driver is loaded by the first connection, not by the module that opens it."""
    code = f"import sys, klaviyo_sync.warehouses.snowflake; print(*(name for name in sys.modules if name.startswith({DRIVERS!r})))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_columns_nobody_maps_are_not_read(server: Server) -> None:
    """Only the sync's own columns cross the wire, and only SELECTs."""
    with opened(server) as warehouse:
        assert set(rows(warehouse).column_names) == {"id", "changed", *COLUMNS}
    assert not [sql for sql in server.state.queries if not sql.startswith("SELECT")]
