"""Days and moments: read from texts, set in a zone, written in ISO 8601. What its years of four digits cannot write is no moment."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pyarrow as pa

from klaviyo_sync.core.cleaning.date_forms import AMBIGUOUS, ZERO, DayOrders, iso_form
from klaviyo_sync.core.cleaning.flags import Flag
from klaviyo_sync.core.frames import by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
OFFSET = r" ?(Z|UTC|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
MOMENT = rf"^{DAY}[T ]{CLOCK}({OFFSET})?$"
WITH_OFFSET = rf":.*{OFFSET}$"

DATE_LENGTH = len("2026-01-31")
ISO = rf"^{DAY}([T ]{CLOCK}({OFFSET})?)?$"
YEAR_ZERO = "0000"

# Seconds with nine digits or more, or milliseconds with three more. What has eight digits is a day: 20140930.
UNIX = r"^[0-9]{9,13}([.][0-9]{1,9})?$"
FIRST_UNIX, LAST_UNIX = 100_000_000.0, 4_102_444_800.0
MOMENT_TYPE = pa.timestamp("us", "UTC")

# Day 1 of the calendar, of Windows, of SQL Server, of spreadsheets (two) and databases, of Unix.
ZERO_DAYS = pa.array(
    [date(1, 1, 1), date(1601, 1, 1), date(1753, 1, 1), date(1899, 12, 30), date(1899, 12, 31), date(1900, 1, 1), date(1970, 1, 1)],
    pa.date32(),
)

FIRST_DAY, LAST_DAY = (pa.scalar(day, pa.date32()) for day in (date.min, date.max))
FIRST, LAST = (
    pa.scalar(moment, pa.timestamp("us", "UTC")) for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
)


def within_calendar(cells: pa.Array) -> pa.Array:
    """Days, or moments in microseconds; NULL for those before the year 1 and after 9999, such as infinity."""
    days = pa.types.is_date(cells.type)
    first, last = (FIRST_DAY, LAST_DAY) if days else (FIRST.cast(cells.type), LAST.cast(cells.type))
    ends = pc.min_max(cells)
    if pc.and_(pc.greater_equal(ends["min"], first), pc.less_equal(ends["max"], last)).as_py() is not False:
        return cells
    return keep_where(pc.and_(pc.greater_equal(cells, first), pc.less_equal(cells, last)), cells)


def moment_text(moments: pa.Array) -> pa.Array:
    """UTC moments as ISO 8601 texts, with a fraction only where there is one."""
    micros = within_calendar(pc.cast(moments, pa.timestamp("us", "UTC"), safe=False)).cast(pa.timestamp("us"))
    seconds = pc.cast(micros, pa.timestamp("s"), safe=False)
    fraction = pc.not_equal(pc.cast(seconds, micros.type), micros)
    texts = replaced(pc.cast(seconds, pa.string()), fraction, lambda _: pc.cast(micros.filter(fraction), pa.string()))
    dated = pc.binary_replace_slice(texts, start=DATE_LENGTH, stop=DATE_LENGTH + 1, replacement="T")
    return pc.binary_join_element_wise(dated, "Z", "")


def in_zone(walls: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Wall-clock times as moments; a time that the zone repeats or leaves out stands for the later one."""
    micros = within_calendar(pc.cast(walls, pa.timestamp("us"), safe=False))
    if zone.key == "UTC":
        return pc.cast(micros, pa.timestamp("us", "UTC"))
    return pc.cast(pc.assume_timezone(micros, zone.key, ambiguous="latest", nonexistent="latest"), pa.timestamp("us", "UTC"))


def existing_days(texts: pa.Array) -> pa.Array:
    """The days of texts such as 2026-01-31, NULL for those that no calendar has."""
    days = within_calendar(pc.cast(pc.strptime(texts, format="%Y-%m-%d", unit="s", error_is_null=True), pa.date32()))
    # strptime takes the 30th of February for the 2nd of March.
    return keep_where(pc.equal(pc.cast(days, pa.string()), texts), days)


