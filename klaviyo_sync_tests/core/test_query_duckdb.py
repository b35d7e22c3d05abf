"""The queries, run on a real DuckDB: awkward names, bounds, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import Column, find_column
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, window
from klaviyo_sync.source import Source, open_source
from klaviyo_sync.sync_window import engine
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
Opens = Callable[..., Source]


def sync_of(**changes: Any) -> Sync:
    """A sync of the table `people`, with changes."""
    plain = {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"external_id": "id"},
    }
    return Sync.model_validate({key: value for key, value in {**plain, **changes}.items() if value is not None})


@pytest.fixture
def opens(tmp_path: Path) -> Iterator[Opens]:
    """Opens the source of a sync over tables that some SQL makes."""
    opened: list[DuckDBWarehouse] = []

    def source(tables: str, now: datetime = NOW, **changes: Any) -> Source:
        file = tmp_path / f"{len(opened)}.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute(tables)
        opened.append(DuckDBWarehouse(file))
        return open_source(sync_of(**changes), opened[-1], now)

    yield source
    for warehouse in opened:
        warehouse.close()


def taken(source: Source, *keys: str) -> dict[str, list[str]]:
    """The external ids that each window takes, sorted."""
    windows = [window(source.sync, key) for key in keys]
    return taken_by(source, windows)


def taken_by(source: Source, windows: list[Window]) -> dict[str, list[str]]:
    """The external ids that each window takes, sorted."""
    found: dict[str, list[str]] = {one.key: [] for one in windows}
    with engine() as connection:
        for rows in source.newest(windows, Rivals(connection.cursor(), source.plan), Tally(windows)):
            for position, name, held in zip(rows.windows, rows.mapped.profiles["external_id"], rows.held, strict=True):
                if not held:
                    found[windows[position].key].append(name)
    return {key: sorted(names) for key, names in found.items()}


TABLE = "CREATE TABLE people (id VARCHAR, changed TIMESTAMP); INSERT INTO people VALUES "


@pytest.mark.parametrize(
    "name",
    [
        'the "id"',
        "it's",
        "a.b",
        "id; DROP TABLE people",
        "back\\slash",
        "🎉",
        "select",
        "{x}",
        "%s",
        "$lower",
        "src",
        "lower",
        "-- x",
        "/*",
    ],
)
def test_awkward_column_names(opens: Opens, name: str) -> None:
    """Any name that DuckDB can quote can be an identifier's column, and a property's."""
    quoted = '"' + name.replace('"', '""') + '"'
    source = opens(
        f"CREATE TABLE people ({quoted} VARCHAR, changed TIMESTAMP); INSERT INTO people VALUES ('x', '2026-01-02')",
        profile={"external_id": name},
        properties={"P": name},
    )
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


@pytest.mark.parametrize(
    ("dataset", "made"),
    [
        ("people", "people"),
        ("main.people", "people"),
        ("PEOPLE", "people"),
        ('crm."the people"', 'crm."the people"'),
        ('"crm"."a.b"', 'crm."a.b"'),
        ('"say ""hi"""', '"say ""hi"""'),
    ],
)
@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_awkward_datasets(opens: Opens, dataset: str, made: str, kind: str) -> None:
    """Tables and views are found by quoted and unquoted names of up to three parts."""
    source = opens(f"CREATE SCHEMA crm; CREATE {kind} {made} AS SELECT 'x' AS id, TIMESTAMP '2026-01-02' AS changed", dataset=dataset)
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


