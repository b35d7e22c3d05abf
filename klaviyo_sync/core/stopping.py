"""When a window stops itself: one that would change an absurd share of profiles is more often a mistake upstream than the truth.

Each window is judged by its own rows. A share says little of a few rows, so a window of fewer than ENOUGH rows is judged twice: by
itself, and together with the results of the windows just before it. Either way at least FEWEST rows must be affected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.core.tolerance import Limit, StopAbove

ENOUGH = 1_000
"""Rows from which on a window is judged by itself alone; smaller ones are judged with up to so many rows, their own among them."""

FEWEST = 20
"""Affected rows below which a share stops nothing: 2 opt-outs among 3 rows are an ordinary hour."""

MOST_RESULTS = 30
"""Results before a small window that are judged with it at most."""

LimitName = Literal["rows", "rejected", "merged", "subscribes", "unsubscribes", "clears"]


class Reason(NamedTuple):
    """A limit of `stop_above` that a window exceeds, and the sentence that says so with the numbers. It holds no cell."""

    limit: LimitName
    text: str


@dataclass(frozen=True)
class Changes:
    """What the rows of a window change, as far as `stop_above` limits it. Changes add up.

    `merged` are superseded rows with another identifier than the row that goes out in their place.

    `unsubscribes` are the opt-outs that Klaviyo does not hold yet; as long as Klaviyo was not asked, all of them. `imported` and
    `cleared` count profiles.
    """

    rows: int = 0
    rejected: int = 0
    subscribes: Mapping[Channel, int] = field(default_factory=dict)
    unsubscribes: Mapping[Channel, int] = field(default_factory=dict)
    imported: int = 0
    cleared: int = 0
    merged: int = 0

    def __add__(self, other: Changes) -> Changes:
        return Changes(
            self.rows + other.rows,
            self.rejected + other.rejected,
            summed(self.subscribes, other.subscribes),
            summed(self.unsubscribes, other.unsubscribes),
            self.imported + other.imported,
            self.cleared + other.cleared,
            self.merged + other.merged,
        )

    def share(self, rows: int) -> Changes:
        """The same in proportion for so many of its rows, rounded down."""
        return Changes(
            rows,
            self.rejected * rows // self.rows,
            {channel: count * rows // self.rows for channel, count in self.subscribes.items()},
            {channel: count * rows // self.rows for channel, count in self.unsubscribes.items()},
            self.imported * rows // self.rows,
            self.cleared * rows // self.rows,
            self.merged * rows // self.rows,
        )


NO_CHANGES = Changes()


@dataclass(frozen=True)
class Stop:
    """Why a window stopped itself, and what became of its opt-outs.

    `waiting` opt-outs were held back, or are not known to have arrived, and could have gone out from `since` on (the window's end).
    `opt_outs` are those that were not held back, by channel and fate.
    """

    reasons: tuple[Reason, ...]
    rows: int
    waiting: int
    since: datetime
    opt_outs: Mapping[Channel, ConsentCounts] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Opt-outs that went out all the same."""
        return sum(counts.unsubscribed for counts in self.opt_outs.values())

    @property
    def text(self) -> str:
        """The reasons in one line."""
        return "; ".join(reason.text for reason in self.reasons)


def summed(one: Mapping[Channel, int], other: Mapping[Channel, int]) -> dict[Channel, int]:
    """The counts of both, by channel in the catalogue's order."""
    return {channel: one.get(channel, 0) + other.get(channel, 0) for channel in CHANNELS if channel in one or channel in other}


def just_before(rows: int, results: Iterable[Changes]) -> Changes:
    """What a window of so many rows is judged together with, given the results before it, newest first.

    Nothing when the window has ENOUGH rows. Else the newest MOST_RESULTS results, up to ENOUGH rows with its own; of the oldest result
    of these only the share that completes them.
    """
    total = NO_CHANGES
    for position, result in enumerate(results):
        room = ENOUGH - rows - total.rows
        if room <= 0 or position == MOST_RESULTS:
            break
        total += result if result.rows <= room else result.share(room)
    return total


def reasons_to_stop(limits: StopAbove, own: Changes, before: Changes = NO_CHANGES) -> tuple[Reason, ...]:
    """Every limit that a window exceeds, given what it is judged together with (`just_before`)."""
    return tuple(exceeding(limits, own, before))


def exceeding(limits: StopAbove, own: Changes, before: Changes) -> Iterator[Reason]:
    """The same, one by one."""
    if limits.rows is not None and own.rows > limits.rows:
        yield Reason("rows", f"{own.rows:,} rows were read, and stop_above.rows is {limits.rows:,}")
    sizes = own.rows, before.rows
    if (beside := exceeded(limits.rejected, (own.rejected, before.rejected), sizes)) is not None:
        text = f"{own.rejected:,} of {own.rows:,} rows are rejected{beside}"
        yield Reason("rejected", f"{text}, and stop_above.rejected is {limits.rejected}")
    if (beside := exceeded(limits.merged, (own.merged, before.merged), sizes)) is not None:
        text = f"{own.merged:,} of {own.rows:,} rows are superseded by a row with another identifier{beside}"
        yield Reason("merged", f"{text}, and stop_above.merged is {limits.merged}")
    for channel in CHANNELS:
        counts = own.subscribes.get(channel, 0), before.subscribes.get(channel, 0)
        if (beside := exceeded(limits.subscribes, counts, sizes)) is not None:
            text = f"{counts[0]:,} of {own.rows:,} rows subscribe for {channel}{beside}"
            yield Reason("subscribes", f"{text}, and stop_above.subscribes is {limits.subscribes}")
        counts = own.unsubscribes.get(channel, 0), before.unsubscribes.get(channel, 0)
        if (beside := exceeded(limits.unsubscribes, counts, sizes)) is not None:
            text = f"{counts[0]:,} of {own.rows:,} rows newly unsubscribe for {channel}{beside}"
            yield Reason("unsubscribes", f"{text}, and stop_above.unsubscribes is {limits.unsubscribes}")
    # Clears are known batch by batch: the first few profiles of a large window say nothing of it yet.
    judged = own.rows < ENOUGH or own.imported >= ENOUGH or (limits.clears is not None and limits.clears.share is None)
    if judged and (beside := exceeded(limits.clears, (own.cleared, before.cleared), (own.imported, before.imported))) is not None:
        text = f"NULLs would clear values of {own.cleared:,} of the first {own.imported:,} profiles{beside}"
        yield Reason("clears", f"{text}, and stop_above.clears is {limits.clears}")


def exceeded(limit: Limit | None, counts: tuple[int, int], rows: tuple[int, int]) -> str | None:
    """None when not too many rows are affected; else what a reason says of the results that the window was judged with, often nothing.

    `counts` and `rows` are those of the window and of the results before it. A number of rows counts at once, and for the window alone.
    """
    (own, earlier), (own_rows, earlier_rows) = counts, rows
    if limit is None:
        return None
    if limit.exceeded_by(own, own_rows) and (limit.share is None or own >= FEWEST or own_rows >= ENOUGH):
        return ""
    total, all_rows = own + earlier, own_rows + earlier_rows
    together = limit.share is not None and own and earlier_rows and own_rows < ENOUGH
    if together and total >= FEWEST and limit.exceeded_by(total, all_rows):
        return f", with the results just before it {total:,} of {all_rows:,}"
    return None
