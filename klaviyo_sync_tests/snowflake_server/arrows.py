"""Results as Snowflake sends them: Arrow streams whose numbers are as narrow as each chunk allows, moments as pairs of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.kernels import pc

NARROW = ((pa.int8(), 7), (pa.int16(), 15), (pa.int32(), 31), (pa.int64(), 63))
SCALED_DIGITS = 18
ZONE_UTC = 1440  # minutes east of UTC, plus a day
NANOSECONDS = 1_000


def stream(table: pa.Table, columns: list[dict[str, Any]]) -> bytes:
    """The rows as an Arrow stream for the driver."""
    pairs = [encoded(cells.combine_chunks(), column) for cells, column in zip(table.columns, columns, strict=True)]
    fields = [pa.field(column["name"], cells.type, metadata=described(column)) for cells, column in zip(pairs, columns, strict=True)]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema(fields)) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(pairs, schema=pa.schema(fields)))
    return sink.getvalue().to_pybytes()


def described(column: dict[str, Any]) -> dict[str, str]:
    """What the driver reads of a column's type."""
    return {
        "logicalType": column["type"].upper(),
        "precision": str(column["precision"] or 38),
        "scale": str(column["scale"] or 0),
        "charLength": str(column["length"] or 0),
    }


def encoded(cells: pa.Array | pa.ChunkedArray, column: dict[str, Any]) -> pa.Array:
    """A column's cells as they travel."""
    if isinstance(cells, pa.ChunkedArray):
        cells = pa.concat_arrays(cells.chunks) if cells.num_chunks else pa.array([], cells.type)
    if pa.types.is_timestamp(cells.type):
        return moments(cells, with_zone=column["type"] == "timestamp_tz")
    if pa.types.is_time(cells.type):
        return pc.multiply(cells.cast(pa.time64("us")).cast(pa.int64()), NANOSECONDS)
    if pa.types.is_null(cells.type):
        return cells.cast(pa.string())
    if pa.types.is_decimal(cells.type):
        return narrowed(unscaled(cells)) if cells.type.precision <= SCALED_DIGITS else whole(cells)
    return narrowed(cells.cast(pa.int64())) if pa.types.is_integer(cells.type) else cells


def unscaled(cells: pa.Array) -> pa.Array:
    """Short decimals as whole numbers of their last digit: the lower halves of what Arrow stores."""
    halves = np.frombuffer(cells.buffers()[1], np.int64)[::2][cells.offset : cells.offset + len(cells)]
    return pa.array(halves, mask=cells.is_null().to_numpy(zero_copy_only=False))


def whole(cells: pa.Array) -> pa.Array:
    """Long numbers as integers where 64 bits hold all of a chunk's, else as they are."""
    try:
        return narrowed(cells.cast(pa.int64())) if not cells.type.scale else cells
    except pa.ArrowInvalid:
        return cells


def narrowed(cells: pa.Array) -> pa.Array:
    """Numbers as the narrowest integers that hold them all."""
    bounds = pc.min_max(cells)
    low, high = (bounds[end].as_py() or 0 for end in ("min", "max"))
    return cells.cast(next(type_ for type_, bits in NARROW if -(2**bits) <= low and high < 2**bits))


def moments(cells: pa.Array, *, with_zone: bool) -> pa.Array:
    """Moments as seconds and nanoseconds, NULLs kept (fakesnow sends them as 1970)."""
    microseconds = pc.fill_null(cells.cast(pa.timestamp("us", cells.type.tz)).cast(pa.int64()), 0).to_numpy()
    seconds, rest = microseconds // 1_000_000, microseconds % 1_000_000
    parts = {"epoch": pa.array(seconds, pa.int64()), "fraction": pa.array(rest * NANOSECONDS, pa.int32())}
    if with_zone:
        parts["timezone"] = pa.array([ZONE_UTC] * len(cells), pa.int32())
    fields = [pa.field(name, array.type, nullable=False) for name, array in parts.items()]
    return pa.StructArray.from_arrays(list(parts.values()), fields=fields, mask=cells.is_null())
