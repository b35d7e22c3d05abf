"""Check evaluations from stored results: the same for a window imported a moment ago and for one imported last year."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

import dagster as dg

from klaviyo_sync.core.coverage import Coverage, uncovered
from klaviyo_sync.core.ledger import ANYWHERE, Destination, Origin
from klaviyo_sync.core.provenance import dataset_id
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import windows
from klaviyo_sync.orchestration import column_types, late
from klaviyo_sync.orchestration.acknowledgments import acknowledged, not_acknowledged, red_checks
from klaviyo_sync.orchestration.checks import OVERALL, PER_WINDOW, Overview
from klaviyo_sync.orchestration.dagster_private import target
from klaviyo_sync.orchestration.done import read_ledger
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.open_opt_outs import read_open, same_account
from klaviyo_sync.orchestration.resources import OpenWarehouse
from klaviyo_sync.orchestration.stops import stopped_windows
from klaviyo_sync.orchestration.stored import Stored, latest, newest
from klaviyo_sync.orchestration.switches import schedule_switched_off
from klaviyo_sync.orchestration.ticks import settled
from klaviyo_sync.orchestration.verdicts import Verdict

LOOKED_AT = 1_000
MAPPING, CONSENT = "mapping", "consent"


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
    sync: Sync,
    instance: dg.DagsterInstance,
    now: datetime,
    names: Collection[str],
    to_ask: OpenWarehouse | None,
    *,
    destination: Destination = ANYWHERE,
) -> Iterator[dg.AssetCheckEvaluation]:
    """The named checks of the sync as a whole, as of `now`. Without a warehouse to ask, late rows are those that were counted last."""
    wanted = {name: check for name, check in OVERALL.items() if name in names}
    if wanted:
        seen = overview(sync, instance, now, to_ask, destination)
        yield from (evaluation(asset_key(sync), name, check(sync, seen), {}, None) for name, check in wanted.items())


def overview(
    sync: Sync, instance: dg.DagsterInstance, now: datetime, to_ask: OpenWarehouse | None, destination: Destination = ANYWHERE
) -> Overview:
    """Which windows had settled by `now`, which of them are missing, what the results of the newest ones say, and which rows came late."""
    key, history = asset_key(sync), sync.history == "include"
    by = settled(now.astimezone(sync.zone), sync.settle)
    due = list(windows(sync, by))
    ledger = read_ledger(instance, sync).ledger
    coverage = ledger.coverage(dataset_id(sync), destination)
    missing = uncovered(due, coverage, history=history)
    stopped = stopped_windows(instance, sync, destination, coverage)
    retried = {stop.window for stop in stopped}
    seen = newest(instance, key, LOOKED_AT)
    reached = by - sync.catch_up
    results = latest(instance, key, [window.key for window in due if window.end > reached]) | seen
    newest_first = sorted(results.values(), key=lambda one: one.record.storage_id, reverse=True)
    current = [one for one in newest_first if ledger.counts(one.entry.origin, dataset_id(sync), destination)]
    standing = list(not_replaced(current))
    here = Origin(account=ledger.account(destination), sandbox=destination.sandbox)
    opened = not_acknowledged(instance, key, [one for one in read_open(instance, key).windows if same_account(one.origin, here)])
    red = {one.window: checks for one in standing if one.own_span.end > reached.timestamp() and (checks := red_checks(sync, one))}
    failing = {one.window: rows for one in standing if (rows := one.result.not_taken)}
    since = acknowledged(instance, key, {*red, *failing})
    silenced = {one.window for one in standing if since.get(one.window, 0) > one.record.storage_id}
    named = silenced | {one.window for one in opened if red.get(one.window) == [CONSENT]}
    return Overview(
        due=len(due),
        missing=[window.key for window in missing],
        unasked=sum(window.end <= by - sync.catch_up and window.key not in retried for window in missing),
        looked_at=len(seen),
        failing={window: rows for window, rows in failing.items() if window not in silenced},
        opened=opened,
        red={window: red[window] for window in sorted(red) if window not in named},
        acknowledged=len(silenced & red.keys()),
        undated=current[0].undated if current else 0,
        future=current[0].future if current else 0,
        late=late.count(sync, instance, to_ask, now, destination) if to_ask else late.recall(sync, instance),
        stopped=stopped,
        as_of=now,
        switched_off=schedule_switched_off(instance, sync) if seen else None,
    )


def not_replaced(results: Iterable[Stored]) -> Iterator[Stored]:
    """The results (newest first) but for those whose windows were imported again since, under whatever key."""
    newer = Coverage()
    for result in results:
        if not newer.covers(result.own_span):
            yield result
            newer = newer.plus([result.own_span])


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
