"""The whole suite: how many workers, in which order, how many examples of a property, and one line about what was skipped."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

MOST_WORKERS = 8

# Test files whose module fixture is dear: all their tests run in one worker, so that it is made once.
TOGETHER = ("end_to_end/test_demo_run.py", "end_to_end/test_demo_warehouse.py", "packaging/test_wheel.py", "ui/test_ui.py")

# Folders whose tests take longest. They begin first, so that short tests are left to share out among the workers at the end.
LONGEST = ("ui", "end_to_end", "packaging", "orchestration")

# `make test` runs the first, `make check` the second (--hypothesis-profile=long), `make versions` the third, for which a property
# is one more way to call what it depends on. A property whose examples are dear says so with how_many.examples.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=200)
settings.register_profile("versions", deadline=None, max_examples=5)
settings.load_profile("quick")

# Containers often forbid Python to keep what it has compiled. Every process that a test starts would compile Dagster and pandas
# again, which is half of the time that it takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell starts background jobs with Ctrl-C ignored, and so does many a CI. Tests interrupt themselves and what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Scheduling(LoadScopeScheduling):
    """Each test by itself to the next free worker, those of the files in TOGETHER in one.

    In place of marks and `--dist loadgroup`: pytest-xdist 3.8 loses the marks with pytest 9.2, without a word.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(TOGETHER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Which worker runs which test."""
    if missing := [file for file in TOGETHER if not (Path(__file__).parent / file).is_file()]:
        raise pytest.UsageError(f"TOGETHER in {__file__} names files that are not there: {', '.join(missing)}.")
    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are cores: many tests wait for a server or a process."""
    return min((os.cpu_count() or 1) + 1, MOST_WORKERS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest tests first, where they run in parallel."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: min((LONGEST.index(part) for part in item.path.parts if part in LONGEST), default=len(LONGEST)))


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from what imports have made, which lives as long as the tests.

    Each run collects once before it reads: 0.01 s in a process of its own, 0.4 s among the 600,000 objects of the whole suite.
    """
    gc.collect()
    gc.freeze()


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
