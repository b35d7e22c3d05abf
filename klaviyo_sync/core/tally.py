"""The tally: counts of every row by window, while a run goes on; results once it is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.clear_result import ClearOutcome
from klaviyo_sync.core.clearing import anything
from klaviyo_sync.core.consent_counts import ConsentCounts, added
from klaviyo_sync.core.consent_reasons import UNDATED
from klaviyo_sync.core.consent_result import MEANINGS, ConsentOutcome, by_meaning, opts_out, stated_channels, stated_column
from klaviyo_sync.core.fold import Aside
from klaviyo_sync.core.frames import true_at
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.prepared import WINDOW, Prepared
from klaviyo_sync.core.result import FATES, IssueKind, Outcome, Result, merged_rows
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.core.windows import Window

OPT_OUT = MEANINGS.index("unsubscribe").as_py()
PARTS = ("read", "superseded", "rejected", *FATES)


@dataclass
class Tally:
    """Counts by window. It knows of no row twice, and it holds numbers only: nothing in it grows with the rows."""

    windows: Sequence[Window]
    counts: dict[str, np.ndarray] = field(init=False)
    read_for_good: np.ndarray = field(init=False)
    issues: list[Counter[IssueKind]] = field(init=False)
    jobs: list[tuple[str, ...]] = field(init=False)
    requests: np.ndarray = field(init=False)
    bytes: np.ndarray = field(init=False)
    consent: list[dict[Channel, ConsentCounts]] = field(init=False)
    phone_requests: np.ndarray = field(init=False)
    consent_requests: np.ndarray = field(init=False)
    clears: list[ClearCounts] = field(init=False)
    clear_requests: np.ndarray = field(init=False)
    meanings: dict[Channel, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.windows)
        self.counts = {part: np.zeros(size, np.int64) for part in PARTS}
        self.read_for_good = np.zeros(size, np.int64)
        self.issues = [Counter() for _ in range(size)]
        self.jobs = [() for _ in range(size)]
        self.requests = np.zeros(size, np.int64)
        self.bytes = np.zeros(size, np.int64)
        self.consent = [{} for _ in range(size)]
        self.phone_requests = np.zeros(size, np.int64)
        self.consent_requests = np.zeros(size, np.int64)
        self.clears = [ClearCounts()] * size
        self.clear_requests = np.zeros(size, np.int64)
        self.meanings = {}

    def count(self, part: str, windows: np.ndarray) -> None:
        """Adds one to `part` for each row, `windows` being the position of each row's window."""
        self.counts[part] += np.bincount(windows, minlength=len(self.windows))

    def count_for_good(self, windows: np.ndarray) -> None:
        """Counts rows by the last window that reads them; positions beyond the run's windows are those of others."""
        ours = windows[(windows >= 0) & (windows < len(self.windows))]
        self.read_for_good += np.bincount(ours, minlength=len(self.windows))

    def add_counts(self, part: str, counts: Mapping[int, int]) -> None:
        """Adds numbers of rows to `part`, by position of the window."""
        for window, number in counts.items():
            self.counts[part][window] += number

    def add_phone_requests(self, window: int, requests: int) -> None:
        """Adds requests that asked Klaviyo who has a phone number, for the position of a window."""
        self.phone_requests[window] += requests

    def add_issues(self, issues: pd.DataFrame, windows: np.ndarray) -> None:
        """Counts issues (columns row, column, code) by window, column and code; `windows` has the window of each row."""
        if len(issues):
            where = windows[issues["row"].to_numpy()]
            kinds = zip(where.tolist(), issues["column"], issues["code"], strict=True)
            for (window, column, code), number in Counter(kinds).items():
                self.issues[window][IssueKind(column, code)] += number

    def add_prepared(self, ready: Prepared, windows: np.ndarray) -> None:
        """Counts what could not go out, every statement of consent, and every profile with fields to clear.

        `windows` has the window of each row that was prepared.
        """
        self.count("rejected", windows[ready.rejected])
        self.add_issues(ready.issues, windows)
        going = ready.rows.column(WINDOW).to_numpy()
        for window, number in enumerate(np.bincount(going[anything(ready.rows)], minlength=len(self.windows)).tolist()):
            self.clears[window] += ClearCounts(to_clear=number)
        for channel in stated_channels(ready.rows):
            stated = ready.rows.column(stated_column(channel))
            self.add_statements(channel, ConsentCounts(stated=1), going[stated.is_valid().to_numpy()])
            self.count_meanings(channel, stated, going)
        behind = ready.opt_outs.column(WINDOW).to_numpy()
        for channel in stated_channels(ready.opt_outs):
            leaving = behind[opts_out(ready.opt_outs, [channel])]
            self.add_statements(channel, ConsentCounts(stated=1), leaving)
            self.meanings_of(channel)[:, OPT_OUT] += np.bincount(leaving, minlength=len(self.windows))
        for channel, rows in ready.rejected_statements.items():
            self.add_statements(channel, ConsentCounts(stated=1, rejected=1), windows[rows])

    def add_asides(self, asides: Iterable[Aside]) -> None:
        """Counts statements that do not go out, since others count in their place."""
        for window, channel, fate, code, number in asides:
            counts = replace(ConsentCounts(stated=number), **{fate: number})
            self.consent[window] = added(self.consent[window], {channel: counts})
            if code:
                self.issues[window][IssueKind(channel, code)] += number

    def add_statements(self, channel: Channel, one: ConsentCounts, windows: np.ndarray) -> None:
        """Adds one statement's counts for each of these windows."""
        for window, number in enumerate(np.bincount(windows, minlength=len(self.windows)).tolist()):
            self.consent[window] = added(self.consent[window], {channel: one * number})

    def count_meanings(self, channel: Channel, stated: pa.ChunkedArray, windows: np.ndarray) -> None:
        """Counts what rows that go out state for a channel (STATED), by the window of each."""
        counts = self.meanings_of(channel)
        words = stated.cast(pa.string()).combine_chunks()
        for position, meaning in enumerate(MEANINGS.to_pylist()):
            states = true_at(pc.equal(words, meaning))
            counts[:, position] += np.bincount(windows[states], minlength=len(self.windows))

    def meanings_of(self, channel: Channel) -> np.ndarray:
        """The statements for a channel that go out: a line per window, a column per entry of MEANINGS."""
        return self.meanings.setdefault(channel, np.zeros((len(self.windows), len(MEANINGS)), np.int64))

    def changes(self, window: int) -> Changes:
        """What the rows of a window change, as far as it was read and sent."""
        subscribes, unsubscribes = by_meaning(self.meanings, window)
        return Changes(
            int(self.counts["read"][window]),
            int(self.counts["rejected"][window]),
            subscribes,
            unsubscribes,
            int(self.counts["imported"][window]),
            self.clears[window].cleared,
            merged_rows(self.issues[window]),
        )

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

    def add_consent(self, outcome: ConsentOutcome) -> None:
        """Counts what became of a batch's statements; its requests count for the first of the windows that had rows in it."""
        windows = outcome.rows.column(WINDOW).to_numpy()
        present = np.unique(windows)
        for window in present.tolist():
            fates = outcome.counts(window)
            # They were counted as stated when they were read: only so does the equation show a lost one.
            self.consent[window] = added(self.consent[window], {channel: replace(counts, stated=0) for channel, counts in fates.items()})
        if len(present):
            self.consent_requests[present[0]] += outcome.requests
        for (row, channel), reason in outcome.reasons.items():
            self.issues[windows[row]][IssueKind(channel, reason.code)] += 1
        for row, channel in outcome.undated:
            self.issues[windows[row]][IssueKind(channel, UNDATED)] += 1

    def add_clears(self, outcome: ClearOutcome) -> None:
        """Counts what became of a batch's clears; its requests count for the first of the windows that had rows in it."""
        windows = outcome.rows.column(WINDOW).to_numpy()
        present = np.unique(windows)
        for window in present.tolist():
            # They were counted as to be cleared when they were read: only so does the equation show a lost one.
            self.clears[window] += replace(outcome.counts(window), to_clear=0)
        if len(present):
            self.clear_requests[present[0]] += outcome.requests
        for row, reason in outcome.reasons.items():
            self.issues[windows[row]][IssueKind(reason.attribute or "", reason.code)] += 1

    def __str__(self) -> str:
        return ", ".join(f"{counts.sum():,} {part}" for part, counts in self.counts.items() if counts.any())

    def results(self) -> dict[str, Result]:
        """The result of each window, by its key."""
        return {
            window.key: Result(
                **{part: int(self.counts[part][position]) for part in PARTS},
                read_for_good=int(self.read_for_good[position]),
                requests=int(self.requests[position]),
                bytes=int(self.bytes[position]),
                phone_requests=int(self.phone_requests[position]),
                consent_requests=int(self.consent_requests[position]),
                consent=self.consent[position],
                clear_requests=int(self.clear_requests[position]),
                clears=self.clears[position],
                issues=self.issues[position],
                jobs=tuple(dict.fromkeys(self.jobs[position])),
            )
            for position, window in enumerate(self.windows)
        }
