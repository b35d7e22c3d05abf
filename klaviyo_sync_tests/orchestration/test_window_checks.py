"""Checks of single windows: right in single runs, in range runs, and when they are executed on their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from orchestration_bench import Bench, Imports

from klaviyo_sync.core.result import IssueKind, Result

GREEN, AMBER, RED = (True, "WARN"), (False, "WARN"), (False, "ERROR")
FIRST, SECOND, THIRD = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00"
PER_WINDOW = ("mapping", "consent", "delivery", "accounting")


def test_a_single_run_checks_its_window(bench_of: Callable[..., Bench]) -> None:
    """A clean window is green in every check."""
    bench = bench_of()
    assert bench.run(FIRST).success
    assert bench.imported() == {FIRST}
    assert {name: bench.checks(name)[FIRST][0] for name in PER_WINDOW} == dict.fromkeys(PER_WINDOW, True)


def test_a_range_run_imports_once_and_checks_each_window(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """One import for neighbouring windows; the bad one in the middle is the only red one."""
    imports.results[SECOND] = Result(read=10, imported=8, rejected=2, issues=Counter({IssueKind("email", "missing_identifier"): 2}))
    bench = bench_of()
    assert bench.run(FIRST, THIRD).success
    assert imports.asked == [[FIRST, SECOND, THIRD]]
    assert bench.imported() == {FIRST, SECOND, THIRD}
    assert {window: passed for window, (passed, _) in bench.checks("mapping").items()} == {FIRST: True, SECOND: False, THIRD: True}
    assert bench.checks("mapping")[SECOND] == RED
