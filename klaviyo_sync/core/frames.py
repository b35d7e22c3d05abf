"""Frames: pandas with Arrow-backed columns, and the few moves between the two that the core needs. Nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.kernels import pc

Mask = npt.NDArray[np.bool_]


def frame_with(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pd.DataFrame:
    """The columns as a frame. Not by way of series, whose indexes pandas would compare."""
    return pd.DataFrame({name: pd.arrays.ArrowExtensionArray(cells) for name, cells in columns.items()}, copy=False)


def frame_of(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """The table as a frame with Arrow-backed columns, index 0..n-1."""
    return frame_with(dict(zip(table.schema.names, table.columns, strict=True)))


def table_of(frame: pd.DataFrame) -> pa.Table:
    """The frame as an Arrow table, without its index."""
    return pa.Table.from_arrays([arrow(frame[name]) for name in frame.columns], names=list(frame.columns))


def arrow(cells: pd.Series) -> pa.Array:
    """The Arrow data behind a column, in one piece, dictionaries spelled out."""
    held = cells.array
    found = held.__arrow_array__() if isinstance(held, pd.arrays.ArrowExtensionArray) else pa.array(cells)
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0) if found.num_chunks == 1 else found.combine_chunks()
    return found.dictionary_decode() if pa.types.is_dictionary(found.type) else found


def series(cells: pa.Array) -> pd.Series:
    """Arrow data as a column."""
    return pd.Series(pd.arrays.ArrowExtensionArray(cells))


def true_at(cells: pa.Array) -> Mask:
    """Arrow booleans as a mask; NULL counts as false."""
    return pc.fill_null(cells, fill_value=False).to_numpy(zero_copy_only=False)


def keep_where(good: pa.Array, cells: pa.Array) -> pa.Array:
    """The cells, NULL where `good` is not true."""
    return pc.if_else(pc.fill_null(good, fill_value=False), cells, pa.scalar(None, cells.type))


def replaced(cells: pa.Array, where: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The cells, with those at `where` converted; nothing is converted when there are none."""
    if not pc.any(where).as_py():
        return cells
    return pc.replace_with_mask(cells, pc.fill_null(where, fill_value=False), convert(cells.filter(where)))


def by_distinct(cells: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    """Each text converted by a plain function, which is called once per distinct text."""
    distinct = pc.drop_null(pc.unique(cells))
    converted = pa.array([convert(text) for text in distinct.to_pylist()], cells.type)
    return pc.take(converted, pc.index_in(cells, distinct))
