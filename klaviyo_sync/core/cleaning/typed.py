"""Cleaners for values with a type: numbers, booleans, dates, moments, lists, JSON, degrees."""

from __future__ import annotations

import math
from decimal import Decimal
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import (
    Cleaned,
    Flag,
    as_text,
    bad_cells,
    checked,
    holds_any,
    text_cells,
    trimmed,
    without_control_characters,
    without_json_null,
)
from klaviyo_sync.core.cleaning.moments import in_zone, moment_text, parsed_days, parsed_moments, within_calendar
from klaviyo_sync.core.cleaning.texts import clean_as_text, clean_text
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc

JSON_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
LOOSE_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
LONG_INTEGER = r"^-?[0-9]{19,}$"
# Integers are stored in 64 bits: https://developers.klaviyo.com/en/reference/events_api_overview
LARGEST = 2**63 - 1

# https://help.klaviyo.com/hc/en-us/articles/115005237648
TRUE_WORDS = pa.array(["true", "t", "yes", "y", "1"])
FALSE_WORDS = pa.array(["false", "f", "no", "n", "0"])

NOT_QUITE_JSON = r"NaN|nan|Inf|inf|undefined"
TRACES = (b"NaN", b"nan", b"nf", b"undefined")  # what every one of them holds


def plain_number(text: str) -> str | None:
    """The number as JSON writes it, or None when it is not finite."""
    number = Decimal(text)
    return str(number) if math.isfinite(float(number)) else None


def fits_64_bits(text: str) -> str | None:
    """The text itself when it is an integer of 64 bits."""
    return text if -LARGEST - 1 <= int(text) <= LARGEST else None


def trimmed_texts(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> tuple[pa.Array, tuple[Flag, ...]]:
    """Cells of any kind as texts without surrounding white space, NULL for blank ones; and the flags of those without a text."""
    texts, flags = text_cells(cells, kind, zone)
    return trimmed(texts), flags


def clean_number(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The numbers. Decimals keep their digits; NaN, infinities and integers beyond 64 bits are not sent."""
    if kind == "float":
        return checked("not_a_number", cells, pc.is_finite(cells), "raw")
    if kind == "integer" and pa.types.is_integer(cells.type) and cells.type != pa.uint64():
        return Cleaned(cells, "raw")
    if kind == "decimal" and pa.types.is_decimal128(cells.type):  # others the encoder's DuckDB cannot read
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


def clean_date(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The days, as 2026-01-31: a date is as it is written, not a moment. Times lose their time of day."""
    if kind in ("date", "instant", "wall"):
        local = local_times(cells, zone) if kind == "instant" else cells
        days = within_calendar(pc.cast(local, pa.date32(), safe=False))
    else:
        cells = trimmed(as_text(cells, kind, zone))
        days = parsed_days(cells)
    return Cleaned(pc.cast(days, pa.string()), "text", (bad_cells("not_a_date", cells, days.is_valid()),))


def local_times(moments: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Moments as wall-clock times."""
    micros = within_calendar(pc.cast(moments, pa.timestamp("us", "UTC"), safe=False))
    return pc.local_timestamp(pc.cast(micros, pa.timestamp("us", zone.key)))


def clean_datetime(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The moments, as ISO 8601 in UTC. Times without an offset are read in the sync's zone; days as their first moment."""
    if kind in ("instant", "wall"):
        found = as_text(cells, kind, zone)
    elif kind == "date":
        found = moment_text(in_zone(pc.cast(within_calendar(cells), pa.timestamp("us")), zone))
    else:
        cells = trimmed(as_text(cells, kind, zone))
        found = moment_text(parsed_moments(cells, zone))
    return Cleaned(found, "text", (bad_cells("not_a_datetime", cells, found.is_valid()),))


def doubtful_json(texts: pa.Array) -> pa.Array:
    """Which texts may hold one of the words that warehouses write into JSON and JSON does not know."""
    if not holds_any(texts, TRACES):
        return pc.and_(texts.is_valid(), texts.is_null())
    return pc.match_substring_regex(texts, NOT_QUITE_JSON)


def is_json(text: str) -> str | None:
    """The text itself when it is JSON."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return text


def clean_json(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> Cleaned:
    """The JSON texts. What the warehouse wrote as JSON is looked at only where it may hold NaN or the like."""
    if kind not in ("json", "list", "text"):
        if kind in ("integer", "decimal", "float"):
            return clean_number(cells, kind, zone)
        return Cleaned(cells, "raw") if kind == "boolean" else clean_as_text(clean_text, cells, kind, zone)
    texts = trimmed(as_text(cells, kind, zone)) if kind == "text" else cells
    found = replaced(texts, texts.is_valid() if kind == "text" else doubtful_json(texts), lambda some: by_distinct(some, is_json))
    return Cleaned(without_json_null(found), "raw", (bad_cells("not_json", texts, found.is_valid()),))


def json_list(text: str) -> str | None:
    """The text itself when it is a JSON array."""
    return text if text.lstrip().startswith("[") and is_json(text) is not None else None


def clean_list(cells: pa.Array, kind: Kind, zone: ZoneInfo, separator: str | None) -> Cleaned:
    """The lists as JSON arrays: from arrays, from JSON arrays as text, or from separated text when a separator is declared."""
    flags: tuple[Flag, ...] = ()
    if kind in ("list", "json"):
        texts = without_json_null(cells)
        doubtful = pc.or_(doubtful_json(texts), pc.invert(pc.starts_with(texts, "[")))
    elif separator is None:
        texts, flags = trimmed_texts(cells, kind, zone)
        texts = without_json_null(texts)
        doubtful = texts.is_valid()
    else:
        texts, flags = text_cells(cells, kind, zone)
        texts, dirty = without_control_characters(texts)
        return Cleaned(by_distinct(trimmed(texts), lambda text: separated(text, separator)), "raw", (*flags, *dirty))
    found = replaced(texts, doubtful, lambda some: by_distinct(some, json_list))
    return Cleaned(found, "raw", (*flags, bad_cells("not_a_list", texts, found.is_valid())))


def separated(text: str, separator: str) -> str:
    """The items of a separated text as a JSON array of texts, blank items left out."""
    return orjson.dumps([item.strip() for item in text.split(separator) if item.strip()]).decode()


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
