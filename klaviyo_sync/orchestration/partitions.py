"""Windows as Dagster partitions: one TimeWindowPartitionsDefinition per sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import dagster as dg

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window, frequency

MOST_WINDOWS_PER_RUN = 100


def partitions(sync: Sync) -> dg.TimeWindowPartitionsDefinition:
    """The sync's windows, in its own time zone. The first one begins at the first tick of the frequency at or after `start`."""
    start = sync.start if isinstance(sync.start, datetime) else datetime(sync.start.year, sync.start.month, sync.start.day)  # noqa: DTZ001 - Dagster adds the zone
    if start.tzinfo is not None:
        start = start.astimezone(sync.zone).replace(tzinfo=None)
    found = frequency(sync.frequency)
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule=found.cron, start=start, fmt=found.key_format, timezone=sync.modified_at.timezone
    )


def window_of(windows: dg.TimeWindowPartitionsDefinition, key: str) -> Window:
    """The window of one partition key."""
    span = windows.time_window_for_partition_key(key)
    return Window(key, span.start, span.end, first=key == windows.get_first_partition_key())


def closed(windows: dg.TimeWindowPartitionsDefinition, by: datetime, within: timedelta | None = None) -> list[str]:
    """Keys of the windows that had ended at `by`, oldest first; `within` keeps those that ended less than so long before.

    `by` is in UTC: times of one zone compare by the clock on the wall, which shows one hour twice when it goes back.
    """
    if within is None or by - within <= windows.start:
        return list(windows.get_partition_keys(current_time=by))
    before = windows.get_prev_partition_window(by - within, respect_bounds=False)
    since = max(windows.start, before.end, key=datetime.timestamp) if before else windows.start
    keys = list(windows.get_partition_keys_in_time_window(dg.TimeWindow(since, by)))
    while keys and windows.time_window_for_partition_key(keys[-1]).end > by:
        keys.pop()
    return keys


def contiguous(keys: Sequence[str], chosen: set[str], at_most: int = MOST_WINDOWS_PER_RUN) -> Iterator[list[str]]:
    """The chosen ones of `keys`, in lists of neighbours of at most so many each, in the order of `keys`."""
    neighbours: list[str] = []
    for key in keys:
        if neighbours and (key not in chosen or len(neighbours) == at_most):
            yield neighbours
            neighbours = []
        if key in chosen:
            neighbours.append(key)
    if neighbours:
        yield neighbours
