"""The queries, run on a real DuckDB: which window takes a row, by every type of moment, over clock changes and overlaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from query_place import NOW, TABLE, Opens, taken, taken_by

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, window
from klaviyo_sync.engine import engine


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


def test_every_row_has_one_window_over_clock_changes(opens: Opens) -> None:
    """Wall-clock rows of every half hour over both clock changes lie in exactly one quarter of an hour, alone or together."""
    zone = ZoneInfo("Europe/Berlin")
    for day in (datetime(2026, 3, 29, tzinfo=zone), datetime(2025, 10, 26, tzinfo=zone)):
        moments = f"TIMESTAMP '{day:%Y-%m-%d}' + to_minutes(n * 30) AS changed"
        rows = f"CREATE TABLE people AS SELECT 'r' || n AS id, {moments} FROM range(10) AS _(n)"
        source = opens(rows, modified_at={"column": "changed", "timezone": zone.key}, frequency="every_15_minutes", start="2025-01-01")
        begin = day.astimezone(UTC)
        windows = [Window(str(n), begin + timedelta(minutes=15 * n), begin + timedelta(minutes=15 * n + 15)) for n in range(4 * 6)]
        together = taken_by(source, windows)
        assert sorted(name for names in together.values() for name in names) == [f"r{n}" for n in range(10)]
        for one in windows:
            assert taken_by(source, [one]) == {one.key: together[one.key]}


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
            begin = day.astimezone(UTC)
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
        rows + "('late', '2026-03-29 00:40:00Z'), ('a', '2026-03-29 01:10:00Z'), ('b', '2026-03-29 01:50:00Z')",
        modified_at=zone, frequency="hourly", overlap="30m",
    )  # fmt: skip
    assert taken(source, "2026-03-29-03:00") == {"2026-03-29-03:00": ["a", "b", "late"]}


def test_an_overlap_of_dates(opens: Opens) -> None:
    """A DATE column tells days apart, so that an overlap of hours reads the whole day before again."""
    rows = "CREATE TABLE people (id VARCHAR, changed DATE); INSERT INTO people VALUES ('a', '2026-01-01'), ('b', '2026-01-02')"
    assert taken(opens(rows, overlap="2h"), "2026-01-02") == {"2026-01-02": ["a", "b"]}
