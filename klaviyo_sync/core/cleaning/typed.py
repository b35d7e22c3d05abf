"""Cleaners for values with a type: numbers, booleans, dates, moments, lists, JSON, degrees."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import (
    Cleaned,
    Flag,
    as_text,
    bad_cells,
    checked,
    text_cells,
    trimmed,
    without_control_characters,
    without_json_null,
    without_marks,
)
from klaviyo_sync.core.cleaning.date_forms import NO_ORDERS, DayOrders
from klaviyo_sync.core.cleaning.moments import (
    in_zone,
    local_days,
    moment_text,
    read_days_and_moments,
    within_calendar,
    zero_days,
    zero_moments,
)
from klaviyo_sync.core.cleaning.nested import INTEGER_DIGITS, LARGEST, doubtful, json_fault, list_fault, storable
from klaviyo_sync.core.cleaning.texts import clean_as_text, clean_text
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc

JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
LOOSE_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
LONG_INTEGER = r"^-?[0-9]{19,}$"
# https://help.klaviyo.com/hc/en-us/articles/115005237648
TRUE_WORDS = pa.array(["true", "t", "yes", "y", "1"])
FALSE_WORDS = pa.array(["false", "f", "no", "n", "0"])


def plain_number(text: str) -> str | None:
    """The number as JSON writes it, or None when it is not finite."""
    number = Decimal(text)
    return str(number) if math.isfinite(float(number)) else None


def fits_64_bits(text: str) -> str | None:
    """The text itself when it is an integer of 64 bits."""
    fits = len(text.removeprefix("-")) <= INTEGER_DIGITS and -LARGEST - 1 <= int(text) <= LARGEST
    return text if fits else None


def trimmed_texts(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> tuple[pa.Array, tuple[Flag, ...]]:
    """Cells of any kind as texts without surrounding white space and a spreadsheet's marks, NULL for blank ones; and their flags."""
    texts, flags = text_cells(cells, kind, zone)
    bare, marked = without_marks(trimmed(texts))
    return bare, (*flags, *marked)


