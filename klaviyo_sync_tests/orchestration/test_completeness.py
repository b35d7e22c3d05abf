"""The check of a sync as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from orchestration_bench import Bench, Imports

from klaviyo_sync.core.result import IssueKind, Result

FIRST, LAST = "2024-03-04-00:00", "2024-03-04-05:00"  # six windows had settled by 06:10


def test_missing_windows_warn(bench_of: Callable[..., Bench]) -> None:
    """Windows that the schedule will still ask for are amber, and the oldest is named."""
    bench = bench_of()
    bench.run("2024-03-04-02:00")
    assert bench.checks("completeness") == {None: (False, "WARN")}
    metadata = bench.check_metadata("completeness")
    assert (metadata["windows_due"].value, metadata["windows_missing"].value) == (6, 5)
    assert metadata["oldest_missing"].value == FIRST


def test_complete_is_green_and_runs_alone(bench_of: Callable[..., Bench]) -> None:
    """With every settled window imported the check passes, also when it is executed from the UI alone."""
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert bench.checks("completeness") == {None: (True, "WARN")}
    assert bench.run(checks=["completeness"]).success
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_a_window_waits_for_settle(bench_of: Callable[..., Bench]) -> None:
    """A window that closed less than `settle` ago is not missing yet."""
    bench = bench_of(now=datetime(2024, 3, 4, 6, 4, tzinfo=UTC))
    bench.run(FIRST, "2024-03-04-04:00")
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_windows_beyond_catch_up_are_an_error(bench_of: Callable[..., Bench]) -> None:
    """Nobody will ask for a window that lies further back than the schedule looks, so that one is red."""
    bench = bench_of(catch_up="2h")
    bench.run("2024-03-04-04:00", LAST)
    assert bench.checks("completeness") == {None: (False, "ERROR")}
    assert bench.check_metadata("completeness")["windows_missing_beyond_catch_up"].value == 4


def test_windows_with_failed_rows_are_counted_until_they_are_repaired(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """A window whose rows Klaviyo did not take, or would not clear, keeps the check amber until it is imported without failures."""
    uncleared = Counter({IssueKind("title", "clear_refused"): 1})
    imports.results[FIRST] = Result(read=10, imported=8, failed=1, refused=1, issues=uncleared)
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert bench.check_metadata("completeness")["windows_with_failed_rows"].value == 1
    assert bench.check_metadata("completeness")["failed_rows_by_window"].value == [[FIRST, 3]]
    imports.results.clear()
    bench.run(FIRST)
    assert bench.checks("completeness") == {None: (True, "WARN")}


def test_rows_without_a_date_are_named(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """Rows whose modified_at is NULL belong to no window; the check is not green over them."""
    imports.undated = 3
    bench = bench_of()
    bench.run(FIRST, LAST)
    assert bench.checks("completeness") == {None: (False, "WARN")}
    assert bench.check_metadata("completeness")["undated_rows"].value == 3