@pytest.mark.parametrize("dataset", ["people; DROP TABLE people", "a.b.c.d", "", " ", "(SELECT 1)", "read_csv('x')", "a b c"])
def test_datasets_that_are_no_name(opens: Opens, dataset: str) -> None:
    """A dataset is the name of a table or view, and nothing that could be run."""
    with pytest.raises(ConfigError):
        opens(TABLE + "('x', '2026-01-02')", dataset=dataset or "''")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, changed FROM people",
        "select id, changed from people;",
        "SELECT id, changed FROM people -- all of them",
        "SELECT id, changed FROM people /* ; */ ; -- done",
        "WITH p AS (SELECT * FROM people) SELECT * FROM p",
        "SELECT id, changed FROM people UNION ALL SELECT id, changed FROM people WHERE false",
        "(SELECT id, changed FROM people)",
        "SELECT 'DROP; TABLE' AS note, id, changed FROM people ORDER BY changed LIMIT 10",
        "SELECT lower AS id, changed FROM (SELECT id AS lower, changed FROM people)",
        "FROM people",
        "SELECT id, changed FROM people WHERE id NOT LIKE '%$lower%' AND id <> ':upper ?'",
    ],
)
def test_queries(opens: Opens, query: str) -> None:
    """One SELECT is run as it was written."""
    source = opens(TABLE + "('x', '2026-01-02'), ('y', '2026-01-03')", dataset=None, query=query)
    assert taken(source, "2026-01-02", "2026-01-03") == {"2026-01-02": ["x"], "2026-01-03": ["y"]}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "SELECT id, changed FROM people; DROP TABLE people",
        "INSERT INTO people VALUES ('x', NULL)",
        "INSERT INTO people SELECT * FROM people RETURNING *",
        "UPDATE people SET id = NULL",
        "DELETE FROM people",
        "DROP TABLE people",
        "CREATE TABLE more AS SELECT * FROM people",
        "COPY people TO 'people.csv'",
        "COPY (SELECT * FROM people) TO 'people.csv'",
        "SELECT * INTO more FROM people",
        "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
        "ATTACH 'other.duckdb'",
        "PRAGMA database_list",
        "SET memory_limit = '1GB'",
        "EXPORT DATABASE 'x'",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPLAIN ANALYZE SELECT 1",
        "TRUNCATE people",
        "SELECT id, changed FROM people) AS src; DROP TABLE people; SELECT * FROM (people",
        "SELECT id, changed FROM people FOR UPDATE",
        "",
        ";",
        "-- nothing",
        "people",
        "SELECT FROM WHERE",
    ],
)
def test_queries_that_are_not_one_select(opens: Opens, query: str) -> None:
    """Two statements, and whatever could change something, are refused before they reach the warehouse."""
    with pytest.raises(ConfigError, match=r"query|SELECT"):
        opens(TABLE + "('x', '2026-01-02')", dataset=None, query=query or " ")


def test_the_first_window_reaches_back(opens: Opens) -> None:
    """Older rows go with the first window, unless history is skipped; a window takes its start, and not its end."""
    rows = (
        TABLE + "('old', '1999-01-01'), ('before', '2025-12-31 23:59:59.999999'), ('start', '2026-01-01'), "
        "('last', '2026-01-01 23:59:59.999999'), ('end', '2026-01-02')"
    )
    assert taken(opens(rows), "2026-01-01") == {"2026-01-01": ["before", "last", "old", "start"]}
    assert taken(opens(rows, history="skip"), "2026-01-01") == {"2026-01-01": ["last", "start"]}
    assert taken(opens(rows), "2026-01-01", "2026-01-02") == {"2026-01-01": ["before", "last", "old", "start"], "2026-01-02": ["end"]}
    assert taken(opens(rows), "2026-01-02") == {"2026-01-02": ["end"]}


def test_overlap(opens: Opens) -> None:
    """An overlap reads again what the window before took; with history skipped the first window has it too."""
    rows = TABLE + "('a', '2025-12-31 23:00'), ('b', '2026-01-01 22:59:59'), ('c', '2026-01-01 23:00'), ('d', '2026-01-02 01:00')"
    assert taken(opens(rows, overlap="1h"), "2026-01-02") == {"2026-01-02": ["c", "d"]}
    assert taken(opens(rows, overlap="1h", history="skip"), "2026-01-01") == {"2026-01-01": ["a", "b", "c"]}


