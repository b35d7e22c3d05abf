"""Whether the schedule of a sync is switched on, where the instance can tell."""

from __future__ import annotations

import dagster as dg

from klaviyo_sync.core.frequencies import FREQUENCIES
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.dagster_private import running_schedules
from klaviyo_sync.orchestration.schedules import job_name

FORMER_SUFFIXES = (*FREQUENCIES, "cron")


def schedule_switched_off(instance: dg.DagsterInstance, sync: Sync) -> str | None:
    """What to say of a schedule that is off; None when it is on, or when no scheduler has ever run on this instance.

    Up to version 0.1 a schedule was called `<sync>_<frequency>`. Dagster keeps switches by name, so that one must be switched on again.
    """
    running = running_schedules(instance)
    if running is None or job_name(sync) in running:
        return None
    former = next((name for suffix in FORMER_SUFFIXES if (name := f"{sync.name}_{suffix}") in running), None)
    was_on = f", and was on under its former name {former}" if former else ""
    return f"the schedule {job_name(sync)} is off{was_on}: switch it on under Automation"
