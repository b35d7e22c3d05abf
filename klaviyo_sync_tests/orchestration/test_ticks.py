"""Cron expressions of schedules: a tick for every window, some time after its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from klaviyo_sync.orchestration.ticks import settled, ticks

START = datetime(2024, 1, 1, tzinfo=UTC)
YEAR_END = datetime(2025, 3, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("cron", "settle", "expected"),
    [
        ("0 * * * *", 5 * MINUTE, ["5 * * * *"]),
        ("0 * * * *", 90 * MINUTE, ["30 * * * *"]),
        ("*/15 * * * *", 20 * MINUTE, ["5,20,35,50 * * * *"]),
        ("0 0 * * *", timedelta(0), ["0 0 * * *"]),
        ("0 0 * * *", timedelta(seconds=30), ["1 0 * * *"]),
        ("0 0 * * *", 90 * MINUTE, ["30 1 * * *"]),
        ("0 0 * * 1", 26 * HOUR, ["0 2 * * 2"]),
        ("0 0 1 * *", 26 * HOUR, ["0 2 2 * *"]),
        ("0 0 1 * *", 28 * DAY, ["0 0 * * *"]),
        ("0 6,18 * * mon-fri", 7 * HOUR, ["0 13 * * 1,2,3,4,5", "0 1 * * 2,3,4,5,6"]),
    ],
)
def test_as_written(cron: str, settle: timedelta, expected: list[str]) -> None:
    """The frequencies of the catalogue become one plain expression each."""
    assert ticks(cron, settle) == expected


@pytest.mark.parametrize("settle", [timedelta(0), 5 * MINUTE, 90 * MINUTE, 25 * HOUR, 8 * DAY, 31 * DAY])
@pytest.mark.parametrize(
    "cron",
    [
        "*/15 * * * *",
        "5,50 */7 * * *",
        "30 22 * * 5",
        "0 6 31 * *",
        "0 12 28 2 *",
        "0 0 1 3 1",
        "10 4 L * *",
        "0 9 * * 1#2",
        "0-23 5 * * *",
    ],
)
def test_every_window_has_its_tick(cron: str, settle: timedelta) -> None:
    """Whatever the cron string, there is a tick exactly `settle` after the end of every window."""
    expressions = ticks(cron, settle)
    end = START
    for _ in range(100):
        end = croniter(cron, end).get_next(datetime)
        if end > YEAR_END:
            break
        assert any(croniter.match(expression, end + settle) for expression in expressions), end


@pytest.mark.parametrize(
    ("tick", "settle", "by"),
    [
        ("2024-03-04T06:05:00-05:00", 5 * MINUTE, "2024-03-04T06:00:00-05:00"),
        ("2024-03-10T03:00:00-04:00", 3 * HOUR, "2024-03-10T00:00:00-05:00"),  # clocks went from 02:00 to 03:00
        ("2024-11-03T03:00:00-05:00", 3 * HOUR, "2024-11-03T01:00:00-04:00"),  # clocks went from 02:00 to 01:00: 4 hours passed
    ],
)
def test_settle_on_nights_when_clocks_change(tick: str, settle: timedelta, by: str) -> None:
    """A day's only tick always finds the day before due."""
    zone = ZoneInfo("America/New_York")
    assert settled(datetime.fromisoformat(tick).astimezone(zone), settle).timestamp() == datetime.fromisoformat(by).timestamp()
