"""One import at a time, between real processes, on an instance without any limits."""

from __future__ import annotations

import signal
from pathlib import Path

import dagster as dg
import pytest
from process_place import ENDLESS, process_place

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of Dagster's own, over its own storage

GENEROUS = """concurrency: {pools: {granularity: run, default_limit: 5}}
"""


@pytest.mark.parametrize("settings", ["", GENEROUS], ids=["no limits", "generous limits"])
def test_the_run_of_another_sync_waits_for_the_one_that_imports(tmp_path: Path, settings: str) -> None:
    """It reads and sends nothing meanwhile, and says for whom it waits; when that run is killed, it goes on."""
    with process_place(tmp_path / "home", source=ENDLESS, settings=settings, limits=False, job_seconds=0.1) as place:
        first = place.materialize("people")
        place.until(lambda: place.reads(first))
        first_run = place.run().run_id
        second = place.materialize("others")
        waiting = f"Waiting: run {first_run[:8]} (klaviyo/people) imports into this Klaviyo account. One import runs at a time."
        place.until(lambda: place.run().run_id != first_run and waiting in place.messages(place.run().run_id))
        assert not place.reads(second)
        assert sum(place.box.requests.values()) == 1  # the first run asked which account it is
        first.send_signal(signal.SIGKILL)
        place.until(lambda: second.poll() is not None)
        assert place.run().status == dg.DagsterRunStatus.SUCCESS, place.printed()[-6_000:]
        assert place.imported("others") == {"2026-05-01"}
