"""The story of one run: the rows of some windows become Klaviyo profiles, and every row is accounted for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.mapping import Plan, plan_mapping
from klaviyo_sync.core.packing import Batch, import_envelope, pack
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.query import Query, outside_query, relation, window_query
from klaviyo_sync.core.reading import newest_rows
from klaviyo_sync.core.reports import issue_lines, outcome_lines
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import prepare
from klaviyo_sync.rejects import Rejects, RejectsFiles
from klaviyo_sync.warehouses import Warehouse

ENGINE_MEMORY = "160MB"

Log = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a run did: a result per window key, and the rows of the whole dataset that no window can hold."""

    results: dict[str, Result]
    undated: int
    future: int
    seconds: float


def sync_windows(
    sync: Sync, windows: Sequence[Window], warehouse: Warehouse, klaviyo: Klaviyo, *, now: datetime, rejects: Rejects, log: Log
) -> Report:
    """The result of each window (adjoining, oldest first), read in one query and packed together.

    A window whose result has unknown rows is not done. Raises ConfigError, Refused or Unavailable when the run broke; then no window is.
    """
    started = time.monotonic()
    read = relation(sync, warehouse.dialect)
    columns = warehouse.columns(read)
    plan = plan_mapping(sync, columns, DIALECTS[warehouse.dialect], now)
    tally = Tally(windows)
    undated, future = one_row(warehouse, outside_query(sync, read, columns, now=now))
    query = window_query(sync, read, columns, lower=lower_bound(sync, windows[0]), upper=windows[-1].end, now=now)

    with engine() as connection, rejects.open(sync.name, [window.key for window in windows]) as files:
        rows = newest_rows(warehouse.batches(query), plan, Rivals(connection.cursor(), plan.modified_at), tally)
        profiles = prepared(rows, plan, Encoder(connection), tally, files)
        batches = pack(profiles, import_envelope(sync.list_id))
        for outcome in import_batches(klaviyo, once_ready(batches, klaviyo, sync)):
            tally.add_outcome(outcome)
            files.add(outcome_lines(outcome, {target.path: target.column for target in plan.targets}))
            log(f"{len(outcome.rows)} profiles: {outcome_text(tally)}")
        files.publish()
    return Report(tally.results(), undated, future, time.monotonic() - started)


def sync_window(sync: Sync, window: Window, warehouse: Warehouse, klaviyo: Klaviyo, *, now: datetime, rejects: Rejects, log: Log) -> Result:
    """The result of one window."""
    return sync_windows(sync, [window], warehouse, klaviyo, now=now, rejects=rejects, log=log).results[window.key]


def lower_bound(sync: Sync, first: Window) -> datetime | None:
    """From where rows are read: the first window reaches back to the beginning, the others by their overlap."""
    return None if first.first and sync.history == "include" else first.start - sync.overlap


def prepared(rows: Iterator, plan: Plan, encoder: Encoder, tally: Tally, files: RejectsFiles) -> Iterator[tuple[pa.Array, pa.Table]]:
    """The profiles to pack. Rejected rows and issues are counted and written down on the way."""
    for some in rows:
        ready = prepare_rows(some, plan, encoder)
        tally.count("rejected", some.windows[ready.rejected])
        tally.add_issues(ready.issues, some.windows)
        files.add(issue_lines(some, ready.issues, ready.rejected, plan))
        yield ready.profiles, ready.rows


def once_ready(batches: Iterator[Batch], klaviyo: Klaviyo, sync: Sync) -> Iterator[Batch]:
    """The batches. Before the first, Klaviyo is asked whether key, list and account are ready; without any, nothing is asked."""
    for position, batch in enumerate(batches):
        if position == 0:
            prepare(klaviyo, [sync.list_id] if sync.list_id else [])
        yield batch


def one_row(warehouse: Warehouse, query: Query) -> tuple[int, ...]:
    """The numbers of a query with one row."""
    return tuple(next(tuple(row.values()) for batch in warehouse.batches(query) for row in batch.to_pylist()))


@contextmanager
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of our own in memory, for encoding and for rivals; what does not fit is spilled into a private folder."""
    with tempfile.TemporaryDirectory(prefix="klaviyo_sync_") as folder:
        config = {"memory_limit": ENGINE_MEMORY, "temp_directory": folder, "threads": 1}
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET arrow_large_buffer_size = true; SET preserve_insertion_order = false")
            yield connection


def outcome_text(tally: Tally) -> str:
    """The counts so far, for the log."""
    return ", ".join(f"{counts.sum():,} {part}" for part, counts in tally.counts.items() if counts.any())
