"""Batches of one size out of pieces of any size."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.warehouses.recutting import recut


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(1, 20))
def test_the_same_rows_in_batches_of_one_size(sizes: list[int], most: int) -> None:
    """Every row comes once and in its place; all batches but the last are full, and none is empty."""
    rows = list(range(sum(sizes)))
    starts = [sum(sizes[:position]) for position in range(len(sizes))]
    pieces = [pa.table({"n": pa.array(rows[start : start + size], pa.int64())}) for start, size in zip(starts, sizes, strict=True)]
    cut = list(recut(pieces, most))
    assert [number for batch in cut for number in batch.column("n").to_pylist()] == rows
    assert [batch.num_rows for batch in cut[:-1]] == [most] * (len(cut) - 1)
    assert all(0 < batch.num_rows <= most for batch in cut)
