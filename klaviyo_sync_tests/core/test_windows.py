"""Windows are Dagster's: the same keys, the same instants, in every zone and on every day of the year."""

# ruff: noqa: DTZ001 - windows start from wall times

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from how_many import examples
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.sync import ModifiedAt, Sync
from klaviyo_sync.core.windows import FREQUENCIES, frequency, window, windows

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu")
ZONES_WITH_RARE_CLOCK_CHANGES = ("America/Havana", "Africa/Cairo", "America/Santiago", "Atlantic/Azores", "Asia/Beirut")
CRONS = (
    "*/20 * * * *",
    "0 */8 * * *",
    "0 6,18 * * *",
    "30 2 * * *",
    "30 1 * * 1-5",
    "15 2 * * 0",
    "30 4 1 * *",
    "0 * * * 1-5",
    "*/15 0-4 * * *",
    "0 0 1,15 * 1",
    "0 3 29 2 *",
    "5 0 31 * *",
    "* 1 * 3,11 0",
)


def sync_of(rate: str, start: datetime, zone: str) -> Sync:
    """A sync with these windows."""
    return Sync(
        name="members",
        connection="local",
        dataset="members",
        modified_at=ModifiedAt(column="at", timezone=zone),
        frequency=rate,
        start=start,
        profile={"email": "email"},  # pyright: ignore[reportArgumentType] - the shorthand
    )


def dagsters(sync: Sync) -> dg.TimeWindowPartitionsDefinition:
    """The same windows, as Dagster cuts them."""
    found = frequency(sync.frequency)
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=found.cron, start=sync.starts_at.replace(tzinfo=None), fmt=found.key_format, timezone=sync.zone.key
    )


def same_as_dagsters(sync: Sync, until: datetime) -> None:
    """Fails where keys or instants differ."""
    ours = list(windows(sync, until))
    theirs = dagsters(sync)
    keys = list(theirs.get_partition_keys(current_time=until))
    assert [found.key for found in ours] == keys
    spans = theirs.time_windows_for_partition_keys(frozenset(keys), validate=False) if keys else []
    assert [(found.start.timestamp(), found.end.timestamp()) for found in ours] == [
        (span.start.timestamp(), span.end.timestamp()) for span in spans
    ]


@pytest.mark.parametrize("rate", FREQUENCIES)
@pytest.mark.parametrize("zone", ["America/New_York", *(pytest.param(zone, marks=pytest.mark.long) for zone in ZONES[:1] + ZONES[2:])])
def test_the_frequencies_are_dagsters(rate: str, zone: str) -> None:
    """Years of windows of each frequency have Dagster's keys and instants, over both clock changes of every year."""
    if (rate, zone) == ("hourly", "Australia/Lord_Howe"):
        return  # refused: see below
    days = 210 if rate in ("every_15_minutes", "hourly") else 900
    same_as_dagsters(sync_of(rate, datetime(2024, 9, 20), zone), datetime(2024, 9, 20, 5, 7, tzinfo=UTC) + timedelta(days=days))


@pytest.mark.parametrize(
    ("cron", "zone"),
    [(cron, "America/New_York") for cron in CRONS]
    + [("30 2 * * *", zone) for zone in ZONES_WITH_RARE_CLOCK_CHANGES]
    + [pytest.param(cron, "Asia/Kathmandu", marks=pytest.mark.long) for cron in CRONS]
    + [
        pytest.param(cron, zone, marks=pytest.mark.long)
        for cron in ("*/15 0-4 * * *", "* 1 * 3,11 0")
        for zone in ZONES_WITH_RARE_CLOCK_CHANGES
    ],
)
def test_cron_strings_are_dagsters(cron: str, zone: str) -> None:
    """Windows of a cron string have Dagster's keys and instants, also where clocks change at midnight."""
    same_as_dagsters(sync_of(cron, datetime(2024, 9, 20, 4, 5), zone), datetime(2025, 4, 20, tzinfo=UTC))


@given(
    zone=st.sampled_from(ZONES + ZONES_WITH_RARE_CLOCK_CHANGES),
    rate=st.sampled_from([name for name in FREQUENCIES if name != "hourly"]),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2028, 1, 1)).map(lambda moment: moment.replace(second=0, microsecond=0)),
    days=st.integers(0, 60),
)
@settings(max_examples=examples(40), deadline=None)
def test_any_start_is_dagsters(zone: str, rate: str, start: datetime, days: int) -> None:
    """Wherever windows start, on a tick or off it, they are Dagster's."""
    same_as_dagsters(sync_of(rate, start, zone), start.replace(tzinfo=UTC) + timedelta(days=days))


