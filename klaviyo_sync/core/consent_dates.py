"""Dates of consent: when a statement was made, or why a cell does not say so. Whatever is in doubt speaks for the opt-out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import as_text, trimmed
from klaviyo_sync.core.cleaning.moments import existing_days, in_zone, parsed_moments, within_calendar
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import keep_where
from klaviyo_sync.core.kernels import pc

# The oldest date that Klaviyo keeps: https://help.klaviyo.com/hc/en-us/articles/360037101072
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
MOMENT = pa.timestamp("us", "UTC")

# What databases and spreadsheets write where there is no date: the year 1, SQL Server's first year, the zeros of Excel, and Unix's.
ZERO_DAYS = (date(1, 1, 1), date(1753, 1, 1), date(1899, 12, 30), date(1899, 12, 31), date(1900, 1, 1), date(1970, 1, 1))
# A zero that was moved from one zone to another stands on a neighbouring day.
AROUND = timedelta(hours=14)
ZERO_TEXT = r"^0000-00-00"

# The widest offset of any zone: a wall-clock time without its zone may be that much later or earlier than UTC.
WIDEST_OFFSET = timedelta(hours=14)

A_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
WITH_OFFSET = r":.*( ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?))$"


class Dates(NamedTuple):
    """The dates of a column, one entry per row.

    `first` and `last` (timestamp us UTC, NULL where there is none) are the same moment, except that a day without a time begins and
    ends. `wrong`: the cell holds something that is no date. `zero`: it holds a date that stands for none. `zoneless`: its zone is
    not known.
    """

    first: pa.Array
    last: pa.Array
    wrong: pa.Array
    zero: pa.Array
    zoneless: pa.Array


def no_dates(rows: int) -> Dates:
    """The dates of a channel without a timestamp column."""
    nothing, no = pa.nulls(rows, MOMENT), pa.repeat(pa.scalar(value=False), rows)
    return Dates(nothing, nothing, no, no, no)


def read_dates(cells: pa.Array, kind: Kind, zone: ZoneInfo, *, zone_known: bool) -> Dates:
    """The dates of a column of this kind; `zone` is for cells without one, and `zone_known` says whether somebody named it."""
    filled = cells.is_valid()
    no = pa.repeat(pa.scalar(value=False), len(cells))
    zoneless, zero_text = no if zone_known else filled, no
    if kind == "instant":
        first = last = within_calendar(cells.cast(MOMENT, safe=False))
        zoneless = no
    elif kind == "wall":
        first = last = in_zone(cells.cast(pa.timestamp("us"), safe=False), zone)
    elif kind == "date":
        first, last = bounds(within_calendar(cells), zone)
    else:
        texts = trimmed(as_text(cells, kind, zone))
        filled = texts.is_valid()
        starts, ends = bounds(existing_days(keep_where(pc.match_substring_regex(texts, A_DAY), texts)), zone)
        moments = parsed_moments(texts, zone)
        first, last = pc.coalesce(moments, starts), pc.coalesce(moments, ends)
        zoneless = pc.and_(zoneless, pc.invert(pc.fill_null(pc.match_substring_regex(texts, WITH_OFFSET), fill_value=False)))
        zero_text = pc.fill_null(pc.match_substring_regex(texts, ZERO_TEXT), fill_value=False)
    zero = pc.or_(zero_text, stands_for_none(first))
    dated = pc.invert(zero)
    wrong = pc.and_(pc.and_(filled, first.is_null()), dated)
    return Dates(keep_where(dated, first), keep_where(dated, last), wrong, zero, pc.and_(zoneless, first.is_valid()))


def bounds(days: pa.Array, zone: ZoneInfo) -> tuple[pa.Array, pa.Array]:
    """The first and the last moment of each day in a zone."""
    starts = days.cast(pa.timestamp("us"))
    next_day = pc.add(starts, pa.scalar(timedelta(days=1), pa.duration("us")))
    last = pc.subtract(in_zone(next_day, zone), pa.scalar(timedelta(microseconds=1), pa.duration("us")))
    return in_zone(starts, zone), last


def stands_for_none(moments: pa.Array) -> pa.Array:
    """Which moments lie on a zero day of some zone; false for NULL."""
    zero = pa.repeat(pa.scalar(value=False), len(moments))
    if not len(moments) or (pc.min(moments).as_py() or OLDEST) >= OLDEST:
        return zero
    for day in ZERO_DAYS:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        earliest = midnight - AROUND if day.year > 1 else midnight
        on_day = pc.and_(
            pc.greater_equal(moments, pa.scalar(earliest, MOMENT)),
            pc.less(moments, pa.scalar(midnight + timedelta(days=1) + AROUND, MOMENT)),
        )
        zero = pc.or_(zero, pc.fill_null(on_day, fill_value=False))
    return zero


def opt_out_date(dates: Dates, now: datetime) -> pa.Array:
    """The latest that each opt-out can have been made (timestamp us UTC): a day ends, a time has an offset; never later than now."""
    late = pc.add(dates.last, pa.scalar(WIDEST_OFFSET, pa.duration("us")))
    latest = pc.if_else(dates.zoneless, late, dates.last)
    present = pa.scalar(now, MOMENT)
    return pc.if_else(pc.greater(latest, present), present, latest)
