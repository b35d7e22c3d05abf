"""Rows of one moment: which of them goes out is decided by the rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.mapping import plan_mapping
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.reading import newest_rows, notice_all
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = [Window(str(hour), BEGIN + hour * HOUR, BEGIN + (hour + 1) * HOUR) for hour in range(4)]
SYNC = Sync.model_validate(
    {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "hourly",
        "start": "2026-01-01",
        "profile": {"email": "mail", "external_id": "id"},
        "properties": {"Points": "points"},
        "consent": {"email_marketing": "consent"},
    }
)
NAMES = ("mail", "id", "points", "consent", "changed")
COLUMNS = [*(Column(name, "VARCHAR") for name in NAMES[:-1]), Column("changed", "TIMESTAMP WITH TIME ZONE")]
PLAN = plan_mapping(SYNC, COLUMNS, DIALECTS["duckdb"], BEGIN + 4 * HOUR)  # no row is ahead of now
SCHEMA = pa.schema([*((name, pa.string()) for name in NAMES[:-1]), ("changed", pa.timestamp("us", "UTC"))])

Row = tuple[str | None, str | None, str | None, str | None, int]

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a@example.com", "b@example.com"]),
        st.sampled_from(["1", "2", None]),
        st.sampled_from(["10", "20", "NULL", None]),
        st.sampled_from(["Subscribe", "Unsubscribe", None]),
        st.integers(0, 3),
    ),
    max_size=20,
    unique=True,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


def batch(rows: Sequence[Row], names: Sequence[str]) -> pa.RecordBatch:
    """The rows as a warehouse gives them; each hour's rows were all changed at its beginning."""
    records = [{**dict(zip(NAMES, row, strict=True)), "changed": BEGIN + row[-1] * HOUR} for row in rows]
    return pa.RecordBatch.from_pylist(
        [{name: record[name] for name in names} for record in records], pa.schema([SCHEMA.field(name) for name in names])
    )


def run(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], first: int, last: int) -> set[tuple[Any, ...]]:
    """The rows that a run of the windows from `first` to before `last` sends."""
    inside = batch([row for row in rows if first <= row[-1] < last], NAMES)
    later = batch([row for row in rows if row[-1] >= last], PLAN.noticed_columns)
    windows, rivals = WINDOWS[first:last], Rivals(connection.cursor(), PLAN)
    for some in (inside, later):
        notice_all([some], PLAN, rivals)
    rivals.all_noticed()
    sent: set[tuple[Any, ...]] = set()
    for part in newest_rows([inside], [later], PLAN, rivals, Tally(windows)):
        sent.update(part.frame[~part.held].itertuples(index=False, name=None))
    return sent


@given(rows=ROWS, order=st.randoms(use_true_random=False), cuts=st.sets(st.integers(1, 3)))
@settings(deadline=None, max_examples=examples(60))
def test_every_run_decides_alike(connection: duckdb.DuckDBPyConnection, rows: list[Row], order: Any, cuts: set[int]) -> None:
    """The same rows go out of one run over all windows, of several runs over some of them, and with the rows in another order."""
    bounds = [0, *sorted(cuts), len(WINDOWS)]
    shuffled = order.sample(rows, len(rows))
    together = run(connection, rows, 0, len(WINDOWS))
    apart = [run(connection, shuffled, first, last) for first, last in pairwise(bounds)]
    assert set().union(*apart) == together