@pytest.mark.parametrize("type_", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"])
def test_every_type_of_moment(opens: Opens, type_: str) -> None:
    """Columns of every precision, with a zone and without, are cut at the same instants."""
    rows = f"CREATE TABLE people (id VARCHAR, changed {type_}); SET TimeZone = 'UTC'; INSERT INTO people VALUES "
    source = opens(rows + "('a', '2026-01-01 23:59:59'), ('b', '2026-01-02 00:00:00'), ('c', '2026-01-03 00:00:00')")
    assert taken(source, "2026-01-01", "2026-01-02") == {"2026-01-01": ["a"], "2026-01-02": ["b"]}


def test_wall_clock_times_by_the_syncs_zone(opens: Opens) -> None:
    """Times without a zone are cut at midnight in the sync's zone, instants at the same moment."""
    walls = TABLE + "('a', '2026-01-01 23:59'), ('b', '2026-01-02 00:00')"
    zone = {"column": "changed", "timezone": "America/New_York"}
    assert taken(opens(walls, modified_at=zone), "2026-01-01", "2026-01-02") == {"2026-01-01": ["a"], "2026-01-02": ["b"]}
    instants = "CREATE TABLE people (id VARCHAR, changed TIMESTAMPTZ); INSERT INTO people VALUES "
    source = opens(instants + "('a', '2026-01-02 04:59:00+00'), ('b', '2026-01-02 05:00:00+00')", modified_at=zone)
    assert taken(source, "2026-01-01", "2026-01-02") == {"2026-01-01": ["a"], "2026-01-02": ["b"]}


def test_dates(opens: Opens) -> None:
    """A DATE column does for windows of whole days, and is refused for shorter ones with what to do."""
    rows = "CREATE TABLE people (id VARCHAR, changed DATE); INSERT INTO people VALUES ('a', '2026-01-01'), ('b', '2026-01-02')"
    assert taken(opens(rows), "2026-01-01", "2026-01-02") == {"2026-01-01": ["a"], "2026-01-02": ["b"]}
    zone = {"column": "changed", "timezone": "Asia/Tokyo"}
    assert taken(opens(rows, modified_at=zone), "2026-01-01", "2026-01-02") == {"2026-01-01": ["a"], "2026-01-02": ["b"]}
    with pytest.raises(ConfigError, match="DATE"):
        taken(opens(rows, frequency="hourly"), "2026-01-01-05:00")


def test_rows_that_no_window_holds(opens: Opens) -> None:
    """Rows without modified_at and rows after now are counted; now itself is not after now."""
    rows = "('a', NULL), ('b', NULL), ('c', '2026-06-01 00:00:00'), ('d', '2026-06-01 00:00:00.000001'), ('e', '2027-01-01')"
    assert opens(TABLE + rows).rows_outside() == (2, 2)
    assert opens(TABLE + "('a', '2026-01-01')").rows_outside() == (0, 0)
    assert opens("CREATE TABLE people (id VARCHAR, changed TIMESTAMP)").rows_outside() == (0, 0)


def test_dates_after_now(opens: Opens) -> None:
    """Today is not in the future for a DATE column, tomorrow is."""
    rows = "CREATE TABLE people (id VARCHAR, changed DATE); INSERT INTO people VALUES ('a', '2026-06-01'), ('b', '2026-06-02')"
    assert opens(rows, now=NOW + timedelta(hours=5)).rows_outside() == (0, 1)


@pytest.mark.parametrize(
    ("tables", "changes", "said"),
    [
        (TABLE + "('x', NULL)", {"dataset": "peple"}, "people"),
        (TABLE + "('x', NULL)", {"modified_at": "chnged"}, "Did you mean changed?"),
        (TABLE + "('x', NULL)", {"profile": {"external_id": "idd"}}, "Did you mean id?"),
        (TABLE + "('x', NULL)", {"properties": {"P": "nothing like it"}}, "It has: id, changed"),
        (TABLE + "('x', NULL)", {"modified_at": "id"}, "VARCHAR; expected a timestamp or a date"),
        ("CREATE TABLE people (id VARCHAR, changed BIGINT)", {}, "BIGINT; expected a timestamp or a date"),
        ("CREATE TABLE people (id VARCHAR, changed TIME)", {}, "TIME; expected a timestamp or a date"),
        ("CREATE TABLE people (id BLOB, changed TIMESTAMP)", {}, "BLOB"),
        (TABLE + "('x', NULL)", {"dataset": None, "query": "SELECT id, changedt FROM people"}, '"changed"'),
    ],
)
def test_what_is_not_there(opens: Opens, tables: str, changes: dict[str, Any], said: str) -> None:
    """A missing table or column, or a wrong type, is the configuration's fault; the nearest name is told."""
    with pytest.raises(ConfigError) as caught:
        opens(tables, **changes)
    assert said in str(caught.value)


def test_names_that_differ_in_case_only() -> None:
    """Where two columns differ in case only, the exact one is taken, and any other spelling is refused."""
    columns = [Column("Id", "VARCHAR"), Column("ID", "VARCHAR")]
    assert find_column("ID", columns, "people").name == "ID"
    with pytest.raises(ConfigError, match="could be Id, ID"):
        find_column("id", columns, "people")


def test_case_of_column_names(opens: Opens) -> None:
    """A column is found whatever the case of its name."""
    source = opens("CREATE TABLE people (Id VARCHAR, CHANGED TIMESTAMP); INSERT INTO people VALUES ('x', '2026-01-02')")
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


def test_every_row_has_one_window_over_clock_changes(opens: Opens) -> None:
    """Wall-clock rows of every half hour over both clock changes lie in exactly one quarter of an hour, alone or together."""
    zone = ZoneInfo("Europe/Berlin")
    for day in (datetime(2026, 3, 29, tzinfo=zone), datetime(2025, 10, 26, tzinfo=zone)):
        moments = f"TIMESTAMP '{day:%Y-%m-%d}' + to_minutes(n * 30) AS changed"
        rows = f"CREATE TABLE people AS SELECT n::VARCHAR AS id, {moments} FROM range(10) AS _(n)"
        source = opens(rows, modified_at={"column": "changed", "timezone": zone.key}, frequency="every_15_minutes", start="2025-01-01")
        begin = day.astimezone(timezone.utc)
        windows = [Window(str(n), begin + timedelta(minutes=15 * n), begin + timedelta(minutes=15 * n + 15)) for n in range(4 * 6)]
        together = taken_by(source, windows)
        assert sorted(name for names in together.values() for name in names) == [str(n) for n in range(10)]
        for one in windows:
            assert taken_by(source, [one]) == {one.key: together[one.key]}


def test_a_column_of_nothing_but_null(opens: Opens) -> None:
    """A column that a SELECT fills with NULL has no type of its own; it is read as text, and its cells are left out."""
    query = "SELECT 'a' AS id, NULL AS email, TIMESTAMPTZ '2026-01-01 06:00Z' AS changed"
    source = opens("SELECT 1", dataset=None, query=query, profile={"external_id": "id", "email": "email"})
    assert taken(source, "2026-01-01") == {"2026-01-01": ["a"]}


@pytest.mark.parametrize("type_", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ", "DATE"])
@pytest.mark.parametrize("overlap", ["0m", "1d", "36h"])
def test_counted_again_as_read_for_good(opens: Opens, type_: str, overlap: str) -> None:
    """The rows that a window is the last one to read are as many when they are counted again, whatever the column and the overlap."""
    moments = f"(TIMESTAMP '2025-12-28' + to_seconds(n * 5437))::{type_}"
    source = opens(
        f"SET TimeZone = 'UTC'; CREATE TABLE people AS SELECT n::VARCHAR AS id, {moments} AS changed FROM range(200) AS _(n)",
        overlap=overlap,
    )
    windows = [window(source.sync, f"2026-01-0{day}") for day in range(1, 7)]
    tally = Tally(windows)
    with engine() as connection:
        assert list(source.newest(windows, Rivals(connection.cursor(), source.plan), tally))
    again = source.count_again(windows)
    assert again == tally.read_for_good.tolist()
    assert all(again)


def test_counted_again_over_clock_changes(opens: Opens) -> None:
    """Wall-clock rows of every half hour are counted with the same windows as they are read, over both clock changes."""
    zone = ZoneInfo("Europe/Berlin")
    for day in (datetime(2026, 3, 29, tzinfo=zone), datetime(2025, 10, 26, tzinfo=zone)):
        moments = f"TIMESTAMP '{day:%Y-%m-%d}' + to_minutes(n * 30) AS changed"
        rows = f"CREATE TABLE people AS SELECT n::VARCHAR AS id, {moments} FROM range(10) AS _(n)"
        for overlap in ("0m", "20m"):
            changes = {"frequency": "every_15_minutes", "start": "2025-01-01", "overlap": overlap}
            source = opens(rows, modified_at={"column": "changed", "timezone": zone.key}, **changes)
            begin = day.astimezone(timezone.utc)
            windows = [Window(str(n), begin + timedelta(minutes=15 * n), begin + timedelta(minutes=15 * n + 15)) for n in range(4 * 6)]
            tally = Tally(windows)
            with engine() as connection:
                assert list(source.newest(windows, Rivals(connection.cursor(), source.plan), tally))
            assert source.count_again(windows) == tally.read_for_good.tolist()


def test_an_overlap_reaches_back_where_clocks_change(opens: Opens) -> None:
    """The hour after the clocks went forward is read whole, and what lies its overlap before it as well."""
    rows = "SET TimeZone = 'UTC'; CREATE TABLE people (id VARCHAR, changed TIMESTAMPTZ); INSERT INTO people VALUES "
    zone = {"column": "changed", "timezone": "Europe/Berlin"}
    source = opens(
        rows + "('late', '2026-03-29 00:40Z'), ('a', '2026-03-29 01:10Z'), ('b', '2026-03-29 01:50Z')",
        modified_at=zone, frequency="hourly", overlap="30m",
    )  # fmt: skip
    assert taken(source, "2026-03-29-03:00") == {"2026-03-29-03:00": ["a", "b", "late"]}


def test_an_overlap_of_dates(opens: Opens) -> None:
    """A DATE column tells days apart, so that an overlap of hours reads the whole day before again."""
    rows = "CREATE TABLE people (id VARCHAR, changed DATE); INSERT INTO people VALUES ('a', '2026-01-01'), ('b', '2026-01-02')"
    assert taken(opens(rows, overlap="2h"), "2026-01-02") == {"2026-01-02": ["a", "b"]}
