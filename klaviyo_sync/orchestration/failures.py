"""Failed runs: who must act, whether Dagster tries again, and a text that says what is safe to do next."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.core.windows import Window

RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
SAFE = "These windows stay missing; running them again is safe: it never overwrites newer data and never subscribes anyone again."

NEXT: dict[type[KlaviyoSyncError], tuple[bool, str]] = {
    ConfigError: (False, "Correct the configuration and reload the code location; the schedule then asks for these windows again."),
    Refused: (False, "Ask the owner of the API key or of the warehouse rights; nothing changes until the rights do."),
    Unavailable: (True, "Nothing: Dagster tries again, and the schedule's next tick asks for these windows again."),
}


def broken(sync_name: str, windows: Sequence[Window], error: Exception) -> dg.Failure:
    """A failure for a run that broke before it could say what became of its rows.

    The text of an error that is not one of ours is withheld: drivers like to quote the cell that they stumbled over.
    """
    for kind, (again, advice) in NEXT.items():
        if isinstance(error, kind):
            return failure(sync_name, windows, f"{kind.__name__}: {error}", advice, again=again)
    frames = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    what = f"{type(error).__module__}.{type(error).__qualname__} (text withheld, it may quote a cell) at {' > '.join(frames[-6:])}"
    return failure(sync_name, windows, what, "Report this as a bug, with the place named above.", again=True)


def unproven(sync_name: str, rows: Sequence[tuple[Window, int, str]]) -> dg.Failure:
    """A failure for windows of which Klaviyo did not say whether all rows were imported: (window, unknown rows, rejects file)."""
    listed = "; ".join(f"{window.key}: {count:,} (see {file})" for window, count, file in rows[:5])
    more = f"; and {len(rows) - 5} more windows" if len(rows) > 5 else ""  # noqa: PLR2004 - as many as listed
    what = f"Klaviyo did not say whether these rows were imported: {listed}{more}."
    advice = "Nothing: the schedule's next tick asks for these windows again. The other windows of this run are imported."
    return failure(sync_name, [window for window, _, _ in rows], what, advice, again=False)


def failure(sync_name: str, windows: Sequence[Window], what: str, advice: str, *, again: bool) -> dg.Failure:
    """A failure that names the sync, the windows, what happened and what to do."""
    first, last = windows[0].key, windows[-1].key
    which = f"window {first}" if len(windows) == 1 else f"{len(windows)} windows from {first} to {last}"
    return dg.Failure(
        description=f"Sync {sync_name}, {which}: {what}\nWhat to do: {advice}\n{SAFE}",
        metadata={"sync": sync_name, "windows": [window.key for window in windows]},
        allow_retries=again,
    )
