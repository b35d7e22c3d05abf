"""What every cleaner shares: its result, and any column as text."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pyarrow as pa

from klaviyo_sync.core.cleaning.flags import Flag
from klaviyo_sync.core.cleaning.moments import in_zone, moment_text, within_calendar
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import by_distinct, keep_where, replaced
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.visible import BLANKS

# Tab, line feed and carriage return are text; the other control characters are accidents, and NUL cannot be stored.
CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"

DELETE = 0x7F

# What nobody sees, and what makes two texts differ that look alike: control characters, zero-width and direction characters.
HIDDEN = (
    r"[\x00-\x1f\x7f-\x{9f}\x{ad}\x{34f}\x{61c}\x{180e}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}"
    r"\x{fff9}-\x{fffb}\x{e0000}-\x{e007f}]"
)

# What a spreadsheet puts around a value so that it stays a text: a leading apostrophe, or a formula. An apostrophe at both ends is a quote.
MARKED = r"(?s)^(?:'|'.*[^']|=\".*\")$"

Form = Literal["text", "raw"]


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


def text_ends(texts: pa.Array) -> np.ndarray:
    """Where each text starts among the bytes of all texts, and where the last one ends."""
    if len(texts) == 0:
        return np.zeros(1, np.int64)
    offsets = np.frombuffer(texts.buffers()[1], np.int64 if pa.types.is_large_string(texts.type) else np.int32)
    ends = offsets[texts.offset : texts.offset + len(texts) + 1]
    return ends - ends[0]


def holds_any(texts: pa.Array, needles: tuple[bytes, ...]) -> bool:
    """Whether any of the byte strings stands anywhere in the texts, seen as a whole."""
    found = text_bytes(texts)
    return any(holds(found, needle) for needle in needles)


def holds(found: np.ndarray, needle: bytes) -> bool:
    """Whether the byte string stands in the bytes. A few times faster than Python's own search, which is made for rare beginnings."""
    places = max(len(found) - len(needle) + 1, 0)
    here = np.ones(places, dtype=bool)
    for position, byte in enumerate(needle):
        here &= found[position : position + places] == byte
        if not here.any():
            return False
    return True


def any_between(texts: pa.Array, first: int, last: int) -> bool:
    """Whether any byte of any text is one of these. Looking at the bytes as a whole costs next to nothing."""
    return bool((text_bytes(texts) - np.uint8(first) <= last - first).any())  # what is below wraps around to above


def longest(texts: pa.Array) -> int:
    """Bytes of the longest text."""
    return pc.max(pc.binary_length(texts)).as_py() or 0


def has_control_characters(texts: pa.Array) -> bool:
    """Whether any text may hold one."""
    return any_between(texts, 0, ord(" ") - 1) or any_between(texts, DELETE, DELETE)


def without_control_characters(texts: pa.Array) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The texts without control characters, and the flag for those that had some."""
    if not has_control_characters(texts):
        return texts, ()
    where = pc.fill_null(pc.match_substring_regex(texts, CONTROL), fill_value=False)
    if not pc.any(where).as_py():
        return texts, ()
    return replaced(texts, where, lambda dirty: pc.replace_substring_regex(dirty, CONTROL, "")), (Flag("control_characters", where),)


def without_exponent(number: str) -> str:
    """The number in plain digits."""
    return format(Decimal(number), "f")


def unquoted(text: str) -> str:
    """The text that a JSON string holds."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def without_zeros(texts: pa.Array) -> pa.Array:
    """The texts without zeros at the end of a fraction."""
    return replaced(texts, pc.match_substring(texts, "."), lambda some: pc.replace_substring_regex(some, r"\.?0+$", ""))


def decimal_text(cells: pa.Array) -> pa.Array:
    """Decimals in plain digits, without zeros at the end of a fraction."""
    texts = pc.cast(cells, pa.string())
    return without_zeros(replaced(texts, pc.match_substring(texts, "E"), lambda some: by_distinct(some, without_exponent)))


