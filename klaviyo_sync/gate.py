"""The gate of a run: for each window it decides whether its rows go on to Klaviyo, by the limits of `stop_above`.

Windows that cannot exceed a limit by what a survey counted are let on as they are read. Small windows, and those that may exceed one,
wait on disk until all rows are read; then they are judged, oldest first, each by itself. A window that stops itself stays behind alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.consent_counts import ConsentCounts, added
from klaviyo_sync.core.consent_result import ConsentOutcome, opts_out
from klaviyo_sync.core.prepared import WINDOW, Prepared
from klaviyo_sync.core.reports import consent_lines
from klaviyo_sync.core.stopping import ENOUGH, Changes, Reason, Stop, just_before, reasons_to_stop
from klaviyo_sync.core.survey import Survey
from klaviyo_sync.core.sync import Channel, Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.tolerance import UNLIMITED
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.opt_outs import new_opt_outs, send_opt_outs
from klaviyo_sync.rejects import RejectsFiles
from klaviyo_sync.spool import Spool

ENOUGH_AT_ONCE = 5_000  # people about whom a few requests at a time are under way

Pieces = Iterator[tuple[pa.Array, pa.Table]]


@dataclass
class Gate:
    """What decides, and what it decided. Positions are those of windows in the run.

    `spool` has the rows that wait, `left_behind` the opt-outs of rows that stay behind. `before` are the results just before the run's
    windows, newest first. `ready` returns once Klaviyo may be asked. With `let_through` nothing stops, and `exceeded` has what would have.
    """

    sync: Sync
    windows: Sequence[Window]
    tally: Tally
    survey: Survey
    klaviyo: Klaviyo
    ready: Callable[[], None]
    files: RejectsFiles
    spool: Spool
    left_behind: Spool
    before: Sequence[Changes] = ()
    let_through: bool = False
    stopped: dict[int, tuple[Reason, ...]] = field(default_factory=dict)
    exceeded: dict[int, tuple[Reason, ...]] = field(default_factory=dict)
    judged: dict[int, Changes] = field(default_factory=dict)
    opt_outs: dict[int, Mapping[Channel, ConsentCounts]] = field(default_factory=dict)
    _waiting: set[int] | None = None

    def pass_on(self, ready: Prepared, windows: np.ndarray) -> Pieces:
        """Those of some prepared rows that go on at once; the others wait. `windows` has the window of each row that was read."""
        behind = ready.opt_outs[WINDOW].to_numpy()
        for window in np.unique(behind).tolist():
            self.left_behind.add_rows(window, ready.opt_outs.filter(pa.array(behind == window)))
        if self._waiting is None:
            self._waiting = set(filter(self._may_exceed, range(len(self.windows))))
        for window in set(np.unique(windows).tolist()) - self._waiting:
            if window in self.stopped or self._exceeds_already(window):
                self._waiting.add(window)
        return self._divided(ready, self._waiting) if self._waiting else ready.pieces()

    def released(self) -> Pieces:
        """The rows that waited and go on, once all are read.

        On the way opt-outs are sent: those of windows that stop themselves, and those of rows that stay behind.
        """
        earlier = list(self.before)
        for window in range(len(self.windows)):
            changes = self.tally.changes(window)
            before = just_before(changes.rows, earlier)
            reasons: tuple[Reason, ...] = self.stopped.get(window, ())
            if not reasons and window in (self._waiting or ()):
                changes = self._looked_up(window, changes, before)
                reasons = reasons_to_stop(self.sync.stop_above, changes, before)
            self.judged[window] = changes
            if reasons and self.let_through:
                self.exceeded[window] = (*reasons, *self.exceeded.get(window, ()))
            elif reasons:
                self.stopped[window] = reasons
            if window not in self.stopped and window not in self.exceeded:
                earlier.insert(0, changes)
            self._send_left_behind(window)
            for profiles, rows in self.spool.take(window):
                if window not in self.stopped:
                    yield profiles, rows
                elif not self._holds_opt_outs_back(window):
                    self._send_opt_outs(window, rows)
            self.spool.drop(window)

    def stopped_by_clears(self, clears: Mapping[int, int]) -> Collection[int]:
        """The windows whose clears may not be sent, given how many profiles more would lose a value in each."""
        for window, count in sorted(clears.items()):
            so_far = self.tally.changes(window)
            rows = max(so_far.rows, self.survey.changes(window).rows)
            own = replace(so_far, rows=rows, cleared=so_far.cleared + count)
            reasons = reasons_to_stop(self.sync.stop_above, own, just_before(rows, self._results_before(window, clears)))
            over = tuple(reason for reason in reasons if reason.limit == "clears")
            if over and self.let_through:
                self.exceeded[window] = (*(one for one in self.exceeded.get(window, ()) if one.limit != "clears"), *over)
            elif over:
                self.stopped.setdefault(window, over)
        return self.stopped.keys()

    def _results_before(self, window: int, clears: Mapping[int, int]) -> Iterator[Changes]:
        """What was imported just before a window, newest first, `clears` that are about to be sent among it."""
        for earlier in reversed(range(window)):
            if earlier not in self.stopped and earlier not in self.exceeded:
                changes = self.tally.changes(earlier)
                yield replace(changes, cleared=changes.cleared + clears.get(earlier, 0))
        yield from self.before

    def stops(self) -> dict[str, Stop]:
        """The windows that stopped themselves, by their keys."""
        return {self.windows[window].key: self._stop(window) for window in sorted(self.stopped)}

    def changes(self) -> dict[str, Changes]:
        """What the windows that went on changed, by their keys. Cleared profiles are counted by now."""
        done = {window: changes for window, changes in self.judged.items() if window not in self.stopped}
        sent = {window: self.tally.changes(window) for window in done}
        return {
            self.windows[window].key: replace(changes, imported=sent[window].imported, cleared=sent[window].cleared)
            for window, changes in done.items()
        }

    def _stop(self, window: int) -> Stop:
        opt_outs = self.opt_outs.get(window, {})
        waiting = sum(counts.unknown for counts in opt_outs.values())
        if self._holds_opt_outs_back(window):
            waiting += sum(self.judged[window].unsubscribes.values())
        return Stop(self.stopped[window], self.tally.changes(window).rows, waiting, self.windows[window].end, opt_outs)

    def _may_exceed(self, window: int) -> bool:
        changes = self.survey.changes(window)
        return changes.rows < ENOUGH or bool(reasons_to_stop(self.sync.stop_above, changes))

    def _exceeds_already(self, window: int) -> bool:
        """Whether a window that the survey let pass turns out otherwise: rows were too large, or the table changed meanwhile."""
        changes = self.tally.changes(window)
        return changes.rows >= ENOUGH and any(reason.limit != "clears" for reason in reasons_to_stop(self.sync.stop_above, changes))

    def _divided(self, ready: Prepared, waiting: Collection[int]) -> Pieces:
        """The pieces without the rows that wait."""
        for profiles, rows in ready.pieces():
            windows = rows[WINDOW].to_numpy()
            held = np.isin(windows, list(waiting))
            for window in np.unique(windows[held]).tolist():
                here = windows == window
                if self._only_opt_outs(window):
                    here &= opts_out(rows)
                self.spool.add(window, profiles.filter(pa.array(here)), rows.filter(pa.array(here)))
            if not held.any():
                yield profiles, rows
            elif not held.all():
                yield profiles.filter(pa.array(~held)), rows.filter(pa.array(~held))

    def _only_opt_outs(self, window: int) -> bool:
        """Whether it is certain already that of a window nothing but opt-outs goes out."""
        most, rows = self.sync.stop_above.rows, self.survey.changes(window).rows
        return window in self.stopped or (most is not None and min(rows, self.tally.changes(window).rows) > most and not self.let_through)

    def _looked_up(self, window: int, changes: Changes, before: Changes) -> Changes:
        """The changes less the opt-outs that Klaviyo holds already. It is asked only as long as that decides whether the window stops."""
        over = self._over_unsubscribes(changes, before)
        if not over:
            return changes
        self.ready()
        known_new = dict.fromkeys(changes.unsubscribes, 0)
        for rows in chain(self.left_behind.take_rows(window), (rows for _, rows in self.spool.take(window))):
            found, requests = new_opt_outs(self.klaviyo, rows, over)
            self.tally.consent_requests[window] += requests
            unsubscribes = dict(changes.unsubscribes)
            for channel in over:
                known_new[channel] += found[channel]
                unsubscribes[channel] -= int(opts_out(rows, [channel]).sum()) - found[channel]
            changes = replace(changes, unsubscribes=unsubscribes)
            certain = self._over_unsubscribes(replace(changes, unsubscribes=known_new), before)
            if certain or not self._over_unsubscribes(changes, before):
                break
        return changes

    def _over_unsubscribes(self, changes: Changes, before: Changes) -> list[Channel]:
        """The channels in which too many opt out."""
        limits = UNLIMITED.model_copy(update={"unsubscribes": self.sync.stop_above.unsubscribes})
        return [
            channel
            for channel, count in changes.unsubscribes.items()
            if reasons_to_stop(limits, replace(changes, unsubscribes={channel: count}), before)
        ]

    def _holds_opt_outs_back(self, window: int) -> bool:
        return any(reason.limit == "unsubscribes" for reason in self.stopped[window])

    def _send_left_behind(self, window: int) -> None:
        """Sends the opt-outs of the rows of a window that stay behind, unless the window holds opt-outs back."""
        if window not in self.stopped or not self._holds_opt_outs_back(window):
            for rows in gathered(self.left_behind.take_rows(window), ENOUGH_AT_ONCE):
                self._send_opt_outs(window, rows)
        self.left_behind.drop(window)

    def _send_opt_outs(self, window: int, rows: pa.Table) -> None:
        """Sends the opt-outs among some rows of a window whose profiles are not imported.

        A window that stopped itself is tried again and again: who subscribes in Klaviyo after its end is left alone.
        """
        leaving = rows.filter(pa.array(opts_out(rows)))
        if len(leaving):
            self.ready()
            until = self.windows[window].end if window in self.stopped else None
            self._count(window, send_opt_outs(self.klaviyo, leaving, until))

    def _count(self, window: int, outcome: ConsentOutcome) -> None:
        if window in self.stopped:
            self.opt_outs[window] = added(self.opt_outs.get(window, {}), outcome.counts())
        else:
            self.tally.add_consent(outcome)
        self.files.add(consent_lines(outcome, self.sync))


def gathered(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The tables, as many together as make that number of rows."""
    some: list[pa.Table] = []
    for table in tables:
        some.append(table)
        if sum(map(len, some)) >= rows:
            yield pa.concat_tables(some)
            some = []
    if some:
        yield pa.concat_tables(some)
