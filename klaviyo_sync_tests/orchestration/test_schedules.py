"""Schedules: no window is skipped, none is asked for twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.execution.backfill import BulkActionStatus
from orchestration_bench import KEY, Bench, Imports, backfill

from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.result import Result
from klaviyo_sync.orchestration.partitions import partitions
from klaviyo_sync.orchestration.schedules import asked_for

TICK = datetime(2024, 3, 4, 6, 5, tzinfo=UTC)


def hour(number: int) -> str:
    """The key of one of the day's hours."""
    return f"2024-03-04-{number:02}:00"


def test_the_window_that_just_settled(bench_of: Callable[..., Bench]) -> None:
    """In normal running a tick asks for one window, by its partition key."""
    bench = bench_of()
    bench.run(hour(0), hour(4))
    assert bench.tick(TICK) == [hour(5)]


def test_nothing_is_missing(bench_of: Callable[..., Bench]) -> None:
    """A tick that finds everything imported asks for nothing, and says so."""
    bench = bench_of()
    bench.run(hour(0), hour(5))
    reason = asked_for(bench.sync, TICK, bench.instance)
    assert isinstance(reason, dg.SkipReason)
    assert "All 6 windows" in (reason.skip_message or "")


def test_hours_of_downtime(bench_of: Callable[..., Bench]) -> None:
    """Windows that nobody asked for are asked for as one range, oldest first; holes of single windows by their keys."""
    bench = bench_of()
    bench.run(hour(1))
    bench.run(hour(4))
    assert bench.tick(TICK) == [hour(0), (hour(2), hour(3)), hour(5)]
    requests = asked_for(bench.sync, TICK, bench.instance)
    assert isinstance(requests, list)
    priorities = [int(request.tags["dagster/priority"]) for request in requests]
    assert priorities == sorted(priorities, reverse=True)


