"""Windows: `[start, end)` of `modified_at`, from a sync's frequency, start and time zone.

Keys and instants are those of Dagster's TimeWindowPartitionsDefinition
(https://docs.dagster.io/api/dagster/partitions); a test compares the two. On the day when clocks go back, a frequency
that repeats every hour has windows for both passes of the repeated hour, and the key of the second pass carries its
offset; any other frequency ends its window at the second pass. Times that the clocks skip are passed over by the
former, and moved to the end of the gap by the latter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.frequencies import FREQUENCIES, Calendar, Frequency, check_frequency, frequency
from klaviyo_sync.core.sync import Sync

__all__ = ["FREQUENCIES", "Frequency", "Window", "check_frequency", "frequency", "window", "windows"]

HOUR = 3600
HOURS_THAT_DAGSTER_FOLDS = (1, 2, 3)


@dataclass(frozen=True)
class Window:
    """`[start, end)`, both time-zone aware. The first window of a sync also holds every older row, unless history is skipped."""

    key: str
    start: datetime
    end: datetime
    first: bool = False


@dataclass(frozen=True, order=True)
class Tick:
    """One end of a window: its instant (seconds since 1970), and the wall time that names it."""

    at: float
    wall: datetime

    def key(self, key_format: str, *, both_passes: bool) -> str:
        """The partition key of the window that starts here."""
        repeated = both_passes and self.wall.fold == 1 and self.wall.utcoffset() != self.wall.replace(fold=0).utcoffset()
        return self.wall.strftime(key_format + "%z" if repeated else key_format)


def reread_from(moment: datetime, overlap: timedelta) -> datetime:
    """The moment from which a run reads again, `overlap` before its window's start; exactly so long also where clocks change."""
    return moment.astimezone(UTC) - overlap


def windows(sync: Sync, until: datetime) -> Iterator[Window]:
    """The windows of a sync that have closed at `until`, oldest first."""
    found = frequency(sync.frequency)
    both_passes = found.calendar.hours is None
    limit = until.timestamp()
    first = True
    for start, end in pairwise(ticks(found.calendar, sync.zone, sync.starts_at)):
        if end.at > limit:
            return
        key = start.key(found.key_format, both_passes=both_passes)
        yield Window(key, datetime.fromtimestamp(start.at, sync.zone), datetime.fromtimestamp(end.at, sync.zone), first)
        first = False


def window(sync: Sync, key: str) -> Window:
    """The window with this key, whether it has closed or not. Raises ConfigError, with the nearest keys, when there is none."""
    found = frequency(sync.frequency)
    wanted = parse_key(sync, key)
    first = next(ticks(found.calendar, sync.zone, sync.starts_at))
    both_passes = found.calendar.hours is None
    names: list[str] = []
    if wanted is not None:
        since = max(first.at, wanted.timestamp() - (2 if "%H" in found.key_format else 40) * 24 * HOUR)
        for start, end in pairwise(ticks(found.calendar, sync.zone, datetime.fromtimestamp(since, sync.zone))):
            name = start.key(found.key_format, both_passes=both_passes)
            if name == key:
                return Window(
                    key, datetime.fromtimestamp(start.at, sync.zone), datetime.fromtimestamp(end.at, sync.zone), start.at == first.at
                )
            names.append(name)
            if start.at > wanted.timestamp():
                break
    near = names[-2:] or [first.key(found.key_format, both_passes=both_passes)]
    raise ConfigError(f'{sync.name} has no window "{key}"; its windows are {sync.frequency}, the nearest: {", ".join(near)}')


def parse_key(sync: Sync, key: str) -> datetime | None:
    """The instant that a key names in the sync's time zone, or None when it is not written like one."""
    key_format = frequency(sync.frequency).key_format
    for written in (key_format, key_format + "%z", "%Y-%m-%d", "%Y-%m-%d-%H:%M"):
        try:
            moment = datetime.strptime(key, written)  # noqa: DTZ007 - the zone follows
        except ValueError:
            continue
        if not 1970 < moment.year < 9999:  # noqa: PLR2004 - what timestamps can hold in every zone
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=sync.zone)
    return None


def ticks(calendar: Calendar, zone: tzinfo, since: datetime) -> Iterator[Tick]:
    """Every time that the calendar names from `since` on, in order."""
    earliest = since.timestamp()
    last = float("-inf")
    for tick in every_hour(calendar, zone, earliest) if calendar.hours is None else by_day(calendar, zone, earliest):
        if tick.at >= earliest and tick.at > last:
            last = tick.at
            yield tick


def every_hour(calendar: Calendar, zone: tzinfo, earliest: float) -> Iterator[Tick]:
    """The ticks of a calendar that repeats every hour: each instant whose wall time matches."""
    hour = int(earliest // HOUR) * HOUR
    every_day = calendar.days is calendar.months is calendar.weekdays is None
    while True:
        offset, next_offset = offset_at(hour, zone), offset_at(hour + HOUR, zone)
        if offset == next_offset:
            found = sorted((minute * 60 - offset) % HOUR for minute in calendar.minutes)
        else:
            found = [
                second for second in range(0, HOUR, 60) if (hour + second + offset_at(hour + second, zone)) // 60 % 60 in calendar.minutes
            ]
        for second in found:
            wall = datetime.fromtimestamp(hour + second, zone)
            if every_day or holds(calendar, wall):
                yield Tick(hour + second, wall)
        hour += HOUR


def by_day(calendar: Calendar, zone: tzinfo, earliest: float) -> Iterator[Tick]:
    """The ticks of any other calendar: each wall time once."""
    day = datetime.fromtimestamp(earliest, zone).date() - timedelta(days=1)
    while True:
        if holds(calendar, day):
            for hour in calendar.hours or ():
                for minute in calendar.minutes:
                    wall = settled(datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone), calendar)
                    yield Tick(wall.timestamp(), wall)
        day += timedelta(days=1)


def settled(wall: datetime, calendar: Calendar) -> datetime:
    """The wall time as Dagster reads it: the second pass of a repeated hour, the end of a gap."""
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    if before == after or before is None or after is None:
        return wall
    folds = wall.hour in HOURS_THAT_DAGSTER_FOLDS
    if before > after:
        return wall.replace(fold=1) if folds or not calendar.once_a_day else wall
    if not folds:
        return wall
    return wall.replace(minute=0) + (after - before)


def holds(calendar: Calendar, day: date) -> bool:
    """Whether the calendar names this day."""
    return calendar.holds(day.month, day.day, day.isoweekday() % 7)


def offset_at(instant: int, zone: tzinfo) -> int:
    """Seconds that wall time is ahead of UTC at an instant."""
    offset = datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0
