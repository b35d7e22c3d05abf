"""Runs whose process was killed and which Dagster still shows as running: it asks nobody about runs of its default launcher.

Such a run would keep its place in the pool, and its windows out of every tick, until `max_runtime_seconds` are over.
"""

from __future__ import annotations

import dagster as dg

from klaviyo_sync.orchestration import dagster_slots, processes
from klaviyo_sync.orchestration.dagster_slots import Holder

KILLED = (
    "The process of this run is gone: it was killed, or this machine went down. Its windows stay missing; running them again is safe. "
    "The schedule's next tick asks for them again; where no schedule is on, materialize them again."
)


def end_killed_runs(instance: dg.DagsterInstance, slot: str) -> list[str]:
    """The ids of the runs that are ended by this: those that hold the slot by a process of this machine that is gone."""
    if not dagster_slots.has_slots(instance.event_log_storage):
        return []
    holders = dagster_slots.holders(instance.event_log_storage, slot)
    return [holder.run_id for holder in holders if is_gone(instance, holder) and end(instance, holder)]


def is_gone(instance: dg.DagsterInstance, holder: Holder) -> bool:
    """Whether it is certain that the process of a holder is gone."""
    described = processes.read(holder.step_key)
    if described is None:
        return False
    return processes.state(described[0], same_disk=dagster_slots.is_local(instance.event_log_storage)) == "gone"


def end(instance: dg.DagsterInstance, holder: Holder) -> bool:
    """Marks the run of a holder whose process is gone as failed, or as cancelled if that was asked for, and gives its places back.

    False where Dagster has ended the run already, or will resume it in another process.
    """
    run = instance.get_run_by_id(holder.run_id)
    if run is None or run.is_finished or instance.run_will_resume(holder.run_id):
        return False
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, KILLED)
    else:
        instance.report_run_failed(run, KILLED)
    instance.event_log_storage.free_concurrency_slots_for_run(holder.run_id)
    return True
