"""What a Dagster instance is relied on for: a memory that lasts, and one import at a time."""

from __future__ import annotations

import dagster as dg

from klaviyo_sync.orchestration import dagster_slots, import_slot
from klaviyo_sync.orchestration.assets import POOL

TEMPORARY = ".tmp_dagster_home_"  # what Dagster calls the folders that it deletes in the end
FORGETS = (
    "This Dagster instance is temporary{where}. The record of what this run imports is deleted when Dagster ends, and every window then "
    "counts as missing. Set DAGSTER_HOME to a folder that stays, or start Dagster where a dagster.yaml says where its storage is."
)


def forgets(instance: dg.DagsterInstance) -> str | None:
    """A warning when the instance forgets what was imported; None when it keeps it."""
    if instance.is_ephemeral:
        return FORGETS.format(where="")
    folder = dagster_slots.storage_folder(instance)
    if folder is not None and any(part.startswith(TEMPORARY) for part in folder.parts):
        return FORGETS.format(where=f": its event log lies in {folder}")
    return None


def one_at_a_time(instance: dg.DagsterInstance) -> tuple[bool, str]:
    """Whether the instance can hold one import at a time, and how that stands, in one line."""
    reason = import_slot.unsupported(instance)
    if reason is not None:
        return False, reason
    taken = dagster_slots.holders(instance.event_log_storage, import_slot.slot_key())
    now = f", taken by {import_slot.described(instance, taken[0])}" if taken else ", free"
    limit = dagster_slots.pool_limit(instance, POOL)
    queue = (
        "waiting runs stay queued"
        if limit == 1
        else f"waiting runs occupy a process each; `dagster instance concurrency set {POOL} 1` keeps them queued"
    )
    return True, f"by a slot in the event log of this instance{now}; {queue}"
