"""What a window costs on BigQuery, and how `check --connect` and `preview` learn it before anything is paid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from bigquery_people import opened, people

from bigquery_server import Account, Partitioning, Server, serve
from klaviyo_sync.cli.connect import ask_warehouse
from klaviyo_sync.config.connections import BigQueryConnection
from klaviyo_sync.core.query import extent_query, outside_query, relation, window_query
from klaviyo_sync.core.windows import Window
from klaviyo_sync.preview_window import preview_window
from klaviyo_sync.source import open_source
from klaviyo_sync.warehouses import connect
from klaviyo_sync.warehouses.bigquery import BigQueryWarehouse

DAYS = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=DAYS - 2, seconds=-1)
# 100 rows a day, of 8 bytes for `changed` and 2 + 4 for `id`.
TABLE = f"""
CREATE SCHEMA crm;
CREATE TABLE crm.people AS SELECT lpad(i::VARCHAR, 4, '0') AS id, TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_minutes(i * 1440 // 100) changed
FROM range({DAYS * 100}) AS r(i);
"""
DAY_BYTES = 100 * 14
PEOPLE = people(properties={})


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with a table of twenty days, partitioned by day of modified_at, that no query may read without a filter on it."""
    with serve() as running:
        running.state.execute(TABLE)
        running.state.partitioning["crm", "people"] = Partitioning("changed", filter_required=True)
        yield running


def day(warehouse: BigQueryWarehouse, number: int) -> int:
    """What one day's window is estimated to read."""
    read = relation(PEOPLE, "bigquery")
    begin = START + timedelta(days=number)
    query = window_query(PEOPLE, read, warehouse.columns(read), lower=begin, upper=begin + timedelta(days=1))
    return warehouse.estimate(query)


def test_a_window_reads_its_partitions_only(server: Server) -> None:
    """The window's condition stands on the bare column, with values of its type: a day of a table partitioned by day costs a day."""
    with opened(server) as warehouse:
        assert [day(warehouse, number) for number in (0, 7)] == [DAY_BYTES, DAY_BYTES]
        server.state.partitioning.clear()
        assert day(warehouse, 7) == DAYS * DAY_BYTES


def test_every_query_of_a_run_passes_where_a_filter_is_demanded(server: Server) -> None:
    """Columns, windows, rows outside of windows and the count: none needs the whole table."""
    with opened(server) as warehouse:
        source = open_source(PEOPLE, warehouse, NOW)
        assert source.rows_outside() == (0, 200)
        read, columns = source.relation, source.columns
        assert warehouse.estimate(outside_query(PEOPLE, read, columns, now=NOW)) == 3 * 100 * 8
        [counted] = warehouse.batches(extent_query(PEOPLE, read, columns, now=NOW))
        assert counted.to_pylist() == [{"found": 1800, "newest": START + timedelta(minutes=1799 * 1440 // 100)}]


def test_an_estimate_runs_nothing(server: Server) -> None:
    """Estimates are dry runs: no job is made, and the cap on bytes does not stop them."""
    with opened(server, maximum_bytes_billed=1) as warehouse:
        assert day(warehouse, 1) == DAY_BYTES
    assert server.state.jobs == {}


def test_what_a_run_reads(server: Server) -> None:
    """The estimate of a run is that of all its queries: its rows, who may supersede them up to the last row, and rows outside windows."""
    window = Window("2026-01-17", NOW - timedelta(days=2), NOW - timedelta(days=1))
    with opened(server) as warehouse:
        source = open_source(PEOPLE, warehouse, NOW)
        asked = server.state.asked["jobs.getQueryResults"]
        # The window touches two days, the rows after it four, those ahead of now included; each is read once.
        assert source.estimate([window]) == 3 * 100 * 8 + (2 + 4) * DAY_BYTES
        assert server.state.asked["jobs.getQueryResults"] == asked


def test_time_of_ingestion(server: Server) -> None:
    """A table that is partitioned by time of ingestion is read by it through a query that gives it a name."""
    server.state.execute("CREATE TABLE crm.loaded AS SELECT id, date_trunc('day', changed) AS _PARTITIONTIME FROM crm.people")
    server.state.partitioning["crm", "loaded"] = Partitioning("_PARTITIONTIME")
    sync = people(dataset=None, query="SELECT *, _PARTITIONTIME AS loaded_at FROM crm.loaded", modified_at="loaded_at", properties={})
    read = relation(sync, "bigquery")
    with opened(server) as warehouse:
        columns = warehouse.columns(read)
        assert [column.name for column in columns] == ["id", "loaded_at"]
        query = window_query(sync, read, columns, lower=START, upper=START + timedelta(days=1))
        assert sum(batch.num_rows for batch in warehouse.batches(query)) == 100


@pytest.mark.parametrize(
    ("partitioning", "clustering", "said"),
    [
        (Partitioning("changed", "MONTH"), ["id"], "partitioned by month of changed"),
        (None, ["changed", "id"], "clustered by changed"),
        (None, ["id", "changed"], "not partitioned or clustered by changed: every run reads"),
        (None, [], "not partitioned or clustered by changed: every run reads"),
        (Partitioning("created"), [], "partitioned by created, and not partitioned or clustered by changed"),
    ],
)
def test_what_prunes_is_told(server: Server, partitioning: Partitioning | None, clustering: list[str], said: str) -> None:
    """How a table is partitioned and clustered is seen from the modified_at column."""
    server.state.partitioning.clear()
    if partitioning is not None:
        server.state.partitioning["crm", "people"] = partitioning
    server.state.clustering["crm", "people"] = clustering
    if partitioning is not None and partitioning.column == "created":
        server.state.execute("ALTER TABLE crm.people ADD COLUMN created TIMESTAMPTZ")
    read = relation(PEOPLE, "bigquery")
    with opened(server) as warehouse:
        modified = next(column for column in warehouse.columns(read) if column.name == "changed")
        told = warehouse.pruning(read, modified)
    assert told is not None
    assert told.startswith(said)


def test_views_do_not_tell_what_prunes(server: Server) -> None:
    """A view and a SELECT have no partitions of their own."""
    server.state.partitioning.clear()
    server.state.execute("CREATE VIEW crm.seen AS FROM crm.people")
    with opened(server) as warehouse:
        for sync in (people(dataset="crm.seen", properties={}), people(dataset=None, query="SELECT * FROM crm.people", properties={})):
            read = relation(sync, "bigquery")
            assert warehouse.pruning(read, warehouse.columns(read)[1]) is None


def test_preview_tells_what_a_run_reads(server: Server) -> None:
    """The preview of a window says what its run would read at most, and that rows come over the slow way if they do."""
    window = Window("2026-01-17", NOW - timedelta(days=2), NOW - timedelta(days=1))
    with opened(server, rest=True) as warehouse:
        previewed = preview_window(PEOPLE, window, warehouse, now=NOW, seen=lambda _: None)
        assert previewed.estimate == open_source(PEOPLE, warehouse, NOW).estimate([window])
        assert "many times slower" in previewed.notes[0]
    assert previewed.result.read == 100


def answers(server: Server, rest: bool = False, **keys: str) -> dict[str, str]:  # noqa: FBT001, FBT002 - as the server's own method
    """What `check --connect` says about the sync's warehouse."""
    settings = BigQueryConnection.model_validate({"name": "bigquery", **server.connection(rest=rest), **keys})
    found = ask_warehouse("bigquery", settings, [PEOPLE], NOW, connect)
    return {f"{one.about}: {one.said}": one.shown().plain for one in found}


def test_check_connect(server: Server) -> None:
    """Columns, rows, the newest moment, what prunes, and what the newest window reads of what there is."""
    said = list(answers(server))
    assert said == [
        "credentials: connected to bigquery",
        "people: 2 columns found, and rows can be read",
        "people: rows: 1,800, last modified at 2026-01-18 23:45:00+00:00",
        "people: changed: partitioned by day of changed",
        "people: changed: the newest window reads 0.0 MB of 0.0 MB",
    ]


def test_check_connect_names_the_slow_way(server: Server) -> None:
    """Where rows can only come over REST, the check says so before a run has to."""
    assert any("many times slower" in line for line in answers(server, rest=True))


def test_check_connect_names_the_role(server: Server) -> None:
    """A missing right is told with the role that gives it, and is wrong."""
    server.state.accounts["anybody"] = Account("anybody", reads=frozenset())
    [*_, told] = answers(server).values()
    assert told.startswith("wrong: ")
    assert "roles/bigquery.dataViewer" in told


@pytest.mark.parametrize(("most", "said"), [(40_000_000, "in 1,800 rows (24.0 MB)"), (12_000_000, "not counted. ")])
def test_check_connect_counts_placeholders(server: Server, most: int, said: str) -> None:
    """Placeholders are counted under a demanded filter, and the bytes told; where that costs too much, nothing is wrong for it."""
    server.state.execute("UPDATE crm.people SET id = repeat(id, 1500)")
    settings = BigQueryConnection.model_validate({"name": "bigquery", **server.connection(), "maximum_bytes_billed": most})
    sync = people(profile={"external_id": "id", "email": "id"}, properties={})
    found = list(ask_warehouse("bigquery", settings, [sync], NOW, connect))
    assert all(one.good for one in found)
    [placeholders] = [one.said for one in found if one.about == "people: placeholders"]
    assert said in placeholders
