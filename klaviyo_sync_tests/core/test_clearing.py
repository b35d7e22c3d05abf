"""Which fields are cleared: they travel with the rows of their batch in bits, and the counts add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.clear_counts import CLEAR_FATES, ClearCounts
from klaviyo_sync.core.clear_result import UNASKED, ClearLedger, ClearOutcome
from klaviyo_sync.core.clearing import CLEARS, anything, clearing_fields, packed, unpacked
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync

SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email", "title": "title", "location.city": {"column": "city", "on_null": "keep"}},
    "properties": {"Points": "points", "Tier": {"column": "tier", "on_null": "clear"}},
}


@pytest.mark.parametrize(
    ("on_null", "fields"),
    [("keep", {"properties.Tier": "tier"}), ("clear", {"title": "title", "properties.Points": "points", "properties.Tier": "tier"})],
)
def test_which_fields(on_null: str, fields: dict[str, str]) -> None:
    """A field's own `on_null` overrides the sync's; identifiers are never among them."""
    assert clearing_fields(Sync.model_validate({**SYNC, "on_null": on_null})) == fields


def rows(empty: list[list[bool]], columns: int) -> pa.Table:
    """The rows of a batch with these cells, put together of pieces as `pack` does it."""
    cells = [[None if line[place] else place for line in empty] for place in range(columns)]
    bits = packed([pa.array(column, pa.int64()) for column in cells])
    half = len(empty) // 2
    pieces = [bits.slice(0, half), bits.slice(half)]
    return pa.concat_tables([pa.table({"window": pa.array([0] * len(piece), pa.int32()), CLEARS: piece}) for piece in pieces])


CELLS = st.integers(1, 70).flatmap(
    lambda width: st.tuples(st.just(width), st.lists(st.lists(st.booleans(), min_size=width, max_size=width), max_size=12))
)


@given(CELLS, st.data())
def test_what_is_packed_comes_out(cells: tuple[int, list[list[bool]]], data: st.DataObject) -> None:
    """Every NULL of every row comes out again, after pieces were put together, cut, taken and filtered."""
    width, empty = cells
    table = rows(empty, width)
    assert unpacked(table, width).tolist() == empty
    assert anything(table).tolist() == [any(line) for line in empty]
    start = data.draw(st.integers(0, len(empty)))
    assert unpacked(table.slice(start), width).tolist() == empty[start:]
    kept = data.draw(st.lists(st.booleans(), min_size=len(empty), max_size=len(empty)))
    assert unpacked(table.filter(pa.array(kept, pa.bool_())), width).tolist() == [
        line for line, keep in zip(empty, kept, strict=True) if keep
    ]
    ledger = ClearLedger(table, [f"properties.{place}" for place in range(width)])
    assert ledger.rows() == {
        row: [f"properties.{place}" for place, null in enumerate(line) if null] for row, line in enumerate(empty) if any(line)
    }


@pytest.mark.parametrize(("columns", "size"), [(1, 1), (8, 1), (9, 2), (200, 25)])
def test_a_byte_for_eight_fields(columns: int, size: int) -> None:
    """What many batches under way hold of it stays small."""
    assert packed([pa.nulls(1_000)] * columns).nbytes == 1_000 * size


def test_only_null_is_null() -> None:
    """NaN, an empty text, a blank one, zero and false hold something."""
    cells = [pa.array([float("nan"), None]), pa.array(["", None]), pa.array([" ", None]), pa.array([0, None]), pa.array([False, None])]
    assert unpacked(pa.table({CLEARS: packed(cells)}), 5).tolist() == [[False] * 5, [True] * 5]


def test_a_batch_without_the_column() -> None:
    """A sync that clears nothing has nothing to count."""
    assert anything(pa.table({"window": [0, 0]})).tolist() == [False, False]


COUNTS = st.builds(ClearCounts, **{part: st.integers(0, 99) for part in ("to_clear", *CLEAR_FATES)})


@given(COUNTS, COUNTS)
def test_counts_and_results_add_up(one: ClearCounts, other: ClearCounts) -> None:
    """Sums have the sums of all parts; a result balances only when its clears do, and unknown ones leave it unproven."""
    both = (Result(clears=one) + Result(clears=other)).clears
    assert all(getattr(both, part) == getattr(one, part) + getattr(other, part) for part in ("to_clear", *CLEAR_FATES))
    assert both == other + one
    assert Result(clears=one).balanced == (one.to_clear == one.cleared + one.already_empty + one.refused + one.unknown)
    assert Result(clears=one).proven == (one.unknown == 0)


@given(st.lists(st.tuples(st.sampled_from([*range(len(CLEAR_FATES)), UNASKED]), st.integers(0, 2))))
def test_every_profile_is_counted_once(cells: list[tuple[int, int]]) -> None:
    """The counts of the windows are balanced and add up to those of the batch."""
    table = pa.table({"window": pa.array([window for _, window in cells], pa.int32())})
    found = ClearOutcome(table, (), np.zeros((len(cells), 0), bool), np.array([fate for fate, _ in cells], np.uint8))
    assert sum((found.counts(window) for window in range(3)), ClearCounts()) == found.counts()
    assert found.counts().balanced
    assert found.counts().to_clear == sum(fate != UNASKED for fate, _ in cells)


def test_nothing_is_settled_twice() -> None:
    """A row has one fate."""
    ledger = ClearLedger(rows([[True]], 1), ["title"])
    ledger.settle(0, "cleared")
    with pytest.raises(ValueError, match="twice"):
        ledger.settle(0, "refused")
