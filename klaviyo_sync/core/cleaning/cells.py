"""What every cleaner shares: its result, and any column as text."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.dialects import BLANKS, Kind
from klaviyo_sync.core.frames import keep_where, replaced
from klaviyo_sync.core.kernels import pc

# Tab, line feed and carriage return are text; the other control characters are accidents, and NUL cannot be stored.
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"

DELETE = 0x7F

DATE_LENGTH = len("2026-01-31")
FIRST_USUAL, LAST_USUAL = datetime(1000, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001 - years with four digits, in UTC

Form = Literal["text", "raw"]


class Flag(NamedTuple):
    """An issue of a column: a code of the catalogue, and where it stands (Arrow booleans, one per row)."""

    code: str
    where: pa.Array


class Cleaned(NamedTuple):
    """The cells that can go out, and what is to be said of the others.

    `form` says how they are written into JSON: `text` is quoted and escaped, `raw` is JSON already (numbers, booleans, JSON text).
    """

    cells: pa.Array
    form: Form
    flags: tuple[Flag, ...] = ()


def bad_cells(code: str, cells: pa.Array, good: pa.Array) -> Flag:
    """The flag for the cells that hold something and are not good."""
    return Flag(code, pc.and_not(cells.is_valid(), pc.fill_null(good, fill_value=False)))


def checked(code: str, cells: pa.Array, good: pa.Array, form: Form = "text") -> Cleaned:
    """The good cells, the others flagged."""
    return Cleaned(keep_where(good, cells), form, (bad_cells(code, cells, good),))


def text_bytes(texts: pa.Array) -> np.ndarray:
    """The bytes of all texts, one after the other, not copied (uint8)."""
    data = texts.buffers()[2]
    if data is None or len(texts) == 0:
        return np.empty(0, np.uint8)
    offsets = np.frombuffer(texts.buffers()[1], np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    return np.frombuffer(data, np.uint8)[offsets[texts.offset] : offsets[texts.offset + len(texts)]]


def holds_any(texts: pa.Array, needles: tuple[bytes, ...]) -> bool:
    """Whether any of the byte strings stands anywhere in the texts, seen as a whole."""
    haystack = text_bytes(texts).tobytes()
    return any(needle in haystack for needle in needles)


def has_control_characters(texts: pa.Array) -> bool:
    """Whether any text may hold one. Looking at the bytes as a whole costs next to nothing."""
    found = text_bytes(texts)
    return bool(((found < ord(" ")) | (found == DELETE)).any())


def without_control_characters(texts: pa.Array) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The texts without control characters, and the flag for those that had some."""
    if not has_control_characters(texts):
        return texts, ()
    where = pc.fill_null(pc.match_substring_regex(texts, CONTROL), fill_value=False)
    if not pc.any(where).as_py():
        return texts, ()
    return replaced(texts, where, lambda dirty: pc.replace_substring_regex(dirty, CONTROL, "")), (Flag("control_characters", where),)


def moment_text(moments: pa.Array) -> pa.Array:
    """UTC moments as ISO 8601 texts, with a fraction only where there is one."""
    micros = pc.cast(moments, pa.timestamp("us"), safe=False)
    seconds = pc.cast(micros, pa.timestamp("s"), safe=False)
    fraction = pc.not_equal(pc.cast(seconds, micros.type), micros)
    texts = replaced(pc.cast(seconds, pa.string()), fraction, lambda _: pc.cast(micros.filter(fraction), pa.string()))
    dated = pc.binary_replace_slice(texts, start=DATE_LENGTH, stop=DATE_LENGTH + 1, replacement="T")
    usual = pc.min_max(seconds)
    if len(seconds) > seconds.null_count and not (usual["min"].as_py() >= FIRST_USUAL and usual["max"].as_py() <= LAST_USUAL):
        dated = pc.replace_substring(texts, " ", "T", max_replacements=1)
    return pc.binary_join_element_wise(dated, "Z", "")


def in_zone(walls: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Wall-clock times as moments; a time that the zone repeats or leaves out stands for the later one."""
    micros = pc.cast(walls, pa.timestamp("us"), safe=False)
    return pc.cast(pc.assume_timezone(micros, zone.key, ambiguous="latest", nonexistent="latest"), pa.timestamp("us", "UTC"))


def as_text(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> pa.Array:
    """A column of any kind as texts: numbers without exponent or needless zeros, moments in ISO 8601, booleans as true and false."""
    if kind == "instant":
        return moment_text(cells)
    if kind == "wall":
        return moment_text(in_zone(cells, zone))
    if pa.types.is_decimal(cells.type):
        texts = pc.cast(cells, pa.string())
        return replaced(texts, pc.match_substring(texts, "."), lambda some: pc.replace_substring_regex(some, r"\.?0+$", ""))
    if pa.types.is_floating(cells.type):
        whole = pc.and_(pc.is_finite(cells), pc.and_(pc.equal(pc.trunc(cells), cells), pc.less(pc.abs(cells), 2.0**53)))
        texts = pc.cast(cells, pa.string())
        return replaced(texts, whole, lambda _: pc.cast(pc.cast(cells.filter(whole), pa.int64()), pa.string()))
    return cells if pa.types.is_string(cells.type) else pc.cast(cells, pa.string())


def trimmed(texts: pa.Array) -> pa.Array:
    """The texts without surrounding white space; NULL for blank ones."""
    bare = pc.utf8_trim(texts, characters=BLANKS)
    return keep_where(pc.not_equal(bare, ""), bare)
