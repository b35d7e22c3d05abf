"""The story of one run: the rows of some windows become Klaviyo profiles, and every row is accounted for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

import duckdb
import pyarrow as pa

from klaviyo_sync.core.clearing import clearing_fields
from klaviyo_sync.core.column_types import ColumnType
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.errors import HaltedError, KlaviyoSyncError, NoSuchListError, OtherImportsError, Refused, Unavailable
from klaviyo_sync.core.packing import MAX_PROFILES, Batch, import_envelope, pack
from klaviyo_sync.core.prepared import WINDOW
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.reports import clear_lines, issue_lines, outcome_lines
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
from klaviyo_sync.klaviyo.opt_outs_first import OptOutsFirst
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
    with a result changed, for those after them to be judged with. `zone` is the time zone in which a `modified_at` without one was read.
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
    zone: str | None = None


@dataclass
class Readiness:
    """Asks Klaviyo, once, whether the account is ready for imports. `lists` are those of the sync, by their ids.

    An `obstacle` to imports is none to opt-outs: they are sent before it is raised.
    """

    klaviyo: Klaviyo
    sync: Sync
    lists: Mapping[str, ListDetails] = field(default_factory=dict)
    obstacle: KlaviyoSyncError | None = None
    _was_asked: bool = False

    def __call__(self) -> None:
        """Returns when Klaviyo may be asked for more. Raises at once what keeps also opt-outs from going out, or where there are none."""
        if self._was_asked:
            return
        try:
            self.lists = prepare(self.klaviyo, self.sync.list_ids)
        except (NoSuchListError, OtherImportsError, Refused) as error:
            if self.sync.consent is None:
                raise
            self.obstacle = error
        self._was_asked = True

    def raise_obstacle(self) -> None:
        """Raises what stands in the way of imports, if anything does."""
        if self.obstacle is not None:
            raise self.obstacle


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
    ready = Readiness(klaviyo, sync)

    with ExitStack() as open_until_done:
        connection = open_until_done.enter_context(engine())
        files = open_until_done.enter_context(rejects.open(sync.name, [window.key for window in windows]))
        spool, behind, sent = (open_until_done.enter_context(Spool()) for _ in range(3))
        gate = Gate(sync, windows, tally, survey, klaviyo, ready, files, spool, behind, sent, before, let_through)
        lookups = None
        if sync.asks_about_phones:
            lookups = open_until_done.enter_context(PhoneLookups(klaviyo, source.plan, ready=ready, count=tally.add_phone_requests))
        going = profiles(source, windows, connection, tally, files, gate=gate, lookups=lookups)
        packed = pack(going, import_envelope(sync.list_id), max_profiles=most)
        first = OptOutsFirst(klaviyo)
        batches = opt_outs_first(once_ready(packed, ready), first, tally, ready)
        open_until_done.enter_context(opt_outs_all_the_same(batches, first, gate))
        for outcome in import_batches(klaviyo, batches):
            first.answered(outcome)
            tally.add_outcome(outcome)
            files.add(outcome_lines(outcome, sync))
            clearing = list(clearing_fields(sync))
            clears = Clears(klaviyo, outcome, clearing) if clearing else None
            stopped = gate.stopped_by_clears(clears.by_window()) if clears else gate.stopped
            if sync.consent is not None:
                gate.count_consent(send_consent(klaviyo, outcome, sync.consent, opt_outs_only=stopped))
            if clears:
                emptied = clears.send(without=stopped)
                tally.add_clears(emptied)
                files.add(clear_lines(emptied, sync))
            log(f"{len(outcome.rows):,} profiles answered for; {tally}")
        ready.raise_obstacle()
        try:
            gate.read_back(now, double_opt_in=opt_in(sync, ready.lists) != "single_opt_in")
        except Unavailable as error:  # all of it is sent by then
            log(f"What Klaviyo shows of the consent that was sent could not be read back: {error}")
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
        opt_in(sync, ready.lists),
        tuple(warehouse.notes),
        account,
        source.types,
        stops,
        {windows[position].key: reasons for position, reasons in gate.exceeded.items()},
        gate.changes(),
        source.zone,
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


def opt_outs_first(batches: Iterator[Batch], first: OptOutsFirst, tally: Tally, ready: Readiness) -> Iterator[Batch]:
    """The batches, each once its opt-outs were sent that need not wait for the import; none of them where nothing can be imported."""
    for batch in batches:
        prepared, requests = first.send(batch)
        tally.consent_requests[batch.rows[WINDOW][0].as_py()] += requests
        if ready.obstacle is None:
            yield prepared


@contextmanager
def opt_outs_all_the_same(batches: Iterator[Batch], first: OptOutsFirst, gate: Gate) -> Iterator[None]:
    """A context that, when the run breaks inside it, reads on and sends the opt-outs of all that is left before the error goes on."""
    try:
        yield
    except (NoSuchListError, Refused, Unavailable):
        with suppress(Refused, Unavailable):
            for _ in batches:
                pass
            for rows in first.waiting():
                gate.send_waiting(rows)
        raise


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
