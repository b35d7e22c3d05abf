"""The story of one run: the rows of some windows become Klaviyo profiles, and every row is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain

import duckdb
import pyarrow as pa

from klaviyo_sync.core.clearing import clearing_fields
from klaviyo_sync.core.column_types import ColumnType
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.packing import MAX_PROFILES, Batch, import_envelope, pack
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.reports import clear_lines, consent_lines, issue_lines, outcome_lines
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.stopping import stop_if_absurd, stop_if_wiping
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine
from klaviyo_sync.klaviyo.accounts import Account, ListDetails
from klaviyo_sync.klaviyo.clears import send_clears
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import prepare
from klaviyo_sync.rejects import Rejects, RejectsFiles
from klaviyo_sync.source import Source, open_source
from klaviyo_sync.warehouses import Warehouse

Log = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a run did: a result per window key, and the rows of the whole dataset that no window can hold.

    `account` is the one that the rows went into. `opt_in` is the process that undated subscribes go through, None unless Klaviyo was
    asked. `notes` are the warehouse's, on how it was read. `types` are those of the columns.
    """

    results: dict[str, Result]
    undated: int
    future: int
    seconds: float
    opt_in: str | None = None
    notes: tuple[str, ...] = ()
    account: Account | None = None
    types: tuple[ColumnType, ...] = ()


def sync_windows(
    sync: Sync,
    windows: Sequence[Window],
    warehouse: Warehouse,
    klaviyo: Klaviyo,
    *,
    now: datetime,
    rejects: Rejects,
    log: Log,
    most: int = MAX_PROFILES,
) -> Report:
    """The result of each window (adjoining, oldest first), read together and packed together.

    A window whose result is not proven is not done. Raises ConfigError, Refused or Unavailable when the run broke; then no
    window is. `most` is the number of profiles in one request.
    """
    started = time.monotonic()
    account = klaviyo.account()  # before anything is read: also a window without rows is imported into some account
    rejects.store.probe()
    source = open_source(sync, warehouse, now)
    undated, future = source.rows_outside()
    warehouse.notes += source.present_time() if future else []
    tally = Tally(windows)
    lists: dict[str, ListDetails] = {}

    with engine() as connection, rejects.open(sync.name, [window.key for window in windows]) as files:
        batches = pack(profiles(source, windows, connection, tally, files), import_envelope(sync.list_id), max_profiles=most)
        for outcome in import_batches(klaviyo, once_ready(batches, klaviyo, sync, lists)):
            tally.add_outcome(outcome)
            files.add(outcome_lines(outcome, sync))
            if sync.consent is not None:
                consented = send_consent(klaviyo, outcome, sync.consent)
                tally.add_consent(consented)
                files.add(consent_lines(consented, sync))
            if clearing := clearing_fields(sync):
                emptied = send_clears(klaviyo, outcome, list(clearing), partial(stop_if_wiping, sync.stop_above, tally))
                tally.add_clears(emptied)
                files.add(clear_lines(emptied, sync))
            log(f"{len(outcome.rows):,} profiles answered for; {tally}")
        files.publish()
        rejects.remove_old(sync.name, now, log)
    seconds, notes = time.monotonic() - started, tuple(warehouse.notes)
    return Report(tally.results(), undated, future, seconds, opt_in(sync, lists), notes, account, source.types)


def sync_window(sync: Sync, window: Window, warehouse: Warehouse, klaviyo: Klaviyo, *, now: datetime, rejects: Rejects, log: Log) -> Result:
    """The result of one window."""
    return sync_windows(sync, [window], warehouse, klaviyo, now=now, rejects=rejects, log=log).results[window.key]


def profiles(
    source: Source, windows: Sequence[Window], connection: duckdb.DuckDBPyConnection, tally: Tally, files: RejectsFiles
) -> Iterator[tuple[pa.Array, pa.Table]]:
    """The profiles to pack, with their rows. Rejected rows and issues are counted and written down on the way."""
    encoder = Encoder(connection)

    def pieces(rows: Rows) -> Iterator[tuple[pa.Array, pa.Table]]:
        ready = prepare_rows(rows, source.plan, encoder)
        tally.add_prepared(ready, rows.windows)
        stop_if_absurd(source.sync.stop_above, tally)
        files.add(issue_lines(rows, ready.issues, ready.rejected, source.plan))
        return ready.pieces()

    return chain.from_iterable(map(pieces, source.newest(windows, Rivals(connection.cursor(), source.plan), tally)))


def once_ready(batches: Iterator[Batch], klaviyo: Klaviyo, sync: Sync, lists: dict[str, ListDetails]) -> Iterator[Batch]:
    """The batches. Before the first, Klaviyo is asked whether key, account and `lists` are ready; without any, no list is asked about."""
    for position, batch in enumerate(batches):
        if position == 0:
            lists.update(prepare(klaviyo, sync.list_ids))
        yield batch


def opt_in(sync: Sync, lists: Mapping[str, ListDetails]) -> str | None:
    """What undated subscribes go through: the list's process (single_opt_in or double_opt_in), or the account's, which cannot be read.

    With double opt-in Klaviyo mails or texts each person to confirm (https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles).
    """
    if sync.consent is None:
        return None
    if sync.consent.list_id is None:
        return "account default, unknown"
    found = lists.get(sync.consent.list_id)
    return found.opt_in_process if found else None
