"""What the cleaner lets pass, Klaviyo takes: any cell of any type, through the real encoder and HTTP into the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from api_client import JOBS, Api
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.attributes import ATTRIBUTES, PROPERTY
from klaviyo_sync.core.cleaning import Cleaned, Cleaner, cleaner_for_attribute, cleaner_for_phone, cleaner_for_property
from klaviyo_sync.core.dialects import Kind
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.frames import frame_with, true_at
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.packing import import_envelope, pack
from klaviyo_sync.core.placeholders import known_placeholders
from klaviyo_sync.core.sync import AttributeField, PropertyField, PropertyType
from klaviyo_sync.engine import engine
from klaviyo_sync.sandbox import Sandbox, serve

UTC = ZoneInfo("UTC")
TYPES: tuple[PropertyType | None, ...] = (None, *get_args(PropertyType))

NASTY = [
    *("12345678901234567890123", "-9223372036854775809", "9223372036854775807", "1e400", "-1E999", "1e308", "1" + "0" * 400, "0.1e999999"),
    *("9" * 5_000, "NaN", "-Infinity", "-0", "01", "1.", "+1", ".5", "tru", "null", '""', "[]", "{}", "[1,]", '{"a":1}{"b":2}'),
    *(r'"\ud800"', r'{"\udc00":1}', r'"\u0000"', r'{"a\u0000":1}', r'"\\u0000"', r'"\b\f"', '"\x7f"', '"\x00"', '"a\nb"', '{"":""}'),
    *('{"a":1,"a":[2]}', "[" * 10 + "]" * 10, "[" * 11 + "]" * 11, '{"a":' * 1_500 + "1" + "}" * 1_500, "[" * 70_000, '"[[[[[[[[[[[[[["'),
    *(
        "[" + "1," * 4_000 + "1]",
        "[" + "1," * 3_999 + "1]",
        '{"' + "k" * 5_000 + '":1}',
        '["]",["]",["]",["]",["]",["]",["]",["]",["]",["]",["]"]]]]]]]]]]]',
    ),
    *("sales/eu@example.com", "'ada@example.com", "a\u200bb@example.com", "'+16502530000", "\u202a+16502530000\u202c", '="17"', "'02134"),
    *("03/04/2014", "30-SEP-14", "1412098448", "0000-00-00", "9999-12-31T23:59:59-15:00", "\x00", "\u200b", "a\x00b", "null", "undefined"),
]
SCALARS = st.sampled_from([text for text in NASTY if len(text) < 500]) | st.text(max_size=6)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats()


def written(value: Any) -> str:
    """The value as a warehouse writes JSON: NaN and infinities as words, half characters as escapes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(key)}:{written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else quoted(value)


def quoted(value: float | str) -> str:
    """A number or text in JSON, control characters as escapes."""
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(mark):04x}" if mark < " " or mark in '"\\' else mark for mark in value) + '"'
    return repr(value).replace("nan", "NaN").replace("inf", "Infinity")


VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=25,
)
JSON = st.sampled_from(NASTY) | VALUES.map(written)
CELLS: tuple[tuple[Kind, pa.DataType, st.SearchStrategy[Any]], ...] = (
    ("text", pa.string(), JSON | SCALARS),
    ("text", pa.large_string(), JSON | SCALARS),
    ("json", pa.string(), VALUES.map(written) | st.sampled_from(['{"a":12345678901234567890}', r'"\u0000"', '{"a":1e400}', "null"])),
    ("list", pa.string(), st.lists(VALUES, max_size=3).map(written)),
    ("integer", pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    ("integer", pa.uint64(), st.integers(0, 2**64 - 1)),
    ("integer", pa.decimal128(38, 0), st.decimals(-(10**37), 10**37, places=0)),
    ("decimal", pa.decimal128(38, 0), st.decimals(-(10**37), 10**37, places=0)),
    ("decimal", pa.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9)),
    ("decimal", pa.decimal256(76, 0), st.decimals(-(10**60), 10**60, places=0)),
    ("float", pa.float64(), st.floats()),
    ("float", pa.float32(), st.floats(width=32)),
    ("boolean", pa.bool_(), st.booleans()),
    ("date", pa.date32(), st.integers(-(2**31) + 1, 2**31 - 1)),
    ("instant", pa.timestamp("us", "UTC"), st.integers(-(2**63) + 1, 2**63 - 1)),
    ("wall", pa.timestamp("us"), st.integers(-(2**63) + 1, 2**63 - 1)),
)


