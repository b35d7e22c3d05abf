"""Batches of a size to work with, whatever the size of the pieces in which a warehouse sends its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa


def recut(pieces: Iterable[pa.RecordBatch | pa.Table], most: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at most `most` rows, none of them empty. All pieces have one schema.

    Large pieces are cut evenly, without copying; small ones are joined.
    """
    held: list[pa.Table] = []
    waiting = 0
    coming = iter(pieces)
    while (piece := next(coming, None)) is not None:
        table = piece if isinstance(piece, pa.Table) else pa.Table.from_batches([piece])
        del piece
        if waiting and waiting + table.num_rows > most:
            yield glued(held)
            held, waiting = [], 0
        if table.num_rows <= most // 2:
            held.append(table)
            waiting += table.num_rows
        elif waiting:
            yield glued([*held, table])
            held, waiting = [], 0
        else:
            table = table.combine_chunks()
            rows = -(-table.num_rows // -(-table.num_rows // most))
            for position in range(0, table.num_rows, rows):
                yield from table.slice(position, rows).to_batches()
        del table
    if waiting:
        yield glued(held)


def glued(tables: list[pa.Table]) -> pa.RecordBatch:
    """The rows of the tables as one batch."""
    [batch] = pa.concat_tables([table for table in tables if table.num_rows]).combine_chunks().to_batches()
    return batch
