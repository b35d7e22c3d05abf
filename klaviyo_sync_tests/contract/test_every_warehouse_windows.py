"""Which rows a window takes: the same table, the same windows and the same answers on every warehouse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

import pytest
from backends import Logical, Place, make_table
from warehouse_reads import opened, quarters, sent, sync_of, taken, taken_by

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.windows import Window, window

JANUARY_2 = "2026-01-02"


@pytest.mark.parametrize("kind", ["instant", "wall"])
def test_a_window_holds_its_start_and_not_its_end(place: Place, people: str, kind: Logical) -> None:
    """Bounds are exact to the microsecond, for moments and for wall clocks alike."""
    moments = {
        "before": "2026-01-01 23:59:59.999999",
        "start": "2026-01-02 00:00:00",
        "second": "2026-01-02 00:00:00.000001",
        "last": "2026-01-02 23:59:59.999999",
        "end": "2026-01-03 00:00:00",
    }
    sync = sync_of(make_table(place, people, {"id": "text", "changed": kind}, list(moments.items())))
    assert taken(place, sync, JANUARY_2).ids == {JANUARY_2: ["last", "second", "start"]}
    both = taken(place, sync, "2026-01-01", JANUARY_2, "2026-01-03")
    assert both.ids == {"2026-01-01": ["before"], JANUARY_2: ["last", "second", "start"], "2026-01-03": ["end"]}
    assert both.read == {"2026-01-01": 1, JANUARY_2: 3, "2026-01-03": 1}


def test_a_column_without_a_zone_is_in_the_one_that_the_sync_names(place: Place, people: str) -> None:
    """Half past midnight in Berlin is the day before in UTC, and so in a window of UTC days."""
    rows = [("berlin", "2026-01-02 00:30:00"), ("noon", "2026-01-02 12:00:00")]
    dataset = make_table(place, people, {"id": "text", "changed": "wall"}, rows)
    assert taken(place, sync_of(dataset), "2026-01-01", JANUARY_2).ids == {"2026-01-01": [], JANUARY_2: ["berlin", "noon"]}
    berlin = sync_of(dataset, modified_at={"column": "changed", "timezone": "Europe/Berlin"})
    midnight = datetime(2026, 1, 2, tzinfo=UTC)
    hours = [Window("before", midnight - timedelta(hours=1), midnight), Window("after", midnight, midnight + timedelta(days=1))]
    assert taken_by(place, berlin, hours).ids == {"before": ["berlin"], "after": ["noon"]}


@pytest.mark.parametrize("day", ["2026-03-29", "2025-10-26"])
@pytest.mark.parametrize("kind", ["wall", "instant"])
def test_every_row_has_one_window_over_clock_changes(place: Place, people: str, day: str, kind: Logical) -> None:
    """Rows of every half hour over both clock changes lie in exactly one quarter of an hour, alone or together."""
    zone = ZoneInfo("Europe/Berlin")
    midnight = datetime.fromisoformat(day)
    rows = [(f"r{number:02}", str(midnight + timedelta(minutes=30 * number))) for number in range(10)]
    dataset = make_table(place, people, {"id": "text", "changed": kind}, rows)
    sync = sync_of(dataset, modified_at={"column": "changed", "timezone": zone.key}, frequency="every_15_minutes", start="2025-01-01")
    begin = (midnight.replace(tzinfo=zone) if kind == "wall" else midnight.replace(tzinfo=UTC)).astimezone(UTC)
    windows = quarters(begin, 4 * 6)
    together = taken_by(place, sync, windows).ids
    assert sorted(chain(*together.values())) == [name for name, _ in rows]
    for one in windows[4:13:4]:
        assert taken_by(place, sync, [one]).ids == {one.key: together[one.key]}


def test_the_newest_row_of_a_profile_goes_out(place: Place, people: str) -> None:
    """Older rows are superseded, in the window and by later windows, and counted where they were read."""
    rows = [
        ("a", "2026-01-02 01:00:00"), ("a", "2026-01-02 02:00:00"), ("b", "2026-01-02 03:00:00"),
        ("b", "2026-02-01 00:00:00"), ("c", "2026-01-02 04:00:00"),
    ]  # fmt: skip
    sync = sync_of(make_table(place, people, {"id": "text", "changed": "instant"}, rows))
    found = taken(place, sync, JANUARY_2)
    assert found.ids == {JANUARY_2: ["a", "c"]}
    assert (found.read, found.superseded) == ({JANUARY_2: 4}, {JANUARY_2: 2})


def test_a_history_table_sends_each_profile_once(place: Place, people: str) -> None:
    """Of many versions of a profile only the newest goes out, with its own window, whether windows run alone or together."""
    keys = [f"2026-01-0{day}" for day in range(1, 6)]
    rows = [
        (name, f"{key} {hour:02}:00:00") for key in keys for hour in (1, 5) for name in ("x", "y") if (name, key) != ("x", "2026-01-05")
    ]
    sync = sync_of(make_table(place, people, {"id": "text", "changed": "wall"}, rows))
    together = taken(place, sync, *keys)
    expected = {**{key: [] for key in keys}, "2026-01-04": ["x"], "2026-01-05": ["y"]}
    assert together.ids == expected
    assert sum(together.read.values()) - sum(together.superseded.values()) == 2
    assert taken(place, sync, "2026-01-04").ids == {"2026-01-04": ["x"]}


def test_rows_without_an_identifier_are_not_one_another(place: Place, people: str) -> None:
    """NULL is nobody's identifier: such rows do not supersede each other, and one with another identifier goes out."""
    columns: dict[str, Logical] = {"id": "text", "mail": "text", "changed": "instant"}
    rows = [
        (None, "anna@example.com", "2026-01-02 01:00:00"), (None, "boris@example.com", "2026-01-02 02:00:00"),
        (None, None, "2026-01-02 03:00:00"), (None, None, "2026-01-02 04:00:00"),
    ]  # fmt: skip
    sync = sync_of(make_table(place, people, columns, rows), profile={"external_id": "id", "email": "mail"})
    assert sent(place, sync, JANUARY_2) == [{"email": "anna@example.com"}, {"email": "boris@example.com"}]
    found = taken(place, sync, JANUARY_2)
    assert (found.read, found.superseded) == ({JANUARY_2: 4}, {JANUARY_2: 0})


