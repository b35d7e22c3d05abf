"""What the event log holds of a window: its result as metadata of a materialization, written and read back.

The event log is the project's only state. Checks read results from here, in the run that imported the window and at any
later time, so that both judge the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from klaviyo_sync.core.coverage import BEGINNING, Span
from klaviyo_sync.core.ledger import Entry, Origin
from klaviyo_sync.core.provenance import dataset_id, mapping_hash
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window, reread_from
from klaviyo_sync.orchestration.clear_metadata import clear_metadata, read_clears
from klaviyo_sync.orchestration.consent_metadata import consent_metadata, read_consent

if TYPE_CHECKING:  # pyarrow and numpy, for a run only
    from klaviyo_sync.core.result import Result
    from klaviyo_sync.sync_window import Report

COUNTS = (
    "read",
    "imported",
    "superseded",
    "rejected",
    "refused",
    "failed",
    "unknown",
    "read_for_good",
    "requests",
    "bytes",
    "phone_requests",
    "consent_requests",
    "clear_requests",
)
PAGE = 500
FIRST_PAGE = 20
IMPORTED_BEFORE = "imported_before"


@dataclass(frozen=True)
class Stored:
    """One window as the event log holds it. `read_until` is when its `read_for_good` rows end (seconds since 1970), if known.

    `own_span` is the window without history, `entry` what the result covers, and from where to where its rows went.
    """

    window: str
    own_span: Span
    entry: Entry
    result: Result
    rejects_file: str | None
    undated: int
    future: int
    read_until: float | None
    record: dg.EventLogRecord


def metadata(
    sync: Sync, window: Window, result: Result, report: Report, rejects_file: str, *, sandbox: bool | None = None
) -> dict[str, dg.MetadataValue]:
    """The metadata of one window's materialization: counts, consent, clears, issues by column and code, import jobs. No personal data.

    `sandbox` says whether Klaviyo's address was on this machine.
    """
    values = {
        "dagster/partition_row_count": dg.MetadataValue.int(result.imported),
        **{name: dg.MetadataValue.int(getattr(result, name)) for name in COUNTS},
        "run_seconds": dg.MetadataValue.float(round(report.seconds, 3)),
        "undated_rows": dg.MetadataValue.int(report.undated),
        "future_rows": dg.MetadataValue.int(report.future),
        "window_start": dg.MetadataValue.timestamp(window.start),
        "window_end": dg.MetadataValue.timestamp(window.end),
        "read_for_good_until": dg.MetadataValue.timestamp(reread_from(window.end, sync.overlap)),
        **provenance(sync, window, report, sandbox=sandbox),
        "import_jobs": dg.MetadataValue.json(list(result.jobs)),
        **consent_metadata(result.consent),
        **clear_metadata(result.clears),
        "issues": dg.MetadataValue.json([[column, code, count] for (column, code), count in sorted(result.issues.items())]),
    }
    if report.notes:
        values["warehouse_notes"] = dg.MetadataValue.text(" ".join(report.notes))
    if report.opt_in:
        values["opt_in_of_undated_subscribes"] = dg.MetadataValue.text(report.opt_in)
    if result.issues:
        values["rejects_file"] = dg.MetadataValue.text(rejects_file)
    return values


def provenance(sync: Sync, window: Window, report: Report, *, sandbox: bool | None) -> dict[str, dg.MetadataValue]:
    """What the window's result covers, what was read, how it was mapped, and into which account it went."""
    values: dict[str, dg.MetadataValue] = {
        "history_included": dg.MetadataValue.bool(window.first and sync.history == "include"),
        "source": dg.MetadataValue.text(dataset_id(sync)),
        "mapping_hash": dg.MetadataValue.text(mapping_hash(sync)),
    }
    if sync.query is not None:
        values["query"] = dg.MetadataValue.text(sync.query)
    if report.account is not None:
        values["klaviyo_account"] = dg.MetadataValue.text(report.account.id)
        values["klaviyo_account_name"] = dg.MetadataValue.text(report.account.name)
    if report.zone is not None:
        values["read_in_zone"] = dg.MetadataValue.text(report.zone)
    if sandbox is not None:
        values["klaviyo_sandbox"] = dg.MetadataValue.bool(sandbox)
    return values


