"""The story of one run: the rows of some windows become Klaviyo profiles, and every row is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import chain

import duckdb
import pyarrow as pa

from klaviyo_sync.core.clearing import clearing_fields
from klaviyo_sync.core.column_types import ColumnType
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.packing import MAX_PROFILES, Batch, import_envelope, pack
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.reports import clear_lines, consent_lines, issue_lines, outcome_lines
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.stopping import Changes, Reason, Stop
from klaviyo_sync.core.survey import Survey
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine
from klaviyo_sync.gate import Gate
from klaviyo_sync.klaviyo.accounts import Account, ListDetails
from klaviyo_sync.klaviyo.asking_ahead import PhoneLookups
from klaviyo_sync.klaviyo.clears import Clears
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import send_consent
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import prepare
from klaviyo_sync.rejects import Rejects, RejectsFiles
from klaviyo_sync.source import Source, open_source
from klaviyo_sync.spool import Spool
from klaviyo_sync.warehouses import Warehouse

Log = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What a run did: a result per window key, and the rows of the whole dataset that no window can hold.

    `account` is the one that the rows went into. `opt_in` is the process that undated subscribes go through, None unless Klaviyo was
    asked. `notes` are the warehouse's, on how it was read. `types` are those of the columns. `stopped` windows stopped themselves and
    have no result; `exceeded` are the limits over which others would have, had they not been let through. `changes` has what the windows
    with a result changed, for those after them to be judged with.
    """

    results: dict[str, Result]
    undated: int
    future: int
    seconds: float
    opt_in: str | None = None
    notes: tuple[str, ...] = ()
    account: Account | None = None
    types: tuple[ColumnType, ...] = ()
    stopped: Mapping[str, Stop] = field(default_factory=dict)
    exceeded: Mapping[str, tuple[Reason, ...]] = field(default_factory=dict)
    changes: Mapping[str, Changes] = field(default_factory=dict)


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
    before: Sequence[Changes] = (),
    let_through: bool = False,
) -> Report:
    """The result of each window (adjoining, oldest first), read together and packed together.

    A window whose result is not proven is not done. Nor is one that stopped itself: it has no result, and its neighbours go on. `most` is
    the number of profiles in one request. `before` are the changes of the windows just before these, newest first; small windows are
    judged together with them. `let_through` sends also what `stop_above` would stop.

    Raises:
        HaltedError: Every window stopped itself. Opt-outs that are not the reason are sent by then.
        ConfigError, Refused, Unavailable: The run broke, and no window is done.
    """
    started = time.monotonic()
    rejects.store.probe()
    account = klaviyo.account()  # before anything is read: also a window without rows is imported into some account
    log(f"Klaviyo at {klaviyo.base_url}: {account}")
    source = open_source(sync, warehouse, now)
    undated, future = source.rows_outside()
    warehouse.notes += source.present_time() if future else []
    tally, survey = Tally(windows), Survey(len(windows), sync.stop_above)
    lists: dict[str, ListDetails] = {}

    @cache
    def ready() -> None:
        lists.update(prepare(klaviyo, sync.list_ids))

    ask = sync.asks_about_phones
    asking = PhoneLookups(klaviyo, source.plan, ready=ready, count=tally.add_phone_requests) if ask else nullcontext()
    keys = [window.key for window in windows]
    with engine() as connection, rejects.open(sync.name, keys) as files, Spool() as spool, Spool() as behind, asking as lookups:
        gate = Gate(sync, windows, tally, survey, klaviyo, ready, files, spool, behind, before, let_through)
        batches = pack(
            profiles(source, windows, connection, tally, files, gate=gate, lookups=lookups),
            import_envelope(sync.list_id),
            max_profiles=most,
        )
        for outcome in import_batches(klaviyo, once_ready(batches, ready)):
            tally.add_outcome(outcome)
            files.add(outcome_lines(outcome, sync))
            clearing = list(clearing_fields(sync))
            clears = Clears(klaviyo, outcome, clearing) if clearing else None
            stopped = gate.stopped_by_clears(clears.by_window()) if clears else gate.stopped
            if sync.consent is not None:
                consented = send_consent(klaviyo, outcome, sync.consent, opt_outs_only=stopped)
                tally.add_consent(consented)
                files.add(consent_lines(consented, sync))
            if clears:
                emptied = clears.send(without=stopped)
                tally.add_clears(emptied)
                files.add(clear_lines(emptied, sync))
            log(f"{len(outcome.rows):,} profiles answered for; {tally}")
        files.publish()
        rejects.remove_old(sync.name, now, log)
    stops = gate.stops()
    for key, stop in stops.items():
        log(f"Window {key} stopped itself: {stop.text}.")
    if len(stops) == len(windows):
        raise HaltedError(f"The run stopped itself before it went on: {halted(stops)}.", stops)
    return Report(
        {key: result for key, result in tally.results().items() if key not in stops},
        undated,
        future,
        time.monotonic() - started,
        opt_in(sync, lists),
        tuple(warehouse.notes),
        account,
        source.types,
        stops,
        {windows[position].key: reasons for position, reasons in gate.exceeded.items()},
        gate.changes(),
    )


def halted(stops: Mapping[str, Stop]) -> str:
    """Why windows stopped themselves, each by its key where there are several."""
    return "; ".join(f"{key}: {stop.text}" if len(stops) > 1 else stop.text for key, stop in stops.items())


def sync_window(sync: Sync, window: Window, warehouse: Warehouse, klaviyo: Klaviyo, *, now: datetime, rejects: Rejects, log: Log) -> Result:
    """The result of one window."""
    return sync_windows(sync, [window], warehouse, klaviyo, now=now, rejects=rejects, log=log).results[window.key]


def profiles(
    source: Source,
    windows: Sequence[Window],
    connection: duckdb.DuckDBPyConnection,
    tally: Tally,
    files: RejectsFiles,
    *,
    gate: Gate | None = None,
    lookups: PhoneLookups | None = None,
) -> Iterator[tuple[pa.Array, pa.Table]]:
    """The profiles to pack, with their rows, as far as the gate lets them on. Rejected rows and issues are counted and written down.

    With `lookups`, Klaviyo is asked who has the phone numbers, and those of others are left out.
    """
    encoder = Encoder(connection)

    def pieces(rows: Rows) -> Iterator[tuple[pa.Array, pa.Table]]:
        ready = prepare_rows(rows, source.plan, encoder)
        tally.add_prepared(ready, rows.windows)
        files.add(issue_lines(rows, ready.issues, ready.rejected, source.plan))
        return gate.pass_on(ready, rows.windows) if gate else ready.pieces()

    rivals = Rivals(connection.cursor(), source.plan)
    rows = source.newest(windows, rivals, tally, gate.survey if gate else None)
    yield from chain.from_iterable(map(pieces, lookups.resolve(rows) if lookups else rows))
    if gate:
        yield from gate.released()


def once_ready(batches: Iterator[Batch], ready: Callable[[], None]) -> Iterator[Batch]:
    """The batches. Before the first, Klaviyo is asked whether key, account and lists are ready; without any, no list is asked about."""
    for batch in batches:
        ready()
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
