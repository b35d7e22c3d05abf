"""Dates and times as people and programs write them, as ISO 8601 where they can be read in one way only.

Klaviyo's own uploads take 2014-09-30, 09/30/2014 and 09/30/14, with or without a time of day, and Unix seconds
(https://help.klaviyo.com/hc/en-us/articles/115005253428). Here 03/04/2014 is read only where the values of its column show which number
is the month.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import pyarrow as pa

from klaviyo_sync.core.kernels import pc

First = Literal["month", "day"]
DayOrders = frozenset[tuple[str, First]]
"""Which of month and day some values of a column can only have first, by separator: `("/", "month")` for 09/30/2014."""

NO_ORDERS: DayOrders = frozenset()

AMBIGUOUS, ZERO = "ambiguous", "zero"
"""What stands in place of a date that can be read in two ways, and of one that says that there is none."""

MONTHS: Mapping[str, int] = {
    name: number
    for number, names in enumerate(
        (
            *("jan january", "feb february", "mar march", "apr april", "may", "jun june"),
            *("jul july", "aug august", "sep sept september", "oct october", "nov november", "dec december"),
        ),
        start=1,
    )
    for name in names.split()
}
LAST_MONTH = 12
# Spreadsheets read the years from 30 on as 1930, POSIX those up to 68 as 2068: only where both agree a year of two digits is known.
LAST_OF_2000, FIRST_OF_1900 = 29, 69

WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?"
CLOCK = r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?(?:\s*(?P<half>[ap])\.?m\.?)?"
OFFSET = r"(?:\s*(?P<offset>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?)?"
FORMS = tuple(
    re.compile(WEEKDAY + form + CLOCK + OFFSET, re.IGNORECASE | re.ASCII)
    for form in (
        r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)",
        r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[-/. ]*(?P<name>[a-z]{3,9})[-/., ]*(?P<year>\d{4}|\d\d)",
        r"(?P<name>[a-z]{3,9})[-/. ]*(?P<day>\d{1,2})(?:st|nd|rd|th)?[-/, ]+(?P<year>\d{4})",
        r"(?P<first>\d{1,2})(?P<separator>[-/.])(?P<last>\d{1,2})(?P=separator)(?P<year>\d{4}|\d\d)",
    )
)
COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T?(\d\d)(\d\d)(\d\d)(Z?)", re.ASCII)
NOTHING = re.compile(r"(?:0{1,2}([-/.])0{1,2}\1)?0000(?:([-/.])0{1,2}\2 ?0{1,2})?(?:[T ]+[0:.]+Z?)?", re.ASCII)
SHORT_YEAR = 2

# As `FORMS` has them, for the look at a whole column.
ORDERED = r"^[\s'=\"]*(?P<first>[0-9]{1,2})(?P<separator>[-/.])(?P<last>[0-9]{1,2})[-/.](?P<year>[0-9]{4}|[0-9]{2})(?:$|[^0-9])"


def orders_in(texts: pa.Array) -> DayOrders:
    """What the dates of a column say about the order in which it writes month and day."""
    parts = pc.drop_null(pc.extract_regex(texts, ORDERED))
    if len(parts) == 0:
        return NO_ORDERS
    first, last = (pc.cast(pc.struct_field(parts, name), pa.int32()) for name in ("first", "last"))
    full = pc.not_equal(pc.utf8_length(pc.struct_field(parts, "year")), SHORT_YEAR)
    months_first = pc.and_(pc.less_equal(first, LAST_MONTH), pc.greater(last, LAST_MONTH))
    days_first = pc.and_(pc.greater(first, LAST_MONTH), pc.less_equal(last, LAST_MONTH))
    separators = pc.struct_field(parts, "separator")
    shown: tuple[tuple[First, pa.Array], ...] = (
        ("month", separators.filter(months_first)),
        # 25/09/14 may begin with a year as well.
        ("day", separators.filter(pc.and_(days_first, pc.or_(full, pc.equal(separators, "."))))),
    )
    return frozenset((separator, order) for order, found in shown for separator in pc.unique(found).to_pylist())


def iso_form(text: str, orders: DayOrders) -> str | None:
    """The day or time as ISO 8601 text, such as 2014-09-30 or 2014-09-30T13:34:08+02:00; AMBIGUOUS, ZERO, or None for what is neither.

    Whether the calendar has the day is for the reader of the text to find out.
    """
    if NOTHING.fullmatch(text):
        return ZERO
    if compact := COMPACT.fullmatch(text):
        year, month, day, hour, minute, second, offset = compact.groups()
        return f"{year}-{month}-{day}T{hour}:{minute}:{second}{offset}"
    found = next((match for form in FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    parts = found.groupdict()
    day = calendar_day(parts, orders)
    clock = time_of_day(parts)
    if day is None or clock is None or day in (AMBIGUOUS, ZERO):
        return day if clock is not None else None
    return day + clock


def calendar_day(parts: Mapping[str, str | None], orders: DayOrders) -> str | None:
    """The day of a form as 2014-09-30, or AMBIGUOUS, or None."""
    year = parts["year"] or ""
    if parts.get("separator"):
        placed = month_and_day(parts, orders)
        if placed is None or isinstance(placed, str):
            return placed
        month, day = placed
    else:
        day = int(parts["day"] or 0)
        month = MONTHS.get((parts["name"] or "").lower(), 0) if "name" in parts else int(parts["month"] or 0)
    if month == 0:
        return None
    if len(year) == SHORT_YEAR:
        if LAST_OF_2000 < int(year) < FIRST_OF_1900:
            return AMBIGUOUS
        year = ("20" if int(year) <= LAST_OF_2000 else "19") + year
    return f"{year}-{month:02}-{day:02}"


def month_and_day(parts: Mapping[str, str | None], orders: DayOrders) -> tuple[int, int] | str | None:
    """Month and day of a form that names both by number, or AMBIGUOUS, or None when it has no month."""
    first, last, separator = int(parts["first"] or 0), int(parts["last"] or 0), parts["separator"] or ""
    short = len(parts["year"] or "") == SHORT_YEAR
    if min(first, last) > LAST_MONTH:
        return None
    if last > LAST_MONTH:
        return first, last
    if first > LAST_MONTH:
        return AMBIGUOUS if short and separator != "." else (last, first)
    if first == last and not short:
        return first, last
    shown = {order for mark, order in orders if mark == separator}
    if separator == "." and not shown:  # nobody writes a month first and dots behind it
        shown = {"day"}
    if len(shown) != 1:
        return AMBIGUOUS
    return (first, last) if shown == {"month"} else (last, first)


def time_of_day(parts: Mapping[str, str | None]) -> str | None:
    """The time of a form as ISO 8601 text, offset included; empty when it has none, None when no clock shows it."""
    if parts["hour"] is None:
        return ""
    hour, half = int(parts["hour"]), (parts["half"] or "").lower()
    if half:
        if not 1 <= hour <= LAST_MONTH:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    fraction = f".{parts['fraction']}" if parts["fraction"] else ""
    offset = (parts["offset"] or "").upper()
    return f"T{hour:02}:{parts['minute']}:{parts['second'] or '00'}{fraction}{'Z' if offset in ('UTC', 'GMT') else offset}"
