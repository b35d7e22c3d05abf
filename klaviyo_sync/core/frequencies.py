"""How often windows end: the catalogue of frequencies, and what a cron string may say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

from klaviyo_sync.core.nearest import did_you_mean

FIELDS = 5
PLAIN_CRON = re.compile(r"[0-9A-Za-z*,/-]+")
FIRST_SAMPLED, YEARS_SAMPLED = date(2023, 1, 1), 18  # long enough for three leap days in a row
DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Frequency:
    """A cron expression for the ends of windows, and how their keys are written."""

    cron: str
    key_format: str

    @cached_property
    def calendar(self) -> Calendar:
        """The cron expression, read."""
        return calendar(self.cron)


@dataclass(frozen=True)
class Calendar:
    """The times that a cron expression names. `hours`, `days`, `months` and `weekdays` (Sunday is 0) are None where it says `*`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...] | None
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @property
    def once_a_day(self) -> bool:
        """Whether it names one time of day, on days of the week or of the month but not of both."""
        single = len(self.minutes) == 1 and self.hours is not None and len(self.hours) == 1
        return single and self.months is None and (self.days is None or self.weekdays is None)

    def holds(self, month: int, day: int, weekday: int) -> bool:
        """Whether it names this day: as cron does it, either day field is enough when both are given."""
        if self.months is not None and month not in self.months:
            return False
        if self.days is None or self.weekdays is None:
            return (self.days is None or day in self.days) and (self.weekdays is None or weekday in self.weekdays)
        return day in self.days or weekday in self.weekdays

    def happens(self) -> bool:
        """Whether any year has such a day: 31 April never comes."""
        if self.days is None or self.weekdays is not None:
            return True
        return any(min(self.days) <= DAYS_IN_MONTH[month - 1] for month in self.months or range(1, 13))


FREQUENCIES: dict[str, Frequency] = {
    "every_15_minutes": Frequency("*/15 * * * *", "%Y-%m-%d-%H:%M"),
    "hourly": Frequency("0 * * * *", "%Y-%m-%d-%H:%M"),
    "daily": Frequency("0 0 * * *", "%Y-%m-%d"),
    "weekly": Frequency("0 0 * * 1", "%Y-%m-%d"),
    "monthly": Frequency("0 0 1 * *", "%Y-%m-%d"),
}


@lru_cache(maxsize=128)
def calendar(cron: str) -> Calendar:
    """The times that a five-field cron string names. Raises ValueError for anything else, and for days that never come."""
    fields = cron.split()
    if len(fields) != FIELDS or not all(PLAIN_CRON.fullmatch(part) for part in fields) or not croniter.is_valid(cron):
        raise ValueError(f"not a cron string: {cron!r}")
    expanded, nth_weekdays, *_ = croniter.expand(cron)
    if nth_weekdays or "l" in expanded[2]:
        raise ValueError(f"not a plain cron string: {cron!r}")
    minutes, hours, days, months, weekdays = (None if part == ["*"] else sorted({int(value) for value in part}) for part in expanded)
    read = Calendar(
        minutes=tuple(range(60) if minutes is None else minutes),
        hours=None if hours is None else tuple(hours),
        days=None if days is None else frozenset(days),
        months=None if months is None else frozenset(months),
        weekdays=None if weekdays is None else frozenset(weekdays),
    )
    if not read.happens():
        raise ValueError(f"a day that no year has: {cron!r}")
    return read


def frequency(name: str) -> Frequency:
    """The catalogue's frequency, or one for a cron string."""
    return FREQUENCIES.get(name) or Frequency(name, "%Y-%m-%d-%H:%M")


@lru_cache(maxsize=128)
def three_windows(name: str) -> timedelta:
    """The longest time that three windows in a row take, in whole days: three weeks for weekly, 92 days for monthly. At least 3 days.

    Raises ValueError for what is no frequency.
    """
    found = frequency(name).calendar
    if found.days is found.months is found.weekdays is None:
        return timedelta(days=3)
    days = (FIRST_SAMPLED + timedelta(days=number) for number in range(YEARS_SAMPLED * 366))
    named = [day for day in days if found.holds(day.month, day.day, day.isoweekday() % 7)]
    return max(later - earlier for earlier, later in zip(named, named[3:], strict=False))


def check_frequency(value: object) -> str:
    """The value itself when it is a word of the catalogue or a plain five-field cron string."""
    if isinstance(value, str) and value in FREQUENCIES:
        return value
    try:
        calendar(str(value))
    except ValueError:
        raise ValueError(
            f"expected {', '.join(FREQUENCIES)}, or a cron string with five fields such as 0 6 * * 1{did_you_mean(value, FREQUENCIES)}"
        ) from None
    return str(value)


@lru_cache(maxsize=128)
def survives_clock_changes(name: str, zone: str) -> bool:
    """Whether windows keep their minutes when clocks change: not where they move by half an hour (Australia/Lord_Howe)
    and the frequency repeats every hour but not every half hour. Dagster's windows drift there.
    """
    try:
        found = frequency(name).calendar
    except ValueError:
        return True
    if found.hours is not None or zone not in available_timezones():
        return True
    moments = (datetime(2025 + month // 12, month % 12 + 1, 15, tzinfo=UTC) for month in range(24))
    offsets = {int((moment.astimezone(ZoneInfo(zone)).utcoffset() or datetime.resolution).total_seconds()) // 60 for moment in moments}
    shifts = {offset - min(offsets) for offset in offsets}
    return all({(minute + shift) % 60 for minute in found.minutes} == set(found.minutes) for shift in shifts)
