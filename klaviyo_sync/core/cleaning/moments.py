"""Days and moments: read from texts, set in a zone, written in ISO 8601. What its years of four digits cannot write is no moment."""

from __future__ import annotations

from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa

from klaviyo_sync.core.frames import keep_where, replaced
from klaviyo_sync.core.kernels import pc

DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?"
OFFSET = r" ?(Z|UTC|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
DATE = rf"^{DAY}([T ][0-9]{{2}}:.*)?$"
US_DATE = r"^(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})$"
MOMENT = rf"^{DAY}[T ]{CLOCK}({OFFSET})?$"
WITH_OFFSET = rf":.*{OFFSET}$"

DATE_LENGTH = len("2026-01-31")
FIRST_DAY, LAST_DAY = (pa.scalar(day, pa.date32()) for day in (date.min, date.max))
FIRST, LAST = (
    pa.scalar(moment, pa.timestamp("us", "UTC"))
    for moment in (datetime.min.replace(tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc))
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


def parsed_days(texts: pa.Array) -> pa.Array:
    """The days that texts such as 2026-01-31, 2026-01-31T12:00 and 1/31/2026 name; NULL for what is not one."""
    iso = keep_where(pc.match_substring_regex(texts, DATE), pc.utf8_slice_codeunits(texts, 0, DATE_LENGTH))
    found = existing_days(iso)
    american = pc.extract_regex(texts, US_DATE)
    if american.null_count == len(american):
        return found
    month, day = (pc.utf8_lpad(pc.struct_field(american, part), 2, "0") for part in ("month", "day"))
    return pc.coalesce(found, existing_days(pc.binary_join_element_wise(pc.struct_field(american, "year"), month, day, "-")))


def parsed_moments(texts: pa.Array, zone: ZoneInfo) -> pa.Array:
    """The moments that ISO 8601 texts name, in UTC; the zone is for texts without an offset. NULL for what is not one."""
    shaped = keep_where(pc.match_substring_regex(texts, MOMENT), texts)
    real = existing_days(pc.utf8_slice_codeunits(shaped, 0, DATE_LENGTH)).is_valid()
    stamps = pc.replace_substring_regex(keep_where(real, shaped), r"(\.[0-9]{6})[0-9]+", r"\1")
    offset = pc.match_substring_regex(stamps, WITH_OFFSET)
    aware = pc.replace_substring_regex(pc.replace_substring(keep_where(offset, stamps), "UTC", "Z"), r" (Z|[+-][0-9:]+)$", r"\1")
    naive = keep_where(pc.invert(offset), stamps)
    return pc.coalesce(pc.cast(aware, pa.timestamp("us", "UTC")), in_zone(pc.cast(naive, pa.timestamp("us")), zone))
