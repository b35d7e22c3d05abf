"""Rows that came after their window ran: when the warehouse is asked, what the check says, and what it says at other times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from orchestration_bench import ENVIRON, NOW, Bench, Imports

from klaviyo_sync.config import Project
from klaviyo_sync.core.result import Result
from klaviyo_sync.orchestration.assets import Importing
from klaviyo_sync.orchestration.build import build_definitions
from klaviyo_sync.orchestration.schedules import LATE_ROWS_JOB
from klaviyo_sync.rejects import Rejects

FIRST, SECOND, LAST = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-05:00"  # six windows had settled by 06:10


@pytest.fixture
def insert(tmp_path: Path) -> Callable[..., None]:
    """Puts rows with these times into the warehouse."""

    def rows(*times: str) -> None:
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            for time in times:
                connection.execute("INSERT INTO analytics.loyalty_members (customer_id, updated_at) VALUES ('x', ?)", [time])

    return rows


def seen(bench: Bench) -> dict[str, object]:
    """The numbers of late rows of the newest evaluation."""
    return {name: value.value for name, value in bench.check_metadata("completeness").items() if "late" in name and "_at" not in name}


def said(bench: Bench) -> str:
    """The words of the newest evaluation."""
    return bench.evaluations("completeness")[-1].description or ""


def test_late_rows_are_red_and_named(bench_of: Callable[..., Bench], imports: Imports, insert: Callable[..., None]) -> None:
    """Executed alone, the check asks the warehouse, and names the windows that hold more rows than they were the last to read."""
    imports.usual = Result(read=1, imported=1, read_for_good=1)
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert "late rows not counted yet" in said(bench)
    insert("2024-03-04 00:30", "2024-03-04 01:00", "2024-03-04 01:10", "2024-03-04 01:59:59.999999", "2024-03-04 06:05")
    assert bench.run(checks=["completeness"]).success
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    assert seen(bench) == {"late_rows": 2, "windows_with_late_rows": 1, "late_rows_by_window": [[SECOND, 2]]}
    assert "2 rows came late, in 1 of 6 windows (as counted at 2024-03-04 06:10 UTC): run these windows again" in said(bench)


def test_fewer_rows_are_no_finding(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Rows that were changed again are in a later window now: that a window holds fewer is as it should be."""
    imports.usual = Result(read=9, imported=9, read_for_good=9)
    bench = bench_of()
    bench.run(FIRST, LAST)
    bench.run(checks=["completeness"])
    assert bench.checks("completeness") == {None: (True, "WARN")}
    assert "no late rows in 6 windows" in said(bench)


def test_an_import_repeats_the_last_count(bench_of: Callable[..., Bench], imports: Imports, insert: Callable[..., None]) -> None:
    """A run over windows asks the warehouse nothing; it takes those that it imported off the list, and says as of when it is."""
    imports.usual = Result(read=0, imported=0)
    bench = bench_of()
    bench.run(FIRST, LAST)
    insert("2024-03-04 00:30", "2024-03-04 03:30", "2024-03-04 03:40")
    bench.run(checks=["completeness"])
    insert("2024-03-04 04:30")
    bench.run("2024-03-04-03:00")
    assert seen(bench) == {"late_rows": 1, "windows_with_late_rows": 1, "late_rows_by_window": [[FIRST, 1]]}
    bench.run(FIRST)
    assert "no late rows in 6 windows (as counted at" in said(bench)
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_at_most_twenty_are_named(bench_of: Callable[..., Bench], imports: Imports, insert: Callable[..., None]) -> None:
    """The oldest twenty windows are listed, all are counted, and those that were imported again are no longer counted."""
    imports.usual = Result(read=0, imported=0)
    bench = bench_of(start="2024-03-03 06:00")
    bench.run("2024-03-03-06:00", LAST)
    insert(*(f"2024-03-0{day} {hour:02}:30" for day in (3, 4) for hour in range(24)))
    bench.run(checks=["completeness"])
    found = seen(bench)
    assert (found["late_rows"], found["windows_with_late_rows"], len(found["late_rows_by_window"])) == (24, 24, 20)  # pyright: ignore[reportArgumentType]
    bench.run("2024-03-03-06:00", "2024-03-04-01:00")
    assert seen(bench) == {"late_rows": 4, "windows_with_late_rows": 4}


