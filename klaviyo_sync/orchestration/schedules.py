"""One job and one schedule per sync, and one for the completeness of all.

A tick asks for every window that is due, is not done and is not on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from klaviyo_sync.core.coverage import span_of
from klaviyo_sync.core.ledger import ANYWHERE, Destination
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import frequency
from klaviyo_sync.orchestration.dagster_private import waiting_in_backfills
from klaviyo_sync.orchestration.done import not_done
from klaviyo_sync.orchestration.late import CHECK
from klaviyo_sync.orchestration.lineage import asset_key, frequency_word
from klaviyo_sync.orchestration.partitions import closed, contiguous, partitions, window_of
from klaviyo_sync.orchestration.stops import stopped_windows
from klaviyo_sync.orchestration.stored import latest
from klaviyo_sync.orchestration.ticks import settled, ticks
from klaviyo_sync.orchestration.verdicts import days

MOST_RUNS_PER_TICK = 10
LATE_ROWS_JOB = "check_completeness"
PRIORITY = "dagster/priority"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def sync_job(sync: Sync) -> dg.JobDefinition | dg.UnresolvedAssetJobDefinition:
    """The job that imports windows of one sync, checks included."""
    return dg.define_asset_job(
        job_name(sync),
        selection=dg.AssetSelection.assets(asset_key(sync)),
        description=f"Imports windows of {sync.name}.",
        tags={"frequency": frequency_word(sync)},
        executor_def=dg.in_process_executor,
    )


def sync_schedule(
    sync: Sync, job: dg.JobDefinition | dg.UnresolvedAssetJobDefinition, destination: Destination = ANYWHERE
) -> dg.ScheduleDefinition:
    """The schedule of one sync, switched off until someone switches it on.

    Dagster's own partitioned schedules skip the windows they missed (https://github.com/dagster-io/dagster/issues/10335);
    this one asks for all of them, inside the sync's `catch_up`.
    """
    crons = ticks(frequency(sync.frequency).cron, sync.settle)

    @dg.schedule(
        name=job_name(sync),
        job=job,
        cron_schedule=crons[0] if len(crons) == 1 else crons,
        execution_timezone=sync.modified_at.timezone,
        description=f"Asks for every window of {sync.name} that ended in the last {days(sync.catch_up)} and is not done, oldest first.",
        tags={"frequency": frequency_word(sync)},
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        from klaviyo_sync.orchestration.import_slot import slot_key  # noqa: PLC0415 - SQLAlchemy, for a tick and a run only
        from klaviyo_sync.orchestration.killed_runs import end_killed_runs  # noqa: PLC0415

        for run_id in end_killed_runs(context.instance, slot_key()):
            context.log.info("Run %s was killed; it no longer holds the pool, and its windows are free.", run_id)
        return asked_for(sync, context.scheduled_execution_time, context.instance, destination)

    return schedule


def completeness_job(syncs: Sequence[Sync]) -> dg.UnresolvedAssetJobDefinition:
    """The job that asks the warehouses for late rows, and imports nothing."""
    return dg.define_asset_job(
        LATE_ROWS_JOB,
        selection=dg.AssetSelection.checks(*(dg.AssetCheckKey(asset_key(sync), CHECK) for sync in syncs)),
        description="Evaluates the completeness of every sync, and counts the rows that came after their window ran. Imports nothing.",
        executor_def=dg.in_process_executor,
    )


def completeness_schedule(job: dg.UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """The schedule of that job: daily, switched off until someone switches it on."""
    return dg.ScheduleDefinition(
        name=LATE_ROWS_JOB,
        job=job,
        cron_schedule="40 5 * * *",
        execution_timezone="UTC",
        description="Counts late rows once a day: one query for each sync, over the windows of its catch_up.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )


def asked_for(
    sync: Sync, tick: datetime, instance: dg.DagsterInstance, destination: Destination = ANYWHERE
) -> list[dg.RunRequest] | dg.SkipReason:
    """The runs that a tick asks for: neighbouring windows together, oldest first; a reason when there are none.

    Windows that stopped themselves come last and each alone, however long ago they ended; of many, those that were tried longest ago.
    """
    windows = partitions(sync)
    by = settled(tick.astimezone(sync.zone), sync.settle)
    due = closed(windows, by, within=sync.catch_up)
    stopped = {stop.window: stop for stop in stopped_windows(instance, sync, destination) if stop.span.end <= by.timestamp()}
    wanted = missing(instance, sync, windows, [*(name for name in stopped if name not in set(due)), *due], destination)
    if not wanted:
        since, until = (moment.isoformat(" ", "minutes") for moment in (by - sync.catch_up, by))
        return dg.SkipReason(f"All {len(due)} windows that ended between {since} and {until} are imported or on their way.")
    ranges = list(contiguous(due, wanted - set(stopped)))[:MOST_RUNS_PER_TICK]
    tried_first = sorted((stop for name, stop in stopped.items() if name in wanted), key=lambda stop: stop.tried)[:MOST_RUNS_PER_TICK]
    alone = [[stop.window] for stop in sorted(tried_first, key=lambda stop: stop.span)]
    return [run_request(keys, position) for position, keys in enumerate([*ranges, *alone])]


def missing(
    instance: dg.DagsterInstance, sync: Sync, windows: dg.TimeWindowPartitionsDefinition, due: list[str], destination: Destination
) -> set[str]:
    """The due windows that are not done, or whose last run failed, without those that a run or a backfill will import."""
    open_windows = {window.key for window in not_done(instance, sync, [window_of(windows, name) for name in due], destination)}
    states = instance.get_status_by_partition(asset_key(sync), due, windows) or {}
    failed = {name for name, state in states.items() if state is not None and state.value == "FAILED"}
    running = {name for name, state in states.items() if state is not None and state.value == "IN_PROGRESS"}
    broken = broken_reruns(instance, sync, windows, sorted(failed - open_windows))
    return (open_windows | broken) - running - waiting_in_backfills(instance, asset_key(sync), windows)


def broken_reruns(instance: dg.DagsterInstance, sync: Sync, windows: dg.TimeWindowPartitionsDefinition, failed: Sequence[str]) -> set[str]:
    """The windows that somebody ran again in vain: done, and failed under their key since then.

    A key may have failed as the name of another window, before the frequency changed: only a window that ran under its own key counts.
    """
    spans = {name: span_of(window_of(windows, name), history=False) for name in failed}
    stored = latest(instance, asset_key(sync), failed)
    return {name for name, result in stored.items() if result.own_span == spans[name]}


def run_request(keys: list[str], position: int) -> dg.RunRequest:
    """A run over neighbouring windows; the first in line has the highest priority."""
    tags = {PRIORITY: str(-position)}
    if len(keys) == 1:
        return dg.RunRequest(run_key=keys[0], partition_key=keys[0], tags=tags)
    return dg.RunRequest(run_key=f"{keys[0]}...{keys[-1]}", tags={**tags, RANGE_START: keys[0], RANGE_END: keys[-1]})


def job_name(sync: Sync) -> str:
    """`klaviyo_<sync>`, the name of the job and of the schedule: a change of the frequency keeps the schedule's switch."""
    return f"klaviyo_{sync.name}"
