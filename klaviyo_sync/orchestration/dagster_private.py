"""The only place that reaches behind Dagster's public interface; klaviyo_sync_tests/orchestration/test_dagster_private.py holds it.

Dagster's `AssetCheckResult` cannot name a partition, so that a run over several windows would leave every window's check
blank. `AssetCheckEvaluation` can, and counts for a window only if it points at that window's latest materialization.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.partitions.subset import PartitionsSubset, TimeWindowPartitionsSubset
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType

SCHEDULER = "SCHEDULER"  # the daemon that makes schedules tick
ON = frozenset({InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE})


def target(record: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """What a check evaluation points at: the materialization in `record`."""
    return AssetCheckEvaluationTargetMaterializationData(storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp)


def last_evaluation(instance: dg.DagsterInstance, check: dg.AssetCheckKey, having: str) -> tuple[dg.AssetCheckEvaluation, float] | None:
    """The newest evaluation of a check whose metadata has an entry of this name, and when it was stored, in seconds since 1970.

    It is looked for among the last hundred times that the check was asked for.
    """
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=100):
        event = record.event.dagster_event if record.event else None
        found = event.event_specific_data if event else None
        if record.event and isinstance(found, dg.AssetCheckEvaluation) and having in found.metadata:
            return found, record.event.timestamp
    return None


def waiting_in_backfills(
    instance: dg.DagsterInstance, key: dg.AssetKey, windows: dg.TimeWindowPartitionsDefinition | None = None
) -> set[str]:
    """The partitions of `key` that a backfill was asked for and has not launched a run for yet.

    With `windows`, only those of backfills over such windows: Dagster ends a backfill once the definition of its partitions has changed.
    """
    waiting: set[str] = set()
    for backfill in instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        data = backfill.asset_backfill_data
        if data is not None and key in data.target_subset.asset_keys and over(windows, data.target_subset.get_partitions_subset(key)):
            left = data.target_subset - data.requested_subset
            waiting.update(part.partition_key for part in left.iterate_asset_partitions() if part.asset_key == key and part.partition_key)
    return waiting


def over(windows: dg.TimeWindowPartitionsDefinition | None, subset: PartitionsSubset) -> bool:
    """Whether a subset is one of such windows; of any where `windows` is None."""
    if windows is None or not isinstance(subset, TimeWindowPartitionsSubset):
        return True
    theirs = subset.partitions_def
    return (theirs.cron_schedule, theirs.timezone, theirs.fmt) == (windows.cron_schedule, windows.timezone, windows.fmt)


def running_schedules(instance: dg.DagsterInstance) -> set[str] | None:
    """The names of the schedules that are switched on, in any code location; None where no scheduler has ever run."""
    if instance.schedule_storage is None or SCHEDULER not in instance.get_daemon_heartbeats():
        return None
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return {state.instigator_name for state in states if state.status in ON}


def report_canceling(instance: dg.DagsterInstance, run_id: str) -> None:
    """Notes that a run which was interrupted is being cancelled, as Terminate in the UI does first; Dagster then ends it as CANCELED.

    Without this it counts an interrupt of another origin, such as Ctrl-C, as a failure, and may start the run again.
    Runs that Dagster resumes on another machine, and those that have ended, are left alone.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status == dg.DagsterRunStatus.STARTED and not instance.run_will_resume(run_id):
        instance.report_run_canceling(run, "The run was interrupted.")
