"""Clearing: which fields a NULL empties, and which of them each row empties, in a bit per row and field.

Bulk import cannot clear (https://developers.klaviyo.com/en/docs/use_klaviyos_bulk_profile_import_api), so what is to be cleared
travels beside the profile and is sent after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from klaviyo_sync.core.attributes import IDENTIFIERS, PROPERTY
from klaviyo_sync.core.frames import Mask, true_at
from klaviyo_sync.core.sync import Sync

CLEARS = "clears"


def clearing_fields(sync: Sync) -> dict[str, str]:
    """The fields that a NULL clears, as `location.city` or `properties.Tier`, each with its column. Never an identifier."""
    profile = {path: field for path, field in sync.profile.items() if path not in IDENTIFIERS}
    fields = {**profile, **{PROPERTY + name: field for name, field in sync.properties.items()}}
    return {path: field.column for path, field in fields.items() if (field.on_null or sync.on_null) == "clear"}


def packed(columns: Sequence[pa.Array]) -> pa.Array:
    """Which cells of some columns are NULL: one value of bits per row (fixed_size_binary), a byte for every eight columns.

    Only a true NULL counts: a blank text, NaN, or a cell that cannot be read holds something.
    """
    empty = np.column_stack([true_at(cells.is_null()) for cells in columns])
    bits = np.packbits(empty, axis=1)
    return pa.Array.from_buffers(pa.binary(bits.shape[1]), len(bits), [None, pa.py_buffer(np.ascontiguousarray(bits))])


def unpacked(rows: pa.Table, fields: int) -> npt.NDArray[np.bool_]:
    """What `packed` packed into the rows of a batch: one line per row, one column per field."""
    cells = rows.column(CLEARS).combine_chunks()
    cells = cells.chunk(0) if isinstance(cells, pa.ChunkedArray) else cells
    width = cells.type.byte_width
    data = np.frombuffer(cells.buffers()[1], np.uint8)[cells.offset * width :][: len(cells) * width]
    return np.unpackbits(data.reshape(len(cells), width), axis=1, count=fields).astype(bool)


def anything(rows: pa.Table) -> Mask:
    """Which rows of a batch clear some field; none when the sync clears nothing."""
    if CLEARS not in rows.column_names or not len(rows):
        return np.zeros(len(rows), bool)
    width = rows.schema.field(CLEARS).type.byte_width
    return np.asarray(unpacked(rows, 8 * width).any(axis=1), bool)