@given(
    zone=st.sampled_from(ZONES + ZONES_WITH_RARE_CLOCK_CHANGES),
    rate=st.sampled_from([*(name for name in FREQUENCIES if name != "hourly"), "30 2 * * *", "0 1,2,3 * * *", "*/15 0-4 * * *"]),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2028, 1, 1)),
)
@settings(max_examples=examples(40), deadline=None)
def test_windows_touch(zone: str, rate: str, start: datetime) -> None:
    """The end of a window is the start of the next: no gap, no overlap, no empty window, no key twice."""
    found = list(islice(windows(sync_of(rate, start, zone), datetime(2030, 1, 1, tzinfo=UTC)), 300))
    assert all(before.end == after.start for before, after in pairwise(found))
    assert all(one.start.timestamp() < one.end.timestamp() for one in found)
    assert len({one.key for one in found}) == len(found)
    assert [one.first for one in found[:2]] == [True, False][: len(found)]


@given(
    zone=st.sampled_from(ZONES),
    rate=st.sampled_from([*(name for name in FREQUENCIES if name != "hourly"), "30 2 * * *"]),
    start=st.datetimes(datetime(2024, 10, 20), datetime(2024, 11, 10)),
)
@settings(max_examples=examples(40), deadline=None)
def test_a_key_finds_its_window(zone: str, rate: str, start: datetime) -> None:
    """Every window is found again by its key, also in a repeated hour."""
    sync = sync_of(rate, start, zone)
    for found in islice(windows(sync, datetime(2030, 1, 1, tzinfo=UTC)), 100):
        assert window(sync, found.key) == found


def test_the_repeated_hour_has_two_windows() -> None:
    """On the day when clocks go back, the second pass of the hour has a window of its own, named with its offset."""
    sync = sync_of("hourly", datetime(2026, 11, 1), "America/New_York")
    found = list(windows(sync, datetime(2026, 11, 1, 8, tzinfo=UTC)))
    assert [one.key for one in found] == ["2026-11-01-00:00", "2026-11-01-01:00", "2026-11-01-01:00-0500", "2026-11-01-02:00"]
    assert {one.end.timestamp() - one.start.timestamp() for one in found} == {3600}


def test_a_start_off_a_tick_waits_for_the_next_one() -> None:
    """The first window begins at the first tick at or after `start`."""
    first = next(windows(sync_of("weekly", datetime(2026, 11, 4), "UTC"), datetime(2027, 1, 1, tzinfo=UTC)))
    assert (first.key, first.first) == ("2026-11-09", True)


def test_a_start_with_a_zone_is_an_instant() -> None:
    """A `start` with a zone is converted to the zone of the windows."""
    sync = sync_of("hourly", datetime(2026, 1, 1, tzinfo=UTC), "Asia/Tokyo")
    first = next(windows(sync, datetime(2026, 2, 1, tzinfo=UTC)))
    assert (first.key, first.start.tzinfo) == ("2026-01-01-09:00", ZoneInfo("Asia/Tokyo"))


def test_only_closed_windows_are_listed() -> None:
    """A window is listed from the moment of its end on."""
    sync = sync_of("daily", datetime(2026, 1, 1), "UTC")
    assert [one.key for one in windows(sync, datetime(2026, 1, 2, tzinfo=UTC))] == ["2026-01-01"]
    assert list(windows(sync, datetime(2026, 1, 1, 23, 59, tzinfo=UTC))) == []


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("2026-01-05-03:17", "2026-01-05-03:00, 2026-01-05-04:00"),
        ("2026-01-05", "2026-01-05-00:00"),
        ("2025-12-31-23:00", "2026-01-01-00:00"),
        ("2026-01-05-03:00+0100", "2026-01-05-02:00"),
        ("yesterday", "2026-01-01-00:00"),
        ("9999-12-31-23:00", "2026-01-01-00:00"),
    ],
)
def test_a_wrong_key_names_the_nearest(key: str, nearest: str) -> None:
    """A key that is no window's is refused, with the nearest keys that are."""
    with pytest.raises(ConfigError, match=f"nearest: .*{nearest}"):
        window(sync_of("hourly", datetime(2026, 1, 1), "UTC"), key)


def test_hours_that_dagster_would_let_drift_are_refused() -> None:
    """Where clocks move by half an hour, Dagster's hourly windows drift by half an hour: such a sync is refused."""
    with pytest.raises(ValidationError, match="half an hour"):
        sync_of("hourly", datetime(2026, 1, 1), "Australia/Lord_Howe")


@pytest.mark.parametrize(
    "cron", ["0 0 31 4 *", "0 0 L * *", "0 0 * * 1#1", "@daily", "0 0 * *", "0 0 * * * *", "60 * * * *", "H * * * *", ""]
)
def test_cron_strings_outside_plain_cron_are_refused(cron: str) -> None:
    """A cron string has five plain fields, and names a day that comes."""
    with pytest.raises(ValidationError, match="expected every_15_minutes"):
        sync_of(cron, datetime(2026, 1, 1), "UTC")


def test_a_key_between_months_names_both_neighbours() -> None:
    """Keys of long windows, too, are named on both sides."""
    with pytest.raises(ConfigError, match="nearest: 2026-03-01, 2026-04-01"):
        window(sync_of("monthly", datetime(2026, 1, 1), "Europe/Berlin"), "2026-03-15")