def entry_of(record: dg.EventLogRecord) -> Entry | None:
    """What a materialization record covers; None when it does not say so, as one that was reported by hand in the UI does not."""
    materialization = record.asset_materialization
    if materialization is None:
        return None
    stored: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
    start, end = stored.get("window_start"), stored.get("window_end")
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return None
    history = stored.get("history_included")
    return Entry(
        Span(BEGINNING if history else float(start), float(end)),
        Origin(stored.get("source"), stored.get("klaviyo_account"), stored.get("klaviyo_sandbox"), stored.get("read_in_zone")),
        may_have_history=history is None and "issues" in stored,  # a result of a version that did not say
    )


def checkpoint_of(record: dg.EventLogRecord) -> dict[str, Any] | None:
    """The checkpoint that a materialization record holds, `as_of` among it."""
    materialization = record.asset_materialization
    value = materialization.metadata.get(IMPORTED_BEFORE) if materialization else None
    return value.value if isinstance(value, dg.JsonMetadataValue) and isinstance(value.value, dict) else None


def read_back(record: dg.EventLogRecord) -> Stored | None:
    """The window that a materialization record describes; None when the record is not one of ours."""
    from klaviyo_sync.core.result import IssueKind, Result  # noqa: PLC0415 - pyarrow and numpy, for a run only

    materialization = record.asset_materialization
    entry = entry_of(record)
    if materialization is None or materialization.partition is None or entry is None or "issues" not in materialization.metadata:
        return None
    held: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
    counts = {name: held.get(name, 0) for name in COUNTS}
    issues = Counter({IssueKind(column, code): count for column, code, count in held["issues"]})
    consent, clears = read_consent(materialization.metadata), read_clears(held)
    result = Result(**counts, consent=consent, clears=clears, issues=issues, jobs=tuple(held.get("import_jobs", ())))
    undated, future = held.get("undated_rows", 0), held.get("future_rows", 0)
    read_until, own_span = held.get("read_for_good_until"), Span(held["window_start"], held["window_end"])
    return Stored(materialization.partition, own_span, entry, result, held.get("rejects_file"), undated, future, read_until, record)


def latest(instance: dg.DagsterInstance, key: dg.AssetKey, windows: Sequence[str]) -> dict[str, Stored]:
    """The latest stored result of each of these windows that has one."""
    found = {}
    for part in (windows[at : at + PAGE] for at in range(0, len(windows), PAGE)):
        filtered = dg.AssetRecordsFilter(asset_key=key, asset_partitions=list(part))
        found |= newest_of_each(pages(instance, filtered), at_most=len(part))
    return {window: found[window] for window in windows if window in found}


def newest(instance: dg.DagsterInstance, key: dg.AssetKey, at_most: int) -> dict[str, Stored]:
    """The latest stored results of the windows that were materialized last, at most so many windows, newest first."""
    return newest_of_each(pages(instance, dg.AssetRecordsFilter(asset_key=key)), at_most=at_most)


def newest_of_each(records: Iterable[dg.EventLogRecord], at_most: int) -> dict[str, Stored]:
    """The first record of each window, until there are so many windows."""
    found: dict[str, Stored] = {}
    for record in records:
        if (stored := read_back(record)) is not None:
            found.setdefault(stored.window, stored)
            if len(found) == at_most:
                break
    return found


def pages(instance: dg.DagsterInstance, filtered: dg.AssetRecordsFilter) -> Iterator[dg.EventLogRecord]:
    """Materialization records, newest first, fetched a page at a time: a small one at first, since few readers want more."""
    cursor, size = None, FIRST_PAGE
    while True:
        page = instance.fetch_materializations(filtered, limit=size, cursor=cursor)
        yield from page.records
        if not page.has_more:
            return
        cursor, size = page.cursor, min(PAGE, size * 5)
