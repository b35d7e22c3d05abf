"""From the batches of a warehouse to the rows that go out: each with its window, the newest of each profile only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.frames import arrow, frame_of, true_at
from klaviyo_sync.core.mapping import Plan, identities
from klaviyo_sync.core.query import CONTESTED, bound_value
from klaviyo_sync.core.rivals import LATER, Rivals
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window


class Rows(NamedTuple):
    """Rows of the warehouse (the sync's columns), and the position of each one's window in the run."""

    frame: pd.DataFrame
    windows: np.ndarray


def edges(windows: Sequence[Window], plan: Plan) -> np.ndarray:
    """The ends of the windows, comparable with the values of `modified_at` (datetime64)."""
    bounds: list[datetime | date] = [bound_value(window.end, plan.modified_kind, plan.zone, aligned=True) for window in windows]
    naive = [bound.replace(tzinfo=None) if isinstance(bound, datetime) else bound for bound in bounds]
    return np.array(naive, dtype="datetime64[us]")


def window_positions(modified: pa.Array, ends: np.ndarray) -> np.ndarray:
    """The position of the window that holds each row, LATER for rows after the last.

    Rows from before the first window are the first one's: it reaches back, by its overlap or to the beginning.
    """
    naive = modified.cast(pa.timestamp("us", modified.type.tz) if pa.types.is_timestamp(modified.type) else pa.timestamp("us"), safe=False)
    moments = naive.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    positions = np.searchsorted(ends, moments, side="right")
    return np.where(positions == len(ends), LATER, positions)


def newest_rows(batches: Iterable[pa.RecordBatch], plan: Plan, rivals: Rivals, tally: Tally) -> Iterator[Rows]:
    """The rows to send. Rows that nobody contests flow through at once; the others wait in `rivals` until all are read.

    Counts what was read and what is superseded.
    """
    ends = edges(tally.windows, plan)
    for batch in batches:
        frame = frame_of(batch)
        windows = window_positions(arrow(frame[plan.modified_at]), ends)
        contested = true_at(arrow(frame.pop(CONTESTED)))
        tally.count("read", windows[windows != LATER])
        if contested.any():
            disputed = frame[contested].reset_index(drop=True)
            rivals.add(disputed, windows[contested], identities(disputed, plan))
            frame, windows = frame[~contested].reset_index(drop=True), windows[~contested]
        if len(frame):
            yield Rows(frame, windows)
    for frame, windows in rivals.newest():
        yield Rows(frame, windows)
    tally.add_counts("superseded", rivals.superseded)
