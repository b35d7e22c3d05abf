"""The tally: counts of every row by window, while a run goes on; results once it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from klaviyo_sync.core.result import FATES, IssueKind, Outcome, Result
from klaviyo_sync.core.windows import Window

PARTS = ("read", "superseded", "rejected", *FATES)


@dataclass
class Tally:
    """Counts by window. It knows of no row twice, and it holds numbers only: nothing in it grows with the rows."""

    windows: Sequence[Window]
    counts: dict[str, np.ndarray] = field(init=False)
    issues: list[Counter[IssueKind]] = field(init=False)
    jobs: list[tuple[str, ...]] = field(init=False)
    requests: np.ndarray = field(init=False)
    bytes: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.windows)
        self.counts = {part: np.zeros(size, np.int64) for part in PARTS}
        self.issues = [Counter() for _ in range(size)]
        self.jobs = [() for _ in range(size)]
        self.requests = np.zeros(size, np.int64)
        self.bytes = np.zeros(size, np.int64)

    def count(self, part: str, windows: np.ndarray) -> None:
        """Adds one to `part` for each row, `windows` being the position of each row's window."""
        self.counts[part] += np.bincount(windows, minlength=len(self.windows))

    def add_counts(self, part: str, counts: Mapping[int, int]) -> None:
        """Adds numbers of rows to `part`, by position of the window."""
        for window, number in counts.items():
            self.counts[part][window] += number

    def add_issues(self, issues: pd.DataFrame, windows: np.ndarray) -> None:
        """Counts issues (columns row, column, code) by window, column and code; `windows` has the window of each row."""
        if len(issues):
            where = windows[issues["row"].to_numpy()]
            kinds = zip(where.tolist(), issues["column"], issues["code"], strict=True)
            for (window, column, code), number in Counter(kinds).items():
                self.issues[window][IssueKind(column, code)] += number

    def add_outcome(self, outcome: Outcome) -> None:
        """Counts what became of a batch.

        Its jobs are named by every window that had rows in it, its bytes shared by rows, its requests counted for the
        first of these windows, so that results add up.
        """
        windows = outcome.rows.column("window").to_numpy()
        for position, fate in enumerate(FATES):
            self.count(fate, windows[outcome.fates == position])
        present, rows = np.unique(windows, return_counts=True)
        for window, number in zip(present, rows, strict=True):
            self.jobs[window] += outcome.jobs
            self.bytes[window] += round(outcome.bytes * number / len(windows))
        if len(present):
            self.requests[present[0]] += outcome.requests
        for row, reason in outcome.reasons.items():
            self.issues[windows[row]][IssueKind(reason.attribute or "", reason.code)] += 1

    def __str__(self) -> str:
        return ", ".join(f"{counts.sum():,} {part}" for part, counts in self.counts.items() if counts.any())

    def results(self) -> dict[str, Result]:
        """The result of each window, by its key."""
        return {
            window.key: Result(
                **{part: int(self.counts[part][position]) for part in PARTS},
                requests=int(self.requests[position]),
                bytes=int(self.bytes[position]),
                issues=self.issues[position],
                jobs=tuple(dict.fromkeys(self.jobs[position])),
            )
            for position, window in enumerate(self.windows)
        }
