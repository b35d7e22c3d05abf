"""Encoding: what DuckDB writes is what an independent encoder in plain Python says, for any cells, names and forms."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_cases import exact

from how_many import examples
from klaviyo_sync.core.attributes import ATTRIBUTES
from klaviyo_sync.core.cleaning.cells import Form
from klaviyo_sync.core.encoding import PIECE_ROWS, Encoder, lengths
from klaviyo_sync.core.frames import series
from klaviyo_sync.core.prepared import Prepared
from klaviyo_sync.engine import engine

MARKS = ["", " ", '"', "\\", '\\"', "'", "''", "\n\r\t", "\x00", "\x1f", "\x7f", "\u2028", "\ufeff", "é", "😀", "e\u0301"]
NASTY = [*MARKS, "null", "{}", "},", "$1", "%s", "; --"]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.sampled_from(NASTY).map(lambda text: text * 5_000))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from([text for text in NASTY if text.strip()]) | st.text(min_size=1, max_size=8)


class Column(NamedTuple):
    """A column of cells: its Arrow type, the form in which it is written, and how its cells are made."""

    type: pa.DataType
    form: Form
    cells: st.SearchStrategy[Any]


def real(width: int) -> st.SearchStrategy[float]:
    """Finite floats."""
    return st.floats(allow_nan=False, allow_infinity=False, width=width)  # type: ignore[arg-type]


COLUMNS = (
    Column(pa.string(), "text", TEXTS),
    Column(pa.string(), "raw", JSON.map(lambda value: orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME).decode())),
    Column(pa.int8(), "raw", st.integers(-128, 127)),
    Column(pa.int64(), "raw", st.integers(-(2**63), 2**63 - 1)),
    Column(pa.float64(), "raw", real(64)),
    Column(pa.float32(), "raw", real(32)),
    Column(pa.bool_(), "raw", st.booleans()),
    Column(pa.decimal128(38, 4), "raw", st.decimals(-(10**33), 10**33, places=4, allow_nan=False)),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


@st.composite
def frames(draw: st.DrawFn) -> tuple[pd.DataFrame, dict[str, Form]]:
    """Cells of profiles with their forms: any attributes and properties, NULLs here and there, or none, or nothing else."""
    paths = draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)) | NAMES.map("properties.{}".format), unique=True, max_size=7))
    count = draw(st.integers(0, 6))
    cells: dict[str, pd.Series] = {}
    forms: dict[str, Form] = {}
    for path in paths:
        column = draw(st.sampled_from(COLUMNS))
        values = draw(st.sampled_from([column.cells, st.none() | column.cells, st.none()]))
        made = pa.array(draw(st.lists(values, min_size=count + 1, max_size=count + 1)), column.type)
        cells[path] = series(made.slice(1))  # as a part of a longer array, which is how batches come
        forms[path] = column.form
    return pd.DataFrame(cells, copy=False), forms


SINGLE = pd.ArrowDtype(pa.float32())


def value_of(cell: Any, form: Form) -> Any:
    """What a cell is in JSON, once that is read again."""
    if form == "raw" and isinstance(cell, str):
        return orjson.loads(cell)
    return float(cell) if isinstance(cell, Decimal) else cell


def oracle(row: dict[str, Any], forms: dict[str, Form]) -> dict[str, Any]:
    """The profile of a row, built the plain way."""
    profile: dict[str, Any] = {"type": "profile", "attributes": {}}
    for path, cell in row.items():
        if cell is None:
            continue
        group, _, name = path.partition(".")
        if path == "id":
            profile["id"] = value_of(cell, forms[path])
        elif name:
            profile["attributes"].setdefault(group, {})[name] = value_of(cell, forms[path])
        else:
            profile["attributes"][path] = value_of(cell, forms[path])
    return profile


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain Python; a float of 32 bits is the shortest number that means it."""
    columns = {path: pa.array(frame[path]).to_pylist() for path in frame.columns}
    for path in frame.columns[frame.dtypes == SINGLE]:
        columns[path] = [None if cell is None else float(str(np.float32(cell))) for cell in columns[path]]
    return [{path: cells[row] for path, cells in columns.items()} for row in range(len(frame))]


@given(made=frames())
@settings(max_examples=examples(150), deadline=None)
def test_encoder_against_plain_python(connection: duckdb.DuckDBPyConnection, made: tuple[pd.DataFrame, dict[str, Form]]) -> None:
    """Every profile is the JSON that plain Python makes of its row, NULLs left out, each with its comma and its length."""
    frame, forms = made
    if frame.empty:
        return
    encoded = Encoder(connection).encode(frame, forms)
    texts = encoded.to_pylist()
    assert len(texts) == len(frame)
    for text, length, row in zip(texts, lengths(encoded), rows_of(frame), strict=True):
        assert text.endswith(",")
        assert length == len(text.encode()) - 1
        assert exact(orjson.loads(text[:-1])) == exact(oracle(row, forms))


def test_order_is_kept(connection: duckdb.DuckDBPyConnection) -> None:
    """However many rows a frame has, profiles come in the order of its rows, in pieces of a size that keep their rows beside them."""
    cells = pa.array([str(number) for number in range(300_000)])
    encoded = Encoder(connection).encode(pd.DataFrame({"external_id": series(cells)}), {"external_id": "text"})
    expected = [f'{{"type":"profile","attributes":{{"external_id":"{number}"}}}},' for number in range(300_000)]
    assert encoded.to_pylist() == expected
    assert max(len(chunk) for chunk in encoded.chunks) <= PIECE_ROWS
    rows = pa.table({"text": expected})
    pieces = list(Prepared(encoded, rows, pd.DataFrame(), np.zeros(0), {}, rows.slice(0, 0)).pieces())
    assert [text for texts, _ in pieces for text in texts.to_pylist()] == expected
    assert [text for _, beside in pieces for text in beside["text"].to_pylist()] == expected
    assert all(len(texts) == len(beside) for texts, beside in pieces)


def test_decimals_keep_their_digits(connection: duckdb.DuckDBPyConnection) -> None:
    """Decimals are written as they are, digits beyond those of a float too."""
    cells = pa.array([Decimal("12345678901234567890.10"), Decimal("-0.01"), Decimal("0.00")], pa.decimal128(38, 2))
    encoded = Encoder(connection).encode(pd.DataFrame({"properties.x": series(cells)}), {"properties.x": "raw"})
    written = [text.partition('"x":')[2].partition("}")[0] for text in encoded.to_pylist()]
    assert written == ["12345678901234567890.10", "-0.01", "0.00"]


def test_nothing_to_encode(connection: duckdb.DuckDBPyConnection) -> None:
    """A frame without rows makes no profiles."""
    frame = pd.DataFrame({"email": series(pa.array([], pa.string())), "location.city": series(pa.array([], pa.string()))})
    assert len(Encoder(connection).encode(frame, {"email": "text", "location.city": "text"})) == 0
