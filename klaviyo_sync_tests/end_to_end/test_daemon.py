"""Dagster's real daemon: hours of downtime, a run that is killed, a slot that comes free."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dagster as dg
import pytest
from daemon_place import KEY, daemon_place

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of Dagster's own, over its own storage
HOURS = 6


def test_downtime_a_kill_and_no_window_is_skipped(tmp_path: Path) -> None:
    """A tick after hours asks for all windows at once; its run is killed, its slot comes free, and a new run imports everything."""
    with daemon_place(tmp_path / "home", HOURS, job_seconds=6.0) as place:
        place.switch("start")
        place.pretend_downtime(HOURS)
        with place.daemon():
            place.until(lambda: place.box.requests["bulk_import_profiles", 202] > 0)
            [run] = place.instance.get_runs()
            pid = place.pid(run.run_id)
            assert pid
            assert slots(place.instance) == (1, 0)
            os.kill(pid, signal.SIGKILL)
            place.box.jobs._seconds = (0.1, 0.1)
            place.until(lambda: len(place.imported()) >= HOURS - 1)
            place.until(lambda: slots(place.instance) == (0, 1))
        runs = place.instance.get_runs()
        assert [one.status for one in runs if one.run_id == run.run_id] == [dg.DagsterRunStatus.FAILURE]
        assert 2 <= len(runs) <= 3  # a tick of the clock may have come by
        records = place.instance.fetch_materializations(KEY, limit=100).records
        read = sum(int(str(one.asset_materialization.metadata["read"].value)) for one in records if one.asset_materialization)
        assert read == 60 * len(place.imported())
        assert len(place.box.profiles) == read


@pytest.mark.long
def test_a_schedule_that_was_stopped_and_started_again(tmp_path: Path) -> None:
    """Its first tick asks for every window that went by while it was stopped."""
    with daemon_place(tmp_path / "home", HOURS) as place:
        place.switch("start")
        place.switch("stop")
        place.switch("start")
        place.pretend_downtime(1)
        with place.daemon():
            place.until(lambda: len(place.imported()) >= HOURS - 1)
        assert len(place.box.profiles) == 60 * len(place.imported())


def slots(instance: dg.DagsterInstance) -> tuple[int, int]:
    """How many slots of the pool are taken, and how many are free."""
    held = instance.event_log_storage.get_concurrency_info("klaviyo")
    return len(held.claimed_slots), held.slot_count - len(held.claimed_slots)
