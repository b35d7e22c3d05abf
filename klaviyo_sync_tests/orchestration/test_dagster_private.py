"""The few things that are not part of Dagster's public interface: they are there, and mean what we take them to mean."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus
from dagster._time import get_current_timestamp
from orchestration_bench import KEY, Bench, backfill

from klaviyo_sync.orchestration.dagster_private import last_evaluation, target, waiting_in_backfills

FIRST, SECOND, THIRD = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00"


def test_a_check_points_at_its_materialization(bench_of: Callable[..., Bench]) -> None:
    """The target of a check's evaluation is the latest materialization of its window."""
    bench = bench_of()
    bench.run(FIRST)
    [record] = bench.instance.fetch_materializations(KEY, limit=1).records
    assert bench.evaluations("mapping")[-1].target_materialization_data == target(record)


def test_windows_that_a_backfill_has_not_launched_yet(bench_of: Callable[..., Bench]) -> None:
    """A backfill holds the windows that it was asked for and has no run for; a finished one holds none."""
    bench = bench_of()
    waiting = backfill(bench, [FIRST, SECOND, THIRD], launched=[FIRST])
    bench.instance.add_backfill(waiting)
    assert waiting_in_backfills(bench.instance, KEY) == {SECOND, THIRD}
    assert waiting_in_backfills(bench.instance, dg.AssetKey("other")) == set()
    bench.instance.update_backfill(waiting.with_status(BulkActionStatus.CANCELED))
    assert waiting_in_backfills(bench.instance, KEY) == set()


def test_the_last_evaluation_with_an_entry(bench_of: Callable[..., Bench]) -> None:
    """It is the newest one whose metadata has the entry, with the time at which it was stored."""
    bench = bench_of()
    bench.run(FIRST)
    bench.run(SECOND)
    check = dg.AssetCheckKey(KEY, "completeness")
    before = get_current_timestamp()
    last = last_evaluation(bench.instance, check, "windows_due")
    assert last is not None
    evaluation, stored_at = last
    assert evaluation == bench.evaluations("completeness")[-1]
    assert 0 <= before - stored_at < 60
    assert last_evaluation(bench.instance, check, "late_rows") is None