@pytest.mark.parametrize(("history", "ids"), [("include", ["new", "old"]), ("skip", ["new"])])
def test_the_first_window_reaches_back_to_the_beginning(place: Place, people: str, history: str, ids: list[str]) -> None:
    """Rows from before the start go with the first window, unless the sync says otherwise."""
    rows = [("old", "1969-12-31 23:59:59.999999"), ("new", "2026-01-01 05:00:00")]
    sync = sync_of(make_table(place, people, {"id": "text", "changed": "instant"}, rows), history=history)
    assert taken(place, sync, "2026-01-01").ids == {"2026-01-01": ids}


def test_a_date_tells_days_apart(place: Place, people: str) -> None:
    """A DATE column does for windows of whole days, and is refused for shorter ones."""
    dataset = make_table(place, people, {"id": "text", "changed": "date"}, [("a", "2026-01-01"), ("b", JANUARY_2)])
    assert taken(place, sync_of(dataset), "2026-01-01", JANUARY_2).ids == {"2026-01-01": ["a"], JANUARY_2: ["b"]}
    with pytest.raises(ConfigError, match="DATE"):
        taken(place, sync_of(dataset, frequency="hourly"), "2026-01-01-05:00")


@pytest.mark.parametrize("kind", ["instant", "wall", "date"])
def test_rows_that_no_window_holds_are_counted(place: Place, people: str, kind: Logical) -> None:
    """Rows without modified_at, and rows of the future."""
    rows = [("a", None), ("b", None), ("c", JANUARY_2), ("d", "2027-01-01")]
    moments = rows if kind == "date" else [(name, moment and f"{moment} 00:00:00") for name, moment in rows]
    sync = sync_of(make_table(place, people, {"id": "text", "changed": kind}, moments))
    with opened(place, sync) as source:
        assert source.rows_outside() == (2, 1)


@pytest.mark.parametrize("kind", ["instant", "wall", "date"])
def test_rows_are_counted_again_by_window(place: Place, people: str, kind: Logical) -> None:
    """A later count gives each row to the window that read it last, exact to the microsecond."""
    rows = [("a", "2026-01-01"), ("b", JANUARY_2), ("c", JANUARY_2), ("d", "2026-01-03"), ("e", None)]
    moments = rows if kind == "date" else [(name, moment and f"{moment} 23:59:59.999999") for name, moment in rows]
    sync = sync_of(make_table(place, people, {"id": "text", "changed": kind}, moments))
    windows = [window(sync, f"2026-01-0{day}") for day in range(1, 5)]
    with opened(place, sync) as source:
        assert source.count_again(windows) == [1, 2, 1, 0]


def test_a_window_without_rows(place: Place, people: str) -> None:
    """Nothing is read, and nothing goes wrong."""
    sync = sync_of(make_table(place, people, {"id": "text", "changed": "instant"}, []))
    assert taken(place, sync, JANUARY_2) == ({JANUARY_2: []}, {JANUARY_2: 0}, {JANUARY_2: 0})
