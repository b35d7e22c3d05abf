"""Cleaning: whatever a warehouse holds, no cell breaks a run, and none is left out without an issue."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple, get_args
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.cleaning import Cleaned, cleaner_for_attribute, cleaner_for_phone, cleaner_for_property
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.frames import true_at
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.placeholders import known_placeholders
from klaviyo_sync.core.sync import AttributeField, PropertyField, PropertyType
from klaviyo_sync.core.visible import BLANKS

ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe")]
PROPERTY_TYPES: tuple[PropertyType | None, ...] = (None, *get_args(PropertyType))
WORDS = [
    *("", " ", "ada@example.com", "Ada@EXAMPLE.com ", "ada@münchen.example", "+16502530000", "0151 12345678", "00", "+", "DE", "Germany"),
    *("17", "17.0", "-0", "+1e5", "1e999", ".5", "99999999999999999999", "NaN", "-inf", "true", "Yes", "0", "on", "null", "undefined"),
    *("2026-01-31", "2026-02-30", "1/31/2026", "2026-01-31T12:00:00Z", "2026-03-29 02:30", "0000-00-00", "9999-12-31T23:59:59-15:00"),
    *(
        "[]",
        '["a"]',
        "[1,",
        '{"a": 1}',
        '{"a": NaN}',
        '"text"',
        '"',
        "a,b",
        "en-US",
        "http://x",
        "https://example.com/\x00",
        "192.0.2.1",
        "::1",
    ),
    *("\x00", "\x1b[0m", "\ud7ff", "😀", "\u2028", "a" * 70, "Europe/Berlin", "subscribed"),
]
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8) | st.tuples(st.sampled_from(WORDS), st.text(max_size=2)).map("".join)
JSON = st.sampled_from(
    ["null", "[]", "{}", '""', '"text"', "17", "true", '["a", null]', '{"a": "NaN"}', '{"a": NaN}', "[Infinity]", "[undefined]"]
)
EVER = 2**63 - 1


class Column(NamedTuple):
    """A kind of column, an Arrow type in which some warehouse brings it, and its cells."""

    kind: Kind
    type: pa.DataType
    cells: st.SearchStrategy[Any]


MOMENTS: tuple[tuple[Kind, str | None], ...] = (("instant", "UTC"), ("instant", "America/Los_Angeles"), ("wall", None))
COLUMNS = (
    Column("text", pa.string(), TEXTS),
    Column("text", pa.large_string(), TEXTS),
    Column("json", pa.string(), JSON),
    Column("list", pa.string(), st.sampled_from(["[]", '["a"]', "[1.5]", "[NaN]", '["NaN"]', "null"])),
    Column("integer", pa.int8(), st.integers(-128, 127)),
    Column("integer", pa.int64(), st.integers(-(2**63), EVER)),
    Column("integer", pa.uint64(), st.integers(0, 2**64 - 1)),
    Column("integer", pa.decimal128(38, 0), st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)),
    Column("decimal", pa.decimal128(38, 10), st.decimals(-(10**27), 10**27, places=10, allow_nan=False)),
    Column("decimal", pa.decimal256(76, 38), st.decimals(-(10**9), 10**9, places=38, allow_nan=False)),
    Column("float", pa.float64(), st.floats()),
    Column("float", pa.float32(), st.floats(width=32)),
    Column("boolean", pa.bool_(), st.booleans()),
    Column("date", pa.date32(), st.dates() | st.sampled_from([2**31 - 1, -(2**31) + 1, 2_932_897, -719_163])),
    Column("time", pa.time64("us"), st.times()),
    Column("time", pa.time64("ns"), st.times()),
    *(
        Column(kind, pa.timestamp(unit, zone), cells)
        for kind, zone in MOMENTS
        for unit, cells in (
            ("s", st.integers(-EVER // 10**6, EVER // 10**6)),
            ("ms", st.integers(-EVER // 10**3, EVER // 10**3)),
            ("us", st.integers(-EVER, EVER) | st.integers(-62_135_596_800_000_001, 253_402_300_800_000_001)),
            ("ns", st.integers(-EVER, EVER)),
        )
    ),
)


def column(draw: st.DrawFn) -> tuple[Column, pa.Array]:
    """A column and some of its cells, NULLs among them."""
    kind = draw(st.sampled_from(COLUMNS))
    return kind, pa.array(draw(st.lists(st.none() | kind.cells, max_size=6)), kind.type)


def check(cells: pa.Array, cleaned: Cleaned) -> None:
    """Holds the cleaned cells against those that came: as many, JSON where they must be, none gone without an issue."""
    assert len(cleaned.cells) == len(cells)
    told = [False] * len(cells)
    for flag in cleaned.flags:
        assert flag.code in CODES
        assert len(flag.where) == len(cells)
        if CODES[flag.code].effect == "cell":
            told = [before or now for before, now in zip(told, true_at(flag.where), strict=True)]
    came, kept = cells.is_valid().to_pylist(), cleaned.cells.is_valid().to_pylist()
    texts = cells.to_pylist() if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type) else [None] * len(cells)
    for before, after, issue, text in zip(came, kept, told, texts, strict=True):
        assert not (after and issue)
        if before and not after and not issue:
            assert text is not None
            assert text.translate(dict.fromkeys((*range(32), 127))).strip(BLANKS + "'") in ("", "null", '""', '=""')
        assert before or not after
    if cleaned.form == "raw":
        for value in cleaned.cells.to_pylist():
            orjson.loads(value if isinstance(value, str) else orjson.dumps(value, default=float))


@pytest.mark.parametrize("path", ATTRIBUTES)
@given(data=st.data(), zone=st.sampled_from(ZONES))
@settings(max_examples=examples(30), deadline=None)
def test_any_column_for_any_attribute(path: str, data: st.DataObject, zone: ZoneInfo) -> None:
    """Any column may fill any attribute: a cell goes out, is blank, or has an issue."""
    kind, cells = data.draw(st.composite(column)())
    if ATTRIBUTES[path].kind == "phone":
        named = data.draw(st.none() | st.lists(st.none() | TEXTS, min_size=len(cells), max_size=len(cells)))
        countries = None if named is None else pa.array(named, pa.string())
        clean = cleaner_for_phone(AttributeField(column="c"), kind.kind, "text", zone, known_placeholders(()))
        check(cells, clean(cells, countries))
    else:
        check(cells, cleaner_for_attribute(ATTRIBUTES[path], kind.kind, zone, known_placeholders(()))(cells))


@pytest.mark.parametrize("declared", PROPERTY_TYPES)
@given(data=st.data(), zone=st.sampled_from(ZONES))
@settings(max_examples=examples(80), deadline=None)
def test_any_column_for_any_property(declared: PropertyType | None, data: st.DataObject, zone: ZoneInfo) -> None:
    """Any column may fill a property of any type: a cell goes out, is blank, or has an issue."""
    kind, cells = data.draw(st.composite(column)())
    separator = data.draw(st.sampled_from([None, ","])) if declared == "list" else None
    check(cells, cleaner_for_property(PropertyField(column="c", type=declared, separator=separator), kind.kind, zone)(cells))