def parsed_moments(texts: pa.Array, zone: ZoneInfo) -> pa.Array:
    """The moments that ISO 8601 texts name, in UTC; the zone is for texts without an offset. NULL for what is not one."""
    shaped = keep_where(pc.match_substring_regex(texts, MOMENT), texts)
    real = existing_days(pc.utf8_slice_codeunits(shaped, 0, DATE_LENGTH)).is_valid()
    stamps = pc.replace_substring_regex(keep_where(real, shaped), r"(\.[0-9]{6})[0-9]+", r"\1")
    offset = pc.match_substring_regex(stamps, WITH_OFFSET)
    aware = pc.replace_substring_regex(pc.replace_substring(keep_where(offset, stamps), "UTC", "Z"), r" (Z|[+-][0-9:]+)$", r"\1")
    naive = keep_where(pc.invert(offset), stamps)
    return pc.coalesce(pc.cast(aware, pa.timestamp("us", "UTC")), in_zone(pc.cast(naive, pa.timestamp("us")), zone))


def unix_moments(texts: pa.Array) -> pa.Array:
    """The moments that texts name in seconds or milliseconds since 1970, in UTC, from 1973 to 2100; NULL for others."""
    shaped = keep_where(pc.match_substring_regex(texts, UNIX), texts)
    if shaped.null_count == len(shaped):
        return pa.nulls(len(texts), MOMENT_TYPE)
    numbers = pc.cast(shaped, pa.float64())
    seconds = pc.if_else(pc.less(numbers, LAST_UNIX), numbers, pc.divide(numbers, 1000.0))
    sane = pc.and_(pc.greater_equal(seconds, FIRST_UNIX), pc.less(seconds, LAST_UNIX))
    micros = pc.cast(pc.round(pc.multiply(keep_where(sane, seconds), 1e6)), pa.int64())
    return pc.cast(micros, MOMENT_TYPE)


def read_days_and_moments(texts: pa.Array, zone: ZoneInfo, orders: DayOrders) -> tuple[pa.Array, pa.Array, tuple[Flag, ...]]:
    """The days that trimmed texts name (without a time), the moments in UTC that the others name, and the flags of what is neither.

    Times without an offset are read in the zone. What has no flag, day or moment is no date at all.
    """
    unix = unix_moments(texts)
    texts = keep_where(unix.is_null(), texts)
    other = pc.and_(texts.is_valid(), pc.or_(pc.invert(pc.match_substring_regex(texts, ISO)), pc.starts_with(texts, YEAR_ZERO)))
    written = replaced(texts, other, lambda some: by_distinct(some, lambda text: iso_form(text, orders)))
    flags = tuple(
        Flag(code, pc.fill_null(pc.equal(written, mark), fill_value=False))
        for mark, code in ((AMBIGUOUS, "ambiguous_date"), (ZERO, "zero_date"))
    )
    flags = tuple(flag for flag in flags if pc.any(flag.where).as_py())
    bare = pc.match_substring_regex(written, rf"^{DAY}$")
    days = existing_days(keep_where(bare, written))
    moments = parsed_moments(keep_where(pc.invert(bare), written), zone)
    return days, pc.coalesce(unix, moments), flags


def local_days(moments: pa.Array, zone: ZoneInfo) -> pa.Array:
    """The day of each UTC moment in the zone."""
    local = pc.local_timestamp(pc.cast(moments, pa.timestamp("us", zone.key)))
    return within_calendar(pc.cast(within_calendar(local), pa.date32(), safe=False))


def zero_days(days: pa.Array) -> pa.Array:
    """Which days stand for no date: those at which calendars and computers begin to count."""
    return pc.is_in(days, ZERO_DAYS)


@cache
def zero_starts(zone: ZoneInfo) -> pa.Array:
    """The beginnings of those days, in UTC and in the zone."""
    walls = pc.cast(ZERO_DAYS, pa.timestamp("us"))
    return pc.drop_null(pa.concat_arrays([pc.cast(walls, MOMENT_TYPE), in_zone(walls, zone)]))


def zero_moments(moments: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Which UTC moments stand for no date: the beginning of such a day, in UTC or in the zone."""
    return pc.is_in(moments, zero_starts(zone))
