"""Which windows are done: those that the spans of stored results cover, of the same dataset and the same Klaviyo account.

Ticks, the check `completeness` and the count of late rows all ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from klaviyo_sync.config import KlaviyoSettings
from klaviyo_sync.config.addresses import is_on_this_machine
from klaviyo_sync.core.coverage import BEGINNING, Coverage, Span, span_of, uncovered
from klaviyo_sync.core.ledger import ANYWHERE, Destination, Ledger, WasFirst, expanded
from klaviyo_sync.core.provenance import dataset_id
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import FREQUENCIES, Window, windows
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.stored import IMPORTED_BEFORE, checkpoint_of, entry_of, pages

# A ledger without a checkpoint is read whole, unless it is longer than this: then only as far back as is asked about.
LONG = 1_000

FAR_FUTURE = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Reading:
    """A ledger, and the newest record that is in it (0 when there is none). `whole` unless older records were left out."""

    ledger: Ledger
    as_of: int
    whole: bool


def destination_of(klaviyo: KlaviyoSettings) -> Destination:
    """Where the configuration sends rows."""
    return Destination(klaviyo.account, is_on_this_machine(klaviyo.base_url))


def read_ledger(instance: dg.DagsterInstance, sync: Sync, since: float = BEGINNING, long: int = LONG) -> Reading:
    """What the event log says was imported by the sync, at least from `since` on.

    It is read back to the newest checkpoint, which says what was imported before. No result is older than the end of its window: where
    there is no checkpoint and more than `long` to read, records from before `since` are left out.
    """
    ledger, as_of, floor, older = Ledger(), 0, -1, None
    for position, record in enumerate(pages(instance, dg.AssetRecordsFilter(asset_key=asset_key(sync)))):
        if record.storage_id <= floor:
            break
        if older is None and position >= long and record.timestamp < since:
            ledger.read_in(sync.modified_at.timezone)
            return Reading(ledger, as_of, whole=False)
        as_of = as_of or record.storage_id
        if (entry := entry_of(record)) is not None:
            ledger.add(entry)
        if older is None and (checkpoint := checkpoint_of(record)) is not None:
            older, floor = expanded(checkpoint), checkpoint["as_of"]
    if older is None:
        ledger.close(first_windows(sync))
    else:
        ledger.continue_with(older)
    ledger.read_in(sync.modified_at.timezone)
    return Reading(ledger, as_of, whole=True)


def first_windows(sync: Sync) -> WasFirst:
    """Whether a window was the first of the sync, as far as its configuration tells: it begins no later than the present first window, or
    is the first one of another frequency. None was when history is skipped.
    """
    if sync.history == "skip":
        return lambda _: False
    present = first_span(sync, sync.frequency)
    others = {first_span(sync, name) for name in FREQUENCIES}
    return lambda span: span.start <= present.start or span in others


def first_span(sync: Sync, frequency: str) -> Span:
    """What the sync's first window would span with this frequency, without history."""
    first = next(windows(sync.model_copy(update={"frequency": frequency}), FAR_FUTURE))
    return span_of(first, history=False)


def checkpoint(reading: Reading) -> dict[str, dg.MetadataValue]:
    """The whole reading as metadata of the next result, so that nobody has to read older ones; nothing where that would be large."""
    compact = reading.ledger.compact() if reading.whole else None
    return {} if compact is None else {IMPORTED_BEFORE: dg.MetadataValue.json({"as_of": reading.as_of, **compact})}


def coverage_of(instance: dg.DagsterInstance, sync: Sync, windows: Sequence[Window], destination: Destination = ANYWHERE) -> Coverage:
    """What was imported of the sync's dataset, as far as these windows (oldest first) are concerned."""
    if not windows:
        return Coverage()
    since = span_of(windows[0], history=sync.history == "include").start
    return read_ledger(instance, sync, since).ledger.coverage(dataset_id(sync), destination)


def not_done(instance: dg.DagsterInstance, sync: Sync, windows: Sequence[Window], destination: Destination = ANYWHERE) -> list[Window]:
    """The windows that are not done, oldest first like `windows`."""
    return uncovered(windows, coverage_of(instance, sync, windows, destination), history=sync.history == "include")