def clean_number(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The numbers. Decimals keep their digits; NaN, infinities and integers beyond 64 bits are not sent."""
    if kind == "float":
        return checked("not_a_number", cells, pc.is_finite(cells), "raw")
    if kind == "integer" and pa.types.is_integer(cells.type) and cells.type != pa.uint64():
        return Cleaned(cells, "raw")
    # Others the encoder's DuckDB cannot read, and those without a fraction may be integers beyond 64 bits.
    if kind == "decimal" and pa.types.is_decimal128(cells.type) and cells.type.scale > 0:
        return Cleaned(cells, "raw")
    if kind == "boolean":
        return Cleaned(pc.cast(cells, pa.int8()), "raw")
    texts, flags = trimmed_texts(cells, kind, zone)
    strict = pc.match_substring_regex(texts, JSON_NUMBER)
    loose = pc.and_not(pc.match_substring_regex(texts, LOOSE_NUMBER), strict)
    numbers = replaced(keep_where(pc.or_(strict, loose), texts), loose, lambda some: by_distinct(some, plain_number))
    long = pc.match_substring_regex(numbers, LONG_INTEGER)
    fitting = replaced(numbers, long, lambda some: by_distinct(some, fits_64_bits))
    too_large = Flag("number_too_large", pc.and_(numbers.is_valid(), fitting.is_null()))
    return Cleaned(fitting, "raw", (*flags, bad_cells("not_a_number", texts, numbers.is_valid()), too_large))


def clean_boolean(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The booleans, from the words and digits that Klaviyo itself reads as such."""
    if kind == "boolean":
        return Cleaned(cells, "raw")
    texts, flags = trimmed_texts(cells, kind, zone)
    words = pc.utf8_lower(texts)
    true, false = pc.is_in(words, TRUE_WORDS), pc.is_in(words, FALSE_WORDS)
    found = keep_where(pc.or_(true, false), true)
    return Cleaned(found, "raw", (*flags, bad_cells("not_a_boolean", texts, found.is_valid())))


def clean_date(cells: pa.Array, kind: Kind, zone: ZoneInfo, orders: DayOrders = NO_ORDERS) -> Cleaned:
    """The days, as 2026-01-31. A moment is the day that it has in the sync's zone, whatever the type of its column."""
    if kind in ("date", "instant", "wall"):
        found, flags = cells, ()
        moments = None if kind == "date" else in_utc(cells, kind, zone)
        days = local_days(moments, zone) if kind == "instant" else within_calendar(pc.cast(cells, pa.date32(), safe=False))
    else:
        found, flags = trimmed_texts(cells, kind, zone)
        days, moments, read_flags = read_days_and_moments(found, zone, orders)
        flags = (*flags, *read_flags)
        found = without_flagged(found, read_flags)
        days = pc.coalesce(days, local_days(moments, zone))
    zero = zero_days(days)
    if moments is not None:
        zero = pc.or_(pc.and_(zero, moments.is_null()), zero_moments(moments, zone))
    texts = keep_where(pc.invert(zero), pc.cast(days, pa.string()))
    return Cleaned(texts, "text", (*flags, bad_cells("not_a_date", found, days.is_valid()), Flag("zero_date", zero)))


def in_utc(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> pa.Array:
    """Moments with or without a zone as moments in UTC, NULL beyond the calendar."""
    if kind == "wall":
        return in_zone(cells, zone)
    return within_calendar(pc.cast(cells, pa.timestamp("us", "UTC"), safe=False))


def without_flagged(cells: pa.Array, flags: tuple[Flag, ...]) -> pa.Array:
    """The cells of which nothing is said yet."""
    for flag in flags:
        cells = keep_where(pc.invert(flag.where), cells)
    return cells


def clean_datetime(cells: pa.Array, kind: Kind, zone: ZoneInfo, orders: DayOrders = NO_ORDERS) -> Cleaned:
    """The moments, as ISO 8601 in UTC. Times without an offset are read in the sync's zone; days as their first moment."""
    flags: tuple[Flag, ...] = ()
    found, days = cells, None
    if kind in ("instant", "wall"):
        moments = in_utc(cells, kind, zone)
    elif kind == "date":
        days = within_calendar(cells.cast(pa.date32()))
        moments = in_zone(pc.cast(days, pa.timestamp("us")), zone)
    else:
        found, flags = trimmed_texts(cells, kind, zone)
        days, moments, read_flags = read_days_and_moments(found, zone, orders)
        flags = (*flags, *read_flags)
        found = without_flagged(found, read_flags)
        moments = pc.coalesce(moments, in_zone(pc.cast(days, pa.timestamp("us")), zone))
    zero = zero_moments(moments, zone)
    if days is not None:
        zero = pc.or_(zero, zero_days(days))
    texts = keep_where(pc.invert(zero), moment_text(moments))
    return Cleaned(texts, "text", (*flags, bad_cells("not_a_datetime", found, pc.or_(texts.is_valid(), zero)), Flag("zero_date", zero)))


def clean_json(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The JSON texts. What the warehouse wrote as JSON is looked at only where it may hold what Klaviyo cannot store."""
    if kind not in ("json", "list", "text"):
        if kind in ("integer", "decimal", "float"):
            return clean_number(cells, kind, zone)
        return Cleaned(cells, "raw") if kind == "boolean" else clean_as_text(clean_text, cells, kind, zone)
    texts = trimmed(as_text(cells, kind, zone)) if kind == "text" else cells
    found, flags = storable(texts, texts.is_valid() if kind == "text" else doubtful(texts), json_fault)
    return Cleaned(without_json_null(found), "raw", flags)


def clean_list(cells: pa.Array, kind: Kind, zone: ZoneInfo, separator: str | None) -> Cleaned:
    """The lists as JSON arrays: from arrays, from JSON arrays as text, or from separated text when a separator is declared."""
    flags: tuple[Flag, ...] = ()
    if kind in ("list", "json"):
        texts = without_json_null(cells)
        looked_at = pc.or_(doubtful(texts), pc.fill_null(pc.invert(pc.starts_with(texts, "[")), fill_value=False))
    elif separator is None:
        texts, flags = trimmed_texts(cells, kind, zone)
        texts = without_json_null(texts)
        looked_at = texts.is_valid()
    else:
        texts, flags = text_cells(cells, kind, zone)
        texts, dirty = without_control_characters(texts)
        lists = by_distinct(trimmed(texts), lambda text: separated(text, separator))
        found, long = storable(lists, doubtful(lists), list_fault)
        return Cleaned(found, "raw", (*flags, *dirty, *long))
    found, faults = storable(texts, looked_at, list_fault)
    return Cleaned(found, "raw", (*flags, *faults))


def separated(text: str, separator: str) -> str:
    """The items of a separated text as a JSON array of texts, blank items left out. An item in double quotes may hold the separator."""
    return orjson.dumps([item.strip() for item in items(text, separator) if item.strip()]).decode()


@cache
def item_pattern(separator: str) -> re.Pattern[str]:
    """A pattern of one item and the separator behind it: (what stands in double quotes, what stands without)."""
    return re.compile(rf'\s*"((?:[^"]|"")*)"\s*{re.escape(separator)}|(.*?){re.escape(separator)}', re.DOTALL)


def items(text: str, separator: str) -> list[str]:
    """The items of a separated text; those in double quotes without them, as spreadsheets write them."""
    if '"' not in text:
        return text.split(separator)
    return [quoted.replace('""', '"') or plain for quoted, plain in item_pattern(separator).findall(text + separator)]


def clean_degrees(cells: pa.Array, kind: Kind, zone: ZoneInfo, code: str, most: int) -> Cleaned:
    """The degrees between -most and most, as numbers."""
    if kind in ("float", "integer", "decimal"):
        # By way of text, as Arrow's own way from decimals does not round as JSON's readers do.
        digits = pc.cast(cells, pa.string()) if kind == "decimal" else cells
        numbers = pc.cast(digits, pa.float64(), safe=False)
        return checked(code, numbers, pc.less_equal(pc.abs(numbers), most), "raw")
    texts, flags = trimmed_texts(cells, kind, zone)
    shaped = keep_where(pc.match_substring_regex(texts, LOOSE_NUMBER), texts)
    numbers = pc.cast(by_distinct(shaped, plain_number), pa.float64())
    good = pc.less_equal(pc.abs(numbers), most)
    return Cleaned(keep_where(good, numbers), "raw", (*flags, bad_cells(code, texts, good)))
