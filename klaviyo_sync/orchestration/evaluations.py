"""Check evaluations from stored results: the same for a window imported a moment ago and for one imported last year."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

import dagster as dg

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration import column_types, late
from klaviyo_sync.orchestration.checks import OVERALL, PER_WINDOW, Overview
from klaviyo_sync.orchestration.dagster_private import target
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import closed, partitions
from klaviyo_sync.orchestration.resources import OpenWarehouse
from klaviyo_sync.orchestration.stored import Stored, newest
from klaviyo_sync.orchestration.ticks import settled
from klaviyo_sync.orchestration.verdicts import Verdict

LOOKED_AT = 1_000
MAPPING = "mapping"


def of_windows(sync: Sync, stored: Iterable[Stored], names: Collection[str]) -> Iterator[dg.AssetCheckEvaluation]:
    """The named checks of each of these windows; each evaluation names its partition and points at its materialization."""
    for window in stored:
        for name, check in PER_WINDOW.items():
            if name in names:
                verdict = check(sync, window.result)
                verdict = column_types.judged(verdict, window) if name == MAPPING else verdict
                file = window.rejects_file if "issues" in verdict.metadata else None
                where = {"rejects_file": dg.MetadataValue.text(file)} if file else {}
                yield evaluation(asset_key(sync), name, verdict, where, window)


def of_the_sync(
    sync: Sync, instance: dg.DagsterInstance, now: datetime, names: Collection[str], to_ask: OpenWarehouse | None
) -> Iterator[dg.AssetCheckEvaluation]:
    """The named checks of the sync as a whole, as of `now`. Without a warehouse to ask, late rows are those that were counted last."""
    wanted = {name: check for name, check in OVERALL.items() if name in names}
    if wanted:
        seen = overview(sync, instance, now, to_ask)
        yield from (evaluation(asset_key(sync), name, check(sync, seen), {}, None) for name, check in wanted.items())


def overview(sync: Sync, instance: dg.DagsterInstance, now: datetime, to_ask: OpenWarehouse | None) -> Overview:
    """Which windows had settled by `now`, which of them are missing, what the results of the newest ones say, and which rows came late."""
    key, windows = asset_key(sync), partitions(sync)
    by = settled(now.astimezone(sync.zone), sync.settle)
    due = closed(windows, by)
    done = instance.get_materialized_partitions(key)
    missing = [window for window in due if window not in done]
    within_reach = set(closed(windows, by, within=sync.catch_up))
    seen = newest(instance, key, LOOKED_AT)
    failing = {name: rows for name, window in seen.items() if (rows := window.result.not_taken)}
    last = next(iter(seen.values()), None)
    return Overview(
        due=len(due),
        missing=missing,
        unasked=sum(window not in within_reach for window in missing),
        looked_at=len(seen),
        failing=failing,
        undated=last.undated if last else 0,
        future=last.future if last else 0,
        late=late.count(sync, instance, to_ask, now) if to_ask else late.recall(sync, instance),
    )


def evaluation(
    key: dg.AssetKey, name: str, verdict: Verdict, where: Mapping[str, dg.MetadataValue], window: Stored | None
) -> dg.AssetCheckEvaluation:
    """One verdict as Dagster stores it."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=name,
        passed=verdict.passed,
        severity=verdict.severity,
        description=verdict.words,
        metadata={**verdict.metadata, **where},
        partition=window.window if window else None,
        target_materialization_data=target(window.record) if window else None,
    )
