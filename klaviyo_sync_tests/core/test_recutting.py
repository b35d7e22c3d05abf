"""Batches of a size to work with out of pieces of any size."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from klaviyo_sync.warehouses.recutting import recut


@settings(deadline=None)  # the first table loads much of Arrow
@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 20))
def test_the_same_rows_in_batches_neither_empty_nor_too_large(sizes: list[int], most: int) -> None:
    """Every row comes once and in its place; small pieces are joined, so that there are few batches."""
    rows = list(range(sum(sizes)))
    starts = [sum(sizes[:position]) for position in range(len(sizes))]
    pieces = [pa.table({"n": pa.array(rows[start : start + size], pa.int64())}) for start, size in zip(starts, sizes, strict=True)]
    cut = list(recut(pieces, most))
    assert [number for batch in cut for number in batch.column("n").to_pylist()] == rows
    large = [size for size in sizes if size > most // 2]
    assert len(cut) <= sum(-(-size // most) for size in large) + len(large) + -(-2 * sum(sizes) // most)
    assert all(0 < batch.num_rows <= most for batch in cut)