def test_failed_windows_are_asked_for_again(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """So are windows whose run broke, whose rows are unproven, and windows that were fine until their last run failed."""
    bench = bench_of()
    bench.run(hour(0), hour(5))
    imports.error = Unavailable("no answer")
    bench.run(hour(1))
    imports.error = None
    imports.results[hour(3)] = Result(read=10, imported=9, unknown=1)
    bench.run(hour(2), hour(4))
    assert bench.tick(TICK) == [hour(1), hour(3)]
    imports.results.clear()
    bench.run(hour(1), hour(3))
    assert bench.tick(TICK) == []


def test_windows_on_their_way_are_left_alone(bench_of: Callable[..., Bench]) -> None:
    """Windows of runs that have not started or not ended, from the UI or from this schedule, are not asked for twice."""
    bench = bench_of()
    launch(bench, {"dagster/partition": hour(1)}, dg.DagsterRunStatus.NOT_STARTED, job=None)
    launch(
        bench, {"dagster/asset_partition_range_start": hour(3), "dagster/asset_partition_range_end": hour(4)}, dg.DagsterRunStatus.STARTED
    )
    assert bench.tick(TICK) == [hour(0), hour(2), hour(5)]


def test_windows_that_wait_in_a_backfill_are_left_alone(bench_of: Callable[..., Bench]) -> None:
    """A backfill that has launched only its first run holds the other windows; they are asked for again once it is over."""
    bench = bench_of()
    waiting = backfill(bench, [hour(0), hour(1), hour(2)], launched=[hour(0)])
    bench.instance.add_backfill(waiting)
    assert bench.tick(TICK) == [hour(0), (hour(3), hour(5))]
    bench.instance.update_backfill(waiting.with_status(BulkActionStatus.CANCELED))
    assert bench.tick(TICK) == [(hour(0), hour(5))]


def test_a_backfill_over_windows_of_another_frequency(bench_of: Callable[..., Bench]) -> None:
    """Dagster ends it when it sees other windows, so that a window which shares a key with one of them is asked for."""
    hours = bench_of()
    hours.instance.add_backfill(backfill(hours, [hour(0), hour(1)], launched=[]))
    assert bench_of(frequency="every_15_minutes").tick(TICK) == [(hour(0), "2024-03-04-05:45")]


def test_a_run_that_ended_without_success_frees_its_windows(bench_of: Callable[..., Bench]) -> None:
    """Windows of a cancelled run are asked for again."""
    bench = bench_of()
    run = launch(bench, {"dagster/partition": hour(1)}, dg.DagsterRunStatus.NOT_STARTED)
    assert hour(1) not in bench.tick(TICK)
    bench.instance.report_run_canceled(run)
    assert bench.tick(TICK) == [(hour(0), hour(5))]


def test_catch_up_bounds_how_far_a_tick_looks(bench_of: Callable[..., Bench]) -> None:
    """Windows that ended longer ago than `catch_up` are left to a backfill."""
    bench = bench_of(catch_up="2h")
    assert bench.tick(TICK) == [(hour(4), hour(5))]


def test_long_windows_are_found_inside_a_short_catch_up(bench_of: Callable[..., Bench]) -> None:
    """What counts is when a window ended: a month that began before `catch_up` is still asked for."""
    bench = bench_of(frequency="monthly", start="2023-01-01", catch_up="7d")
    assert bench.tick(datetime(2024, 3, 1, 0, 5, tzinfo=UTC)) == ["2024-02-01"]


def test_a_tick_is_bounded(bench_of: Callable[..., Bench]) -> None:
    """A run takes at most 100 windows and a tick asks for at most 10 runs; the next tick asks for the rest."""
    bench = bench_of(frequency="every_15_minutes", start="2023-01-01", catch_up="100d")
    ranges = bench.tick(TICK)
    assert len(ranges) == 10
    keys = partitions(bench.sync).get_partition_keys(current_time=TICK)
    assert all(keys.index(end) - keys.index(start) == 99 for start, end in ranges)


def test_nothing_before_the_first_window_ends(bench_of: Callable[..., Bench]) -> None:
    """A sync that starts in the future asks for nothing yet."""
    bench = bench_of(start="2024-03-05")
    assert bench.tick(TICK) == []


def test_settle_beyond_the_frequency(bench_of: Callable[..., Bench]) -> None:
    """A daily window with 26 hours to settle is asked for at 02:00 of the day after the next, and no sooner."""
    bench = bench_of(frequency="daily", start="2024-03-01", settle="26h")
    schedule = bench.defs.resolve_schedule_def("klaviyo_loyalty")
    assert schedule.cron_schedule == "0 2 * * *"
    assert bench.tick(datetime(2024, 3, 3, 2, 0, tzinfo=UTC)) == ["2024-03-01"]


def test_every_hour_of_a_night_that_is_an_hour_longer(bench_of: Callable[..., Bench]) -> None:
    """When clocks go back, the repeated hour is a window of its own, and each is asked for."""
    zone = "America/New_York"
    bench = bench_of(start="2024-11-03", modified_at={"column": "updated_at", "timezone": zone})
    ticks = [datetime(2024, 11, 3, 5, 5, tzinfo=UTC) + timedelta(hours=hours) for hours in range(4)]
    assert [bench.tick(tick.astimezone(ZoneInfo(zone)))[-1] for tick in ticks] == [
        "2024-11-03-00:00",
        ("2024-11-03-00:00", "2024-11-03-01:00"),
        ("2024-11-03-00:00", "2024-11-03-01:00-0500"),
        ("2024-11-03-00:00", "2024-11-03-02:00"),
    ]


def test_the_day_before_a_night_that_is_an_hour_shorter(bench_of: Callable[..., Bench]) -> None:
    """When clocks go forward, the day's only tick comes early, and still finds the day before due."""
    zone = ZoneInfo("America/New_York")
    bench = bench_of(frequency="daily", start="2024-03-09", settle="3h", modified_at={"column": "updated_at", "timezone": zone.key})
    assert bench.defs.resolve_schedule_def("klaviyo_loyalty").cron_schedule == "0 3 * * *"
    assert bench.tick(datetime(2024, 3, 10, 3, 0, tzinfo=zone)) == ["2024-03-09"]


def test_what_a_tick_asks_for_runs(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """The requests of a tick are what the job takes, through Dagster's own evaluation; after them nothing is missing."""
    with dg.DagsterInstance.local_temp(overrides={"telemetry": {"enabled": False}, "nux": {"enabled": False}}) as instance:
        bench = replace(bench_of(), instance=instance)
        bench.run(hour(1))
        imports.asked.clear()
        repository = bench.defs.get_repository_def()
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=TICK, repository_def=repository)
        tick = repository.get_schedule_def("klaviyo_loyalty").evaluate_tick(context)
        job = bench.defs.resolve_job_def("klaviyo_loyalty")
        for request in tick.run_requests or []:
            assert job.execute_in_process(tags=request.tags, partition_key=request.partition_key, instance=instance).success
        assert imports.asked == [[hour(0)], [hour(2), hour(3), hour(4), hour(5)]]
        assert bench.tick(TICK) == []


def launch(bench: Bench, tags: dict[str, str], status: dg.DagsterRunStatus, job: str | None = "klaviyo_loyalty") -> dg.DagsterRun:
    """A run as a launch stores it, from the job or (without one) from the asset's page, that has got so far and no further."""
    if job is None:
        selected = bench.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={KEY})
        return bench.instance.create_run_for_job(selected, tags=tags, status=status, asset_selection=frozenset({KEY}))
    return bench.instance.create_run_for_job(bench.defs.resolve_job_def(job), tags=tags, status=status)
