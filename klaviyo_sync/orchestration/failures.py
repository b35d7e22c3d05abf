"""Failed runs: who must act, whether Dagster tries again, and a text that says what is safe to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from klaviyo_sync.core.errors import ConfigError, HaltedError, KlaviyoSyncError, Refused, SlotTakenError, Unavailable, withheld
from klaviyo_sync.core.stopping import Stop
from klaviyo_sync.core.windows import Window
from klaviyo_sync.orchestration.verdicts import counted, lasting

if TYPE_CHECKING:  # pyarrow and numpy, for a run only
    from klaviyo_sync.core.result import Result

RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
LISTED = 5
SAFE = "These windows stay missing; running them again is safe: it never overwrites newer data and never subscribes anyone again."

LET_IT_THROUGH = (
    "Look at the dataset; klaviyo-sync preview shows what it would do. If it is the truth, materialize the windows with the "
    "config let_through: true (Shift-click Materialize in the UI and choose the partition there), or raise stop_above. If it is not, "
    "correct the data: each tick of the schedule tries these windows again, one by one and after all others."
)

ASKED_AGAIN = "the schedule's next tick asks for these windows again; where no schedule is on, materialize them again."
UNPROVEN = f"Nothing: {ASKED_AGAIN} The other windows of this run are imported."
BUG = "Report this as a bug, with the place named above."

# The first kind that applies decides.
NEXT: dict[type[KlaviyoSyncError], tuple[bool, str]] = {
    HaltedError: (False, LET_IT_THROUGH),
    ConfigError: (False, "Correct the configuration and reload the code location; the schedule then asks for these windows again."),
    Refused: (False, "Ask the owner of the API key or of the warehouse rights; nothing changes until the rights do."),
    SlotTakenError: (False, f"Nothing: {ASKED_AGAIN} If the other run hangs, terminate it; if its machine died, mark it as cancelled."),
    Unavailable: (True, f"Nothing: Dagster tries again, and {ASKED_AGAIN}"),
}


def broken(sync_name: str, windows: Sequence[Window], error: Exception) -> dg.Failure:
    """A failure for a run that broke before it could say what became of its rows.

    The text of an error that is not one of ours is withheld: drivers like to quote the cell that they stumbled over.
    """
    for kind, (again, advice) in NEXT.items():
        if isinstance(error, kind):
            return failure(sync_name, windows, told(error), advice, again=again)
    return failure(sync_name, windows, told(error), BUG, again=True)


def told(error: Exception) -> str:
    """What may be said of an error: the kind and text of our own, the type and place of any other."""
    for kind in NEXT:
        if isinstance(error, kind):
            return f"{kind.__name__}: {error}"
    return withheld(error)


def unproven(sync_name: str, windows: Sequence[tuple[Window, Result, str]]) -> dg.Failure:
    """A failure for windows of which Klaviyo did not say what became of all rows and statements: (window, result, rejects file)."""
    listed = "; ".join(f"{window.key}: {unknown(result)} (see {file})" for window, result, file in windows[:LISTED])
    more = f"; and {len(windows) - LISTED} more windows" if len(windows) > LISTED else ""
    what = f"Klaviyo did not say whether these went in: {listed}{more}."
    return failure(sync_name, [window for window, _, _ in windows], what, UNPROVEN, again=False)


def halted(sync_name: str, windows: Sequence[Window], stops: Mapping[str, Stop], now: datetime) -> dg.Failure:
    """A failure for windows of a run that stopped themselves, with the number and age of the opt-outs that wait."""
    stopped = [window for window in windows if window.key in stops]
    listed = "; ".join(why(window.key, stops[window.key], now, alone=len(stopped) == 1) for window in stopped[:LISTED])
    more = f"; and {len(stopped) - LISTED} more windows" if len(stopped) > LISTED else ""
    others = "" if len(stopped) == len(windows) else " The other windows of this run went on."
    itself = "it stopped itself" if len(stopped) == 1 else "they stopped themselves"
    return failure(sync_name, stopped, f"HaltedError: {itself}: {listed}{more}.{others}", LET_IT_THROUGH, again=False)


def why(key: str, stop: Stop, now: datetime, *, alone: bool) -> str:
    """Why a window stopped itself, what was held back, and what became of its opt-outs; its key unless it is `alone`."""
    kept = "nothing was sent" if stop.waiting and not stop.sent else "everything but opt-outs was held back"
    if any(reason.limit == "clears" for reason in stop.reasons):
        kept = "no field was cleared"
    parts = [kept, *opt_out_words(stop.waiting, stop.sent, stop.since, now)]
    return f"{'' if alone else f'{key}: '}{stop.text} ({', '.join(parts)})"


def opt_out_words(waiting: int, sent: int, since: datetime, now: datetime) -> Iterator[str]:
    """How many opt-outs wait and for how long, and how many went out; nothing where there are none."""
    if waiting:
        moment = f"{since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        yield f"{counted(waiting, 'opt-out')} waiting for {lasting(now - since)}, since {moment}"
    if sent:
        yield f"{counted(sent, 'opt-out')} sent all the same"


def together(failures: Sequence[dg.Failure]) -> dg.Failure | None:
    """One failure that says what all of them say; None for none."""
    if len(failures) < 2:  # noqa: PLR2004
        return next(iter(failures), None)
    return dg.Failure(
        description="\n\n".join(one.description or "" for one in failures),
        metadata={**failures[0].metadata, "windows": [name for one in failures for name in listed_windows(one)]},
        allow_retries=False,
    )


def listed_windows(failed: dg.Failure) -> list[str]:
    """The windows that a failure names."""
    value = failed.metadata["windows"].value
    return [str(name) for name in value] if isinstance(value, list) else []


def unknown(result: Result) -> str:
    """What is not known of a window, as `3 rows, 1 consent statement, 2 clears`."""
    parts = {"row": result.unknown, "consent statement": result.unknown_statements, "clear": result.clears.unknown}
    return ", ".join(counted(count, noun) for noun, count in parts.items() if count)


def failure(sync_name: str, windows: Sequence[Window], what: str, advice: str, *, again: bool) -> dg.Failure:
    """A failure that names the sync, the windows, what happened and what to do."""
    first, last = windows[0].key, windows[-1].key
    which = f"window {first}" if len(windows) == 1 else f"{len(windows)} windows from {first} to {last}"
    return dg.Failure(
        description=f"Sync {sync_name}, {which}: {what}\nWhat to do: {advice}\n{SAFE}",
        metadata={"sync": sync_name, "windows": [window.key for window in windows]},
        allow_retries=again,
    )
