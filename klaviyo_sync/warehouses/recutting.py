"""Batches of one size, whatever the size of the pieces in which a warehouse sends its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa


def recut(pieces: Iterable[pa.RecordBatch | pa.Table], most: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `most` rows, the last one shorter. All pieces have one schema."""
    held: list[pa.Table] = []
    rows = 0
    for piece in pieces:
        held.append(piece if isinstance(piece, pa.Table) else pa.Table.from_batches([piece]))
        rows += piece.num_rows
        if rows >= most:
            cut = pa.concat_tables(held).combine_chunks().to_batches(max_chunksize=most)
            held = [pa.Table.from_batches([cut.pop()])] if rows % most else []
            rows %= most
            yield from cut
    if rows:
        yield from pa.concat_tables(held).combine_chunks().to_batches()
