"""When a run stops itself: a window that would change an absurd share of profiles is more often a mistake upstream than the truth."""

from __future__ import annotations

from collections.abc import Iterator

from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.tolerance import Limit, StopAbove

ENOUGH = 1_000


def stop_if_absurd(limits: StopAbove, tally: Tally) -> None:
    """Returns when a run may go on, judged by all that was read so far. Raises HaltedError with every reason when it may not."""
    reasons = list(reasons_to_stop(limits, tally))
    if reasons:
        raise HaltedError(f"The run stopped itself before it went on: {'; '.join(reasons)}.")


def stop_if_wiping(limits: StopAbove, tally: Tally, clears: int) -> None:
    """Returns when so many profiles more may be cleared, judged by all that were imported so far. Raises HaltedError when not.

    Klaviyo was asked: only profiles that hold a value count, so a column that is mostly empty in both places stops nothing.
    """
    imported = int(tally.counts["imported"].sum())
    cleared = clears + sum(counts.cleared for counts in tally.clears)
    if exceeded(limits.clears, cleared, imported):
        raise HaltedError(
            "The run stopped itself before it went on: "
            f"NULLs would clear values of {cleared:,} of the first {imported:,} profiles, and stop_above.clears is {limits.clears}."
        )


def reasons_to_stop(limits: StopAbove, tally: Tally) -> Iterator[str]:
    """What exceeds its limit, in words."""
    read = int(tally.counts["read"].sum())
    if limits.rows is not None and read > limits.rows:
        yield f"{read:,} rows were read so far, and stop_above.rows is {limits.rows:,}"
    if exceeded(limits.rejected, rejected := int(tally.counts["rejected"].sum()), read):
        yield f"{rejected:,} of the first {read:,} rows are rejected, and stop_above.rejected is {limits.rejected}"
    for (channel, meaning), count in sorted(tally.meanings.items()):
        limit = limits.subscribes if meaning == "subscribe" else limits.unsubscribes
        if exceeded(limit, count, read):
            yield f"{count:,} of the first {read:,} rows {meaning} for {channel}, and stop_above.{meaning}s is {limit}"


def exceeded(limit: Limit | None, count: int, read: int) -> bool:
    """Whether so many rows are too many. A share says nothing of a few rows."""
    return limit is not None and (limit.share is None or read >= ENOUGH) and limit.exceeded_by(count, read)
