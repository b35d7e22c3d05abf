"""Batches of one size, whatever the size of the pieces in which a warehouse sends its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa


def recut(pieces: Iterable[pa.RecordBatch | pa.Table], most: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `most` rows, the last one shorter. All pieces have one schema.

    Rows are copied only where a batch spans pieces, and no piece is kept longer than its rows are needed.
    """
    held: list[pa.Table] = []
    waiting = 0
    coming = iter(pieces)
    while (piece := next(coming, None)) is not None:
        table = (piece if isinstance(piece, pa.Table) else pa.Table.from_batches([piece])).combine_chunks()
        del piece
        if waiting + table.num_rows < most:
            held.append(table)
            waiting += table.num_rows
            continue
        start = most - waiting
        yield glued([*held, table.slice(0, start)])
        held, waiting = [], (table.num_rows - start) % most
        for position in range(start, table.num_rows - waiting, most):
            yield from table.slice(position, most).to_batches()
        if waiting:
            # A slice would keep the whole piece.
            held = [table.take(np.arange(table.num_rows - waiting, table.num_rows))]
        del table
    if waiting:
        yield glued(held)


def glued(tables: list[pa.Table]) -> pa.RecordBatch:
    """The rows of the tables as one batch."""
    [batch] = pa.concat_tables([table for table in tables if table.num_rows]).combine_chunks().to_batches()
    return batch