@pytest.fixture(scope="module")
def encoder() -> Iterator[Encoder]:
    """The encoder of a run."""
    with engine() as connection:
        yield Encoder(connection)


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    """A sandbox whose jobs take no time, over HTTP."""
    with serve(Sandbox(limits=False, job_seconds=0.0)) as server:
        client = Api(server.url)
        yield client
        client.close()


def cleaner(path: str, kind: Kind, declared: PropertyType | None, separator: str | None) -> Cleaner:
    """The cleaner of a path."""
    if path == PROPERTY + "P":
        return cleaner_for_property(
            PropertyField(column="c", type=declared, separator=separator if declared == "list" else None), kind, UTC
        )
    if path == "phone_number":
        phone = cleaner_for_phone(AttributeField(column="c", default_country="US"), kind, "text", UTC, known_placeholders(()))
        return lambda cells: phone(cells, None)
    return cleaner_for_attribute(ATTRIBUTES[path], kind, UTC, known_placeholders(()))


def send(served: Api, encoder: Encoder, path: str, cleaned: Cleaned) -> int:
    """How many profiles the sandbox imported of those that hold these cells beside an external id; all must be taken."""
    ids = pa.array([f"row {position}" for position in range(len(cleaned.cells))])
    cells = {"external_id": ids, path: cleaned.cells}
    texts = encoder.encode(frame_with(cells), {"external_id": "text", path: cleaned.form})
    fits = pa.array([len(text.encode()) <= 100_000 for text in texts.to_pylist()])
    texts = texts.filter(fits)
    rows = pa.table({"window": pa.nulls(len(texts), pa.int32())})
    taken = 0
    for batch in pack([(texts.combine_chunks(), rows)], import_envelope()):
        answer = served.post(JOBS, data=batch.body())
        assert answer.status_code == 202, answer.text
        job = served.job(answer)
        assert (job["status"], job["completed_count"], job["failed_count"]) == ("complete", len(batch), 0)
        taken += len(batch)
    return taken


@pytest.mark.parametrize("path", [*(path for path in ATTRIBUTES if path not in ("id", "external_id")), PROPERTY + "P"])
@given(data=st.data())
@settings(max_examples=examples(60))
def test_what_is_clean_is_taken(path: str, data: st.DataObject, served: Api, encoder: Encoder) -> None:
    """Whatever a cell holds, nested or not: its row arrives, and a cell that does not is an issue of the cell."""
    kind, type_, values = data.draw(st.sampled_from(CELLS))
    declared = data.draw(st.sampled_from(TYPES))
    cells = pa.array(data.draw(st.lists(st.none() | values, min_size=1, max_size=5)), type_)
    cleaned = cleaner(path, kind, declared, data.draw(st.sampled_from([None, ",", ";"])))(cells)
    assert all(CODES[flag.code].effect != "row" for flag in cleaned.flags)

    assert send(served, encoder, path, cleaned) == len(cells) - too_large(cleaned)


def too_large(cleaned: Cleaned) -> int:
    """How many cells are larger than a whole profile may be."""
    cells = cleaned.cells if pa.types.is_string(cleaned.cells.type) or pa.types.is_large_string(cleaned.cells.type) else None
    return 0 if cells is None else sum(cell is not None and len(cell.encode()) > 99_000 for cell in cells.to_pylist())


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("declared", ["json", "list", "number", "text"])
def test_every_nasty_text(text: str, declared: PropertyType, served: Api, encoder: Encoder) -> None:
    """Each of these texts is taken, or an issue of its cell."""
    cells = pa.array([text], pa.string())
    cleaned = cleaner_for_property(PropertyField(column="c", type=declared), "text", UTC)(cells)

    assert send(served, encoder, PROPERTY + "P", cleaned) == 1 - too_large(cleaned)
    lost = any(CODES[flag.code].effect == "cell" and true_at(flag.where)[0] for flag in cleaned.flags)
    assert lost or cleaned.cells.is_valid()[0].as_py() or text.strip("\u200b\x00") in ("", "null", '""')
