"""Acknowledged windows: somebody looked at what is red in a window and leaves it as it is, until the window is run again.

An acknowledgment is an observation of the window, with who asked for it, when, and which checks were red. It never silences opt-outs that
could not be sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.checks import PER_WINDOW
from klaviyo_sync.orchestration.lineage import asset_key
from klaviyo_sync.orchestration.open_opt_outs import Open
from klaviyo_sync.orchestration.stops import asked_by
from klaviyo_sync.orchestration.stored import PAGE, Stored

ACKNOWLEDGE, ACKNOWLEDGED = "acknowledge", "acknowledged"
RECORDS = 1_000


def red_checks(sync: Sync, stored: Stored) -> list[str]:
    """The checks of a window that are errors."""
    verdicts = {name: check(sync, stored.result) for name, check in PER_WINDOW.items()}
    return [name for name, verdict in verdicts.items() if verdict.grave and not verdict.passed]


def observations(
    sync: Sync, windows: Sequence[Stored], tags: Mapping[str, str], run_id: str, now: datetime
) -> Iterator[dg.AssetObservation]:
    """An observation of each window: who acknowledges it (`run config` where the run does not say who launched it), when, and what."""
    moment = now.astimezone(UTC).isoformat(timespec="seconds")
    for stored in windows:
        values = {"asked_by": asked_by(tags), "run": run_id, "at": moment, "red": red_checks(sync, stored)}
        yield dg.AssetObservation(
            asset_key(sync),
            partition=stored.window,
            description="What is red in this window was acknowledged.",
            metadata={ACKNOWLEDGED: dg.MetadataValue.json(values)},
        )


def acknowledged(instance: dg.DagsterInstance, key: dg.AssetKey, windows: Collection[str]) -> dict[str, int]:
    """By window the id of its newest acknowledgment. One that is older than the window's result says nothing of it."""
    newest: dict[str, int] = {}
    names = sorted(set(windows))
    for part in (names[at : at + PAGE] for at in range(0, len(names), PAGE)):
        cursor = None
        while True:
            page = instance.fetch_observations(dg.AssetRecordsFilter(asset_key=key, asset_partitions=part), limit=RECORDS, cursor=cursor)
            for record in page.records:
                observation = record.asset_observation
                if observation is not None and observation.partition is not None and ACKNOWLEDGED in observation.metadata:
                    newest[observation.partition] = max(record.storage_id, newest.get(observation.partition, 0))
            if not page.has_more:
                break
            cursor = page.cursor
    return newest


def not_acknowledged(instance: dg.DagsterInstance, key: dg.AssetKey, opened: Sequence[Open]) -> list[Open]:
    """The open windows without the unknown words of those that were acknowledged since their result."""
    since = acknowledged(instance, key, [one.window for one in opened if one.words])
    left = [one._replace(words=0) if since.get(one.window, 0) > one.result else one for one in opened]
    return [one for one in left if one.opt_outs or one.words]
