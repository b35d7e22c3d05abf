"""Windows that stopped themselves, as the event log holds them: an observation each time, with why and how many opt-outs wait.

Beside it what `stop_above` needs of windows that did not stop: what each changed, and who let through what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from klaviyo_sync.core.coverage import Coverage, Span, span_of
from klaviyo_sync.core.ledger import ANYWHERE, Destination
from klaviyo_sync.core.provenance import dataset_id
from klaviyo_sync.core.stopping import MOST_RESULTS, Changes, Reason, Stop
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.orchestration.done import coverage_of, read_ledger
from klaviyo_sync.orchestration.failures import opt_out_words
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import closed, partitions, window_of
from klaviyo_sync.orchestration.stored import latest

if TYPE_CHECKING:  # pyarrow and numpy, for a run only
    from klaviyo_sync.sync_window import Report

STOPPED_OVER = "stopped_over"
COUNTED = "stop_above_counts"
LET_THROUGH = "let_through"
WHO_ASKED = ("user", "dagster/user")  # tags that Dagster or a launcher of runs may set
REMEMBERED = 1_000
LOOKED_BACK = 2 * MOST_RESULTS


@dataclass(frozen=True)
class Stopped:
    """One window that stopped itself when it was last tried, as of its observation.

    `waiting` opt-outs could have gone out from `since` on; `sent` ones went out all the same.
    """

    window: str
    span: Span
    text: str
    waiting: int
    sent: int
    since: datetime
    tried: float
    storage_id: int

    def words(self, now: datetime) -> str:
        """The window, why it stopped, and what became of its opt-outs."""
        return f"{self.window} ({'; '.join([self.text, *opt_out_words(self.waiting, self.sent, self.since, now)])})"


def observations(key: dg.AssetKey, windows: Sequence[Window], stops: Mapping[str, Stop]) -> Iterator[dg.AssetObservation]:
    """An observation of each window that stopped itself. No personal data."""
    for window in windows:
        if (stop := stops.get(window.key)) is None:
            continue
        yield dg.AssetObservation(
            key,
            partition=window.key,
            description=f"The window stopped itself: {stop.text}.",
            metadata={
                STOPPED_OVER: dg.MetadataValue.json([list(reason) for reason in stop.reasons]),
                "rows_held_back": dg.MetadataValue.int(stop.rows),
                "opt_outs_waiting": dg.MetadataValue.int(stop.waiting),
                "opt_outs_waiting_since": dg.MetadataValue.timestamp(stop.since),
                "opt_outs_sent": dg.MetadataValue.int(stop.sent),
                "window_start": dg.MetadataValue.timestamp(window.start),
                "window_end": dg.MetadataValue.timestamp(window.end),
            },
        )


def judged(report: Report, window: Window, tags: Mapping[str, str], run_id: str, now: datetime) -> dict[str, dg.MetadataValue]:
    """What a window changed, for the next ones to be judged with; and if it was let through: who asked, when, and over what limits."""
    values: dict[str, dg.MetadataValue] = {}
    if changes := report.changes.get(window.key):
        values[COUNTED] = dg.MetadataValue.json(
            {
                "rows": changes.rows,
                "rejected": changes.rejected,
                "subscribes": dict(changes.subscribes),
                "unsubscribes": dict(changes.unsubscribes),
                "imported": changes.imported,
                "cleared": changes.cleared,
                "merged": changes.merged,
            }
        )
    if reasons := report.exceeded.get(window.key):
        values[LET_THROUGH] = dg.MetadataValue.json(let_through(reasons, tags, run_id, now))
    return values


def let_through(reasons: Sequence[Reason], tags: Mapping[str, str], run_id: str, now: datetime) -> dict[str, Any]:
    """Who let something through (`run config` where the run does not say who launched it), when, and what."""
    moment = now.astimezone(UTC).isoformat(timespec="seconds")
    return {"asked_by": asked_by(tags), "run": run_id, "at": moment, "over": [reason.text for reason in reasons]}


def asked_by(tags: Mapping[str, str]) -> str:
    """Who launched a run, by its tags."""
    return next((tags[name] for name in WHO_ASKED if name in tags), "run config")


def results_before(instance: dg.DagsterInstance, sync: Sync, first: Window, destination: Destination = ANYWHERE) -> list[Changes]:
    """What the windows just before this one changed, newest first: those imported from the same dataset into the same account.

    What somebody let through is left out, and so are results of versions that did not count this.
    """
    length = first.end - first.start
    keys = closed(partitions(sync), first.start.astimezone(UTC), within=LOOKED_BACK * length)[-LOOKED_BACK:]
    stored = latest(instance, asset_key(sync), keys) if keys else {}
    if not stored:
        return []
    ledger = read_ledger(instance, sync).ledger
    ours = (one for one in reversed(stored.values()) if ledger.counts(one.entry.origin, dataset_id(sync), destination))
    found = [changes for one in ours if (changes := changes_of(one.record)) is not None]
    return found[:MOST_RESULTS]


def changes_of(record: dg.EventLogRecord) -> Changes | None:
    """What a materialization says that its window changed; None when it does not say, or was let through."""
    metadata = record.asset_materialization.metadata if record.asset_materialization else {}
    value = metadata.get(COUNTED)
    if not isinstance(value, dg.JsonMetadataValue) or not isinstance(value.value, dict) or LET_THROUGH in metadata:
        return None
    return Changes(**value.value)


def stopped_windows(
    instance: dg.DagsterInstance, sync: Sync, destination: Destination = ANYWHERE, coverage: Coverage | None = None
) -> list[Stopped]:
    """The windows of the sync that stopped themselves and were not imported since, oldest first.

    `coverage` is what was imported, if that is known already. A stop of a window that the present frequency does not have is none: its
    rows belong to other windows, which are judged themselves.
    """
    windows = partitions(sync)
    last: dict[str, Stopped] = {}
    for record in instance.fetch_observations(asset_key(sync), limit=REMEMBERED).records:
        if (stop := stopped_of(record)) is not None:
            last.setdefault(stop.window, stop)
    spans = {name: span_of(window_of(windows, name), history=False) for name in last if windows.has_partition_key(name)}
    known = sorted((last[name] for name, span in spans.items() if last[name].span == span), key=lambda stop: stop.span)
    if not known:
        return []
    if coverage is None:
        coverage = coverage_of(instance, sync, [window_of(windows, stop.window) for stop in known], destination)
    imported = latest(instance, asset_key(sync), [stop.window for stop in known])

    def stands(stop: Stopped) -> bool:
        result = imported.get(stop.window)
        return not coverage.covers(stop.span) or (result is not None and result.record.storage_id < stop.storage_id)

    return list(filter(stands, known))


def stopped_of(record: dg.EventLogRecord) -> Stopped | None:
    """The stop that an observation tells of; None when it is another observation."""
    observation = record.asset_observation
    if observation is None or observation.partition is None or STOPPED_OVER not in observation.metadata:
        return None
    held: dict[str, Any] = {name: value.value for name, value in observation.metadata.items()}
    return Stopped(
        observation.partition,
        Span(held["window_start"], held["window_end"]),
        "; ".join(text for _, text in held[STOPPED_OVER]),
        held["opt_outs_waiting"],
        held["opt_outs_sent"],
        datetime.fromtimestamp(held["opt_outs_waiting_since"], UTC),
        record.timestamp,
        record.storage_id,
    )
