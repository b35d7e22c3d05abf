"""The few things that are not part of Dagster's public interface: they are there, and mean what we take them to mean."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.asset_backfill import AssetBackfillData
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._time import get_current_timestamp
from orchestration_bench import KEY, Bench

from klaviyo_sync.orchestration.dagster_private import last_evaluation, target, waiting_in_backfills
from klaviyo_sync.orchestration.partitions import partitions

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
    backfill = asked_for(bench, [FIRST, SECOND, THIRD], launched=[FIRST])
    bench.instance.add_backfill(backfill)
    assert waiting_in_backfills(bench.instance, KEY) == {SECOND, THIRD}
    assert waiting_in_backfills(bench.instance, dg.AssetKey("other")) == set()
    bench.instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))
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


def asked_for(bench: Bench, keys: list[str], launched: list[str]) -> PartitionBackfill:
    """A backfill that launched some of its windows."""
    windows = partitions(bench.sync)

    def subset(names: list[str]) -> AssetGraphSubset:
        return AssetGraphSubset(partitions_subsets_by_asset_key={KEY: windows.subset_with_partition_keys(names)})

    now = get_current_timestamp()
    graph = bench.defs.resolve_asset_graph()
    data = AssetBackfillData.empty(subset(keys), now, dynamic_partitions_store=bench.instance)
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id="b",
        backfill_timestamp=now,
        tags={},
        dynamic_partitions_store=bench.instance,
        asset_graph_subset=subset(keys),
        title=None,
        description=None,
        run_config=None,
    )
    return backfill.with_asset_backfill_data(data.replace_requested_subset(subset(launched)), bench.instance, graph)
