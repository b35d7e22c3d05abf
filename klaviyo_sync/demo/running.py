"""Materialises windows through Dagster: the first alone, then the others in runs over ranges, and of many the newest alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window, windows
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.partitions import MOST_WINDOWS_PER_RUN
from klaviyo_sync.orchestration.schedules import RANGE_END, RANGE_START, job_name
from klaviyo_sync.orchestration.stored import Stored, latest

FEW = 3
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Planned:
    """One run: contiguous windows of one sync, oldest first."""

    sync: Sync
    windows: Sequence[Window]

    @property
    def label(self) -> str:
        """What the run is called while it runs."""
        first, last = self.windows[0].key, self.windows[-1].key
        return (
            f"{self.sync.name}, window {first}"
            if first == last
            else f"{self.sync.name}, {len(self.windows)} windows from {first} to {last}"
        )


def plan(sync: Sync, now: datetime) -> Iterator[Planned]:
    """The runs that import every window of a sync that has closed, history first."""
    first, *rest = windows(sync, now)
    newest = rest[-1:] if len(rest) > FEW else []
    between = rest[: len(rest) - len(newest)]
    yield Planned(sync, [first])
    for at in range(0, len(between), MOST_WINDOWS_PER_RUN):
        yield Planned(sync, between[at : at + MOST_WINDOWS_PER_RUN])
    if newest:
        yield Planned(sync, newest)


def materialise(defs: dg.Definitions, instance: dg.DagsterInstance, planned: Planned) -> str | None:
    """Runs the sync's own job over the windows. What Dagster says when it failed, else None; KeyboardInterrupt when it was cancelled."""
    job = defs.resolve_job_def(job_name(planned.sync))
    first, last = planned.windows[0].key, planned.windows[-1].key
    if first == last:
        done = job.execute_in_process(instance=instance, partition_key=first, run_config=QUIET, raise_on_error=False)
    else:
        tags = {RANGE_START: first, RANGE_END: last}
        done = job.execute_in_process(instance=instance, tags=tags, run_config=QUIET, raise_on_error=False)
    if done.success:
        return None
    if done.dagster_run.status == dg.DagsterRunStatus.CANCELED:
        raise KeyboardInterrupt  # Dagster ends the run, and keeps the interrupt to itself
    failures = [
        event.step_failure_data.error_display_string.partition("\n\nStack Trace")[0] for event in done.all_events if event.is_step_failure
    ]
    return "\n".join(failures) or "Dagster does not say why."


def results(instance: dg.DagsterInstance, sync: Sync, now: datetime) -> dict[str, Stored]:
    """What Dagster's event log holds of every closed window, by its key, oldest first."""
    return latest(instance, asset_key(sync), [window.key for window in windows(sync, now)])