def test_windows_beyond_catch_up_are_not_counted(bench_of: Callable[..., Bench], imports: Imports, insert: Callable[..., None]) -> None:
    """The query is bounded by catch_up, whatever there is before it."""
    imports.usual = Result(read=0, imported=0)
    bench = bench_of(catch_up="2h")
    bench.run(FIRST, LAST)
    insert("2023-01-01", "2024-03-04 00:30")
    bench.run(checks=["completeness"])
    assert seen(bench) == {"late_rows": 0, "windows_with_late_rows": 0}
    assert "no late rows in 2 windows" in said(bench)


def test_windows_that_ran_with_another_overlap_are_left_out(
    bench_of: Callable[..., Bench], imports: Imports, insert: Callable[..., None]
) -> None:
    """What was counted up to another moment cannot be compared, and is not."""
    imports.usual = Result(read=0, imported=0)
    bench_of().run(FIRST, LAST)
    insert("2024-03-04 00:30")
    bench = bench_of(overlap="1h")
    bench.run(checks=["completeness"])
    assert "no late rows in 0 windows" in said(bench)
    bench.run(FIRST)
    insert("2024-03-03 23:30")
    bench.run(checks=["completeness"])
    assert seen(bench)["late_rows_by_window"] == [[FIRST, 1]]


def test_a_warehouse_that_cannot_be_asked(bench_of: Callable[..., Bench], imports: Imports, tmp_path: Path) -> None:
    """The check says why, keeps what was counted before, and is not green; its run succeeds."""
    imports.usual = Result(read=0, imported=0)
    bench = bench_of()
    bench.run(FIRST, LAST)
    bench.run(checks=["completeness"])
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("DROP TABLE analytics.loyalty_members")
    assert bench.run(checks=["completeness"]).success
    assert bench.checks("completeness") == {None: (False, "WARN")}
    assert "late rows could not be counted: ConfigError: " in said(bench)
    assert "no late rows in 6 windows (as counted at" in said(bench)
    assert str(bench.check_metadata("completeness")["late_rows_not_counted"].value).startswith("ConfigError: ")


def test_one_schedule_asks_for_all_syncs(project_of: Callable[..., Project], imports: Imports, tmp_path: Path) -> None:
    """One job checks syncs whose windows differ, one of which cannot be asked, and imports nothing; its schedule is off."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE there (id VARCHAR, updated_at TIMESTAMP)")
    plain = {"properties": {}, "consent": None}
    project = project_of(
        hours={**plain, "dataset": "there", "profile": {"external_id": "id"}},
        days={**plain, "dataset": "gone", "frequency": "daily", "start": "2024-03-01", "profile": {"phone_number": "phone"}},
    )
    defs = build_definitions(project, Importing(imports, lambda: Rejects("rejects"), clock=lambda: NOW), ENVIRON)
    assert defs.resolve_schedule_def(LATE_ROWS_JOB).default_status == dg.DefaultScheduleStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        for name, window in (("hours", "2024-03-04-00:00"), ("days", "2024-03-01")):
            job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection={dg.AssetKey(["klaviyo", name])})
            assert job.execute_in_process(instance=instance, partition_key=window).success
        imports.asked.clear()
        run = defs.resolve_job_def(LATE_ROWS_JOB).execute_in_process(instance=instance)
        assert run.success
        told = {evaluation.asset_key.path[-1]: evaluation.description or "" for evaluation in run.get_asset_check_evaluations()}
    assert imports.asked == []
    assert "no late rows in 1 window" in told["hours"]
    assert "could not be counted: ConfigError" in told["days"]