def float_text(cells: pa.Array) -> pa.Array:
    """Floats in plain digits, whole ones as whole numbers."""
    whole = pc.and_(pc.is_finite(cells), pc.and_(pc.equal(pc.trunc(cells), cells), pc.less(pc.abs(cells), 2.0**53)))
    texts = replaced(pc.cast(cells, pa.string()), whole, lambda _: pc.cast(pc.cast(cells.filter(whole), pa.int64()), pa.string()))
    return replaced(texts, pc.match_substring(texts, "e"), lambda some: by_distinct(some, without_exponent))


def as_text(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> pa.Array:
    """A column of any kind as texts: numbers without exponent or needless zeros, moments in ISO 8601, booleans as true and false.

    JSON strings lose their quotes, a JSON null is NULL.
    """
    if kind in ("instant", "wall"):
        return moment_text(cells if kind == "instant" else in_zone(cells, zone))
    if pa.types.is_decimal(cells.type):
        return decimal_text(cells)
    if pa.types.is_floating(cells.type):
        return float_text(cells)
    texts = pc.cast(within_calendar(cells) if kind == "date" else cells, pa.string())
    if kind == "json":
        return without_json_null(replaced(texts, pc.starts_with(texts, '"'), lambda some: by_distinct(some, unquoted)))
    return without_zeros(texts) if pa.types.is_time(cells.type) else texts


# What is said of days and moments beyond the calendar, which have no text.
WITHOUT_TEXT: dict[Kind, str] = {"date": "not_a_date", "instant": "not_a_datetime", "wall": "not_a_datetime"}


def text_cells(cells: pa.Array, kind: Kind, zone: ZoneInfo) -> tuple[pa.Array, tuple[Flag, ...]]:
    """A column of any kind as texts, and the flag for cells that have none."""
    texts = as_text(cells, kind, zone)
    if kind not in WITHOUT_TEXT or texts.null_count == cells.null_count:
        return texts, ()
    return texts, (bad_cells(WITHOUT_TEXT[kind], cells, texts.is_valid()),)


def without_json_null(texts: pa.Array) -> pa.Array:
    """The JSON texts; a JSON null is no value, as NULL is none."""
    null = pc.equal(texts, "null")
    return keep_where(pc.invert(null), texts) if pc.any(null).as_py() else texts


def trimmed(texts: pa.Array) -> pa.Array:
    """The texts without surrounding white space; NULL for blank ones."""
    padded = any_between(texts, 0, ord(" ")) or any_between(texts, DELETE, 0xFF)
    bare = pc.utf8_trim(texts, characters=BLANKS) if padded else texts
    empty = pc.equal(bare, "")
    return keep_where(pc.invert(empty), bare) if pc.any(empty).as_py() else bare


def has_hidden_characters(texts: pa.Array) -> pa.Array:
    """Which texts hold a control, zero-width or direction character. False for NULL."""
    if not (has_control_characters(texts) or any_between(texts, DELETE, 0xFF)):
        return pa.repeat(pa.scalar(value=False), len(texts))
    return pc.fill_null(pc.match_substring_regex(texts, HIDDEN), fill_value=False)


def without_marks(texts: pa.Array) -> tuple[pa.Array, tuple[Flag, ...]]:
    """The trimmed texts without what a spreadsheet put around them, and the flag for those that had it."""
    if not any(any_between(texts, ord(mark), ord(mark)) for mark in "'="):
        return texts, ()
    where = pc.fill_null(pc.match_substring_regex(texts, MARKED), fill_value=False)
    if not pc.any(where).as_py():
        return texts, ()
    return trimmed(replaced(texts, where, unmarked)), (Flag("spreadsheet_marks", where),)


def unmarked(texts: pa.Array) -> pa.Array:
    """Texts that all have a spreadsheet's marks, without them."""
    return pc.if_else(
        pc.starts_with(texts, "'"),
        pc.utf8_slice_codeunits(texts, 1),
        pc.replace_substring(pc.utf8_slice_codeunits(pc.utf8_slice_codeunits(texts, 2), 0, -1), '""', '"'),
    )
