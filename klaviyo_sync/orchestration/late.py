"""Late rows: rows that are now in the warehouse with a `modified_at` in the past, and were not there when their window ran.

The warehouse is asked only where somebody asked for it; at any other time the last answer is repeated from the event log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from klaviyo_sync.core.coverage import Span, Tiles, span_of
from klaviyo_sync.core.ledger import ANYWHERE, Destination
from klaviyo_sync.core.provenance import dataset_id
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window, reread_from
from klaviyo_sync.interrupts import not_swallowed
from klaviyo_sync.orchestration.dagster_private import last_evaluation
from klaviyo_sync.orchestration.done import read_ledger
from klaviyo_sync.orchestration.failures import told
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import closed, partitions, window_of
from klaviyo_sync.orchestration.resources import OpenWarehouse
from klaviyo_sync.orchestration.stored import latest, newest
from klaviyo_sync.orchestration.ticks import settled
from klaviyo_sync.orchestration.verdicts import counted

CHECK = "completeness"
COUNTED_AT = "late_rows_counted_at"
BY_WINDOW = "late_rows_by_window"
TOTALS = ("late_rows", "windows_with_late_rows", "windows_counted")
MOST_LISTED = 20
LOOKED_AT = 1_000  # results, for windows that were imported under the keys of another frequency


@dataclass(frozen=True)
class Late:
    """How many rows came late, as of a moment; `listed` has the oldest windows that run again would take them, with their number.

    `problem` says why the warehouse could not be asked this time.
    """

    counted_at: datetime | None = None
    rows: int = 0
    windows: int = 0
    compared: int = 0
    listed: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None


def count(
    sync: Sync, instance: dg.DagsterInstance, open_warehouse: OpenWarehouse, now: datetime, destination: Destination = ANYWHERE
) -> Late:
    """What the warehouse says now of the windows that ended inside `catch_up`; when it cannot, what it said last and the problem."""
    definition = partitions(sync)
    due = closed(definition, settled(now.astimezone(sync.zone), sync.settle), within=sync.catch_up)
    windows = [window_of(definition, name) for name in due]
    for_good = rows_for_good(sync, instance, windows, destination)
    comparable = [position for position, window in enumerate(windows) if window.key in for_good]
    if not comparable:
        return Late(now)
    span = windows[comparable[0] : comparable[-1] + 1]
    try:
        with not_swallowed():
            found = count_again(sync, span, open_warehouse, now)
    except Exception as error:  # noqa: BLE001 - a check tells what went wrong and fails; it breaks no run
        return replace(recall(sync, instance), problem=told(error))
    names = {windows[position].key for position in comparable}
    more = {
        window.key: rows - for_good[window.key]
        for window, rows in zip(span, found, strict=True)
        if window.key in names and rows > for_good[window.key]
    }
    return Late(now, sum(more.values()), len(more), len(names), dict(list(more.items())[:MOST_LISTED]))


def rows_for_good(sync: Sync, instance: dg.DagsterInstance, windows: Sequence[Window], destination: Destination) -> dict[str, int]:
    """How many rows runs were the last to read for each of the windows, by key, where stored results say so.

    A window may have been imported under its own key, or as several windows of another frequency that are together exactly as long. Results
    of another dataset, account or `overlap` say nothing of it.
    """
    ledger = read_ledger(instance, sync).ledger
    own = latest(instance, asset_key(sync), [window.key for window in windows])
    others = newest(instance, asset_key(sync), LOOKED_AT)
    rows: dict[Span, int] = {}
    for result in (*own.values(), *others.values()):
        until = reread_from(datetime.fromtimestamp(result.own_span.end, UTC), sync.overlap).timestamp()
        if result.read_until == until and ledger.counts(result.entry.origin, dataset_id(sync), destination):
            rows.setdefault(result.own_span, result.result.read_for_good)
    parts = Tiles(rows)
    laid = {window.key: parts.over(span_of(window, history=False)) for window in windows}
    return {name: sum(numbers) for name, numbers in laid.items() if numbers is not None}


def count_again(sync: Sync, windows: Sequence[Window], open_warehouse: OpenWarehouse, now: datetime) -> list[int]:
    """How many rows each of the windows is the last one to read, as the warehouse has them now."""
    from klaviyo_sync.source import open_source  # noqa: PLC0415 - pandas and pyarrow, where they are needed

    with open_warehouse(f"klaviyo_sync {sync.name} late rows") as warehouse:
        return open_source(sync, warehouse, now).count_again(windows)


def recall(sync: Sync, instance: dg.DagsterInstance) -> Late:
    """What was counted last, less the windows that were imported since."""
    key = asset_key(sync)
    last = last_evaluation(instance, dg.AssetCheckKey(key, CHECK), COUNTED_AT)
    if last is None:
        return Late()
    evaluation, stored_at = last
    held: dict[str, Any] = {name: value.value for name, value in evaluation.metadata.items()}
    rows, windows, compared = (int(held[name]) for name in TOTALS)
    listed: dict[str, int] = dict(held.get(BY_WINDOW) or [])
    again = {name: listed[name] for name, one in latest(instance, key, list(listed)).items() if one.record.timestamp > stored_at}
    return Late(
        datetime.fromtimestamp(held[COUNTED_AT], UTC),
        rows - sum(again.values()),
        windows - len(again),
        compared,
        {name: more for name, more in listed.items() if name not in again},
    )


def words(late: Late) -> str:
    """What is known of late rows, and as of when."""
    asked = [f"late rows could not be counted: {late.problem}"] if late.problem else []
    if late.counted_at is None:
        return "; ".join(asked) or "late rows not counted yet: execute this check on its own"
    as_of = f"as counted at {late.counted_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if not late.windows:
        return "; ".join([*asked, f"no late rows in {counted(late.compared, 'window')} ({as_of})"])
    found = f"{counted(late.rows, 'row')} came late, in {late.windows:,} of {counted(late.compared, 'window')} ({as_of})"
    return "; ".join([*asked, f"{found}: run these windows again"])


def late_metadata(late: Late) -> dict[str, dg.MetadataValue]:
    """The numbers, of which `recall` reads those as of the last count; nothing when nothing was ever counted."""
    found: dict[str, dg.MetadataValue] = {}
    if late.problem:
        found["late_rows_not_counted"] = dg.MetadataValue.text(late.problem)
    if late.counted_at is not None:
        found[COUNTED_AT] = dg.MetadataValue.timestamp(late.counted_at)
        found |= {name: dg.MetadataValue.int(number) for name, number in zip(TOTALS, (late.rows, late.windows, late.compared), strict=True)}
    if late.listed:
        found[BY_WINDOW] = dg.MetadataValue.json([[window, rows] for window, rows in late.listed.items()])
    return found
