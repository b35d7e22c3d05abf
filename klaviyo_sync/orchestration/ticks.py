"""When a schedule ticks: some time after each window's end, as cron expressions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from croniter import croniter

HOURS = 24
DAY = HOURS * 60
SHORTEST_MONTH = 28
ANY = "*"


def ticks(cron: str, settle: timedelta) -> list[str]:
    """Cron expressions that fire `settle` after each time of `cron`, rounded up to whole minutes, by the clock on the wall.

    Where no cron expression can (the 31st plus a day, `L`, `1#2`), days are left open: they fire at the right time of every
    day. A tick too many asks for nothing; a tick too few would leave a window waiting.
    """
    minutes = math.ceil(settle / timedelta(minutes=1))
    if minutes == 0:
        return [cron]
    fields, nth_weekdays = croniter.expand(cron)
    days = ([ANY], [ANY], [ANY]) if nth_weekdays else (fields[2], fields[3], fields[4])
    if fields[1] == [ANY] and days == ([ANY], [ANY], [ANY]):
        return [f"{listed((minute + minutes) % 60 for minute in numbers(fields[0], 60))} * * * *"]
    shifted: dict[tuple[int, int], set[int]] = defaultdict(set)  # (days later, minute) -> hours
    for hour in numbers(fields[1], HOURS):
        for minute in numbers(fields[0], 60):
            later, rest = divmod(hour * 60 + minute + minutes, DAY)
            shifted[later, rest % 60].add(rest // 60)
    together: dict[tuple[int, tuple[int, ...]], list[int]] = defaultdict(list)  # (days later, hours) -> minutes
    for (later, minute), hours in sorted(shifted.items()):
        together[later, tuple(sorted(hours))].append(minute)
    return [
        f"{listed(at)} {ANY if len(hours) == HOURS else listed(hours)} {days_later(*days, later)}"
        for (later, hours), at in together.items()
    ]


def days_later(days: Sequence[object], months: Sequence[object], weekdays: Sequence[object], later: int) -> str:
    """The last three fields of a cron expression, so many days later; `* * *` where cron has no words for it."""
    if not all(isinstance(part, int) or part == ANY for part in (*days, *months, *weekdays)):
        return "* * *"
    if later == 0:
        return f"{written(days)} {written(months)} {written(weekdays)}"
    of_month = [day + later for day in days if isinstance(day, int)]
    of_week = [(day + later) % 7 for day in weekdays if isinstance(day, int)]
    into_next_month = max(of_month, default=0) > SHORTEST_MONTH or (months != [ANY] and (not of_month or bool(of_week)))
    return "* * *" if into_next_month else f"{listed(of_month) or ANY} {written(months)} {listed(of_week) or ANY}"


def settled(tick: datetime, settle: timedelta) -> datetime:
    """The moment, in UTC, by which a window must have ended to be due at `tick`, a time in the sync's zone.

    Where the clock on the wall jumps forward, `settle` is an hour shorter: the day's only tick comes an hour early on that
    night, and must still find the day's window due.
    """
    by = tick.astimezone(UTC) - settle
    jump = (tick.utcoffset() or timedelta(0)) - (by.astimezone(tick.tzinfo).utcoffset() or timedelta(0))
    return by + max(jump, timedelta(0))


def numbers(field: Sequence[object], size: int) -> list[int]:
    """The numbers that a field of minutes or hours stands for."""
    return list(range(size)) if field == [ANY] else [part for part in field if isinstance(part, int)]


def listed(values: Iterable[int]) -> str:
    """The values as a cron field, in order."""
    return ",".join(map(str, sorted(set(values))))


def written(field: Sequence[object]) -> str:
    """A field as croniter read it."""
    return ",".join(map(str, field))
