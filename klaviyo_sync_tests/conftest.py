"""The whole suite: how many workers, how many examples of a property, and one line about what was skipped."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import settings

MOST_WORKERS = 8

# `make test` runs the first, `make check` the second (--hypothesis-profile=long). A property whose examples are dear says so
# with how_many.examples.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=200)
settings.load_profile("quick")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker for each core, at least two: many tests wait for a server."""
    return min(max(os.cpu_count() or 1, 2), MOST_WORKERS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says in one line how many tests were skipped, and why."""
    reasons = Counter(reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        listed = "; ".join(f"{count}: {why}" for why, count in reasons.most_common())
        terminalreporter.write_line(f"skipped {reasons.total()}, of these {listed}")


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test or a file was skipped."""
    longrepr = report.longrepr
    return longrepr[2].removeprefix("Skipped: ") if isinstance(longrepr, tuple) else str(longrepr)
