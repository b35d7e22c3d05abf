"""From the batches of a warehouse to the rows that go out: each with its window, the newest of each profile only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.cleaning.cells import Flag
from klaviyo_sync.core.consent import Statements
from klaviyo_sync.core.fold import OptOuts, stating
from klaviyo_sync.core.frames import Mask, arrow, frame_of, frame_with, keep_where, table_of, true_at
from klaviyo_sync.core.issue_frames import issue_frame, superseded_issues
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.left_out import leave_out, numbers_as_property
from klaviyo_sync.core.mapping import Mapped, Plan, map_frame, map_identifiers, map_maybe_opt_outs, map_repaired, map_statements
from klaviyo_sync.core.matching import path_of, shared
from klaviyo_sync.core.naming import row_name
from klaviyo_sync.core.query import bound_value, just_after
from klaviyo_sync.core.rivals import LATER, Merged, Rivals
from klaviyo_sync.core.survey import Survey
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window, reread_from

# Identifying columns are narrow: many rows at a time cost little memory, and save most of what each step costs whatever its size.
NOTICED_ROWS = 32_768


class Rows(NamedTuple):
    """Rows of the warehouse (the sync's columns), the position of each one's window in the run, and what they become.

    Those that are `held` are not to be sent now: they may have rivals, and come again if they turn out to be the newest. Of `superseded`
    rows nothing is sent: they come for their issues alone. `opt_outs` go out without any row.
    """

    frame: pd.DataFrame
    windows: np.ndarray
    mapped: Mapped
    held: Mask
    superseded: bool = False
    opt_outs: OptOuts | None = None


def edges(windows: Sequence[Window], plan: Plan) -> np.ndarray:
    """The ends of the windows, comparable with the values of `modified_at` (datetime64)."""
    return comparable([bound_value(window.end, plan.modified_kind, plan.zone) for window in windows])


def last_read(windows: Sequence[Window], plan: Plan, overlap: timedelta) -> np.ndarray:
    """From when on each window is the last one to read a row: neighbours read again what was changed less than `overlap` before them.

    One bound more than there are windows; comparable with the values of `modified_at` (datetime64).
    """
    cuts = (reread_from(moment, overlap) for moment in (windows[0].start, *(window.end for window in windows)))
    return comparable([bound_value(cut, plan.modified_kind, plan.zone, down=True) for cut in cuts])


def comparable(bounds: Iterable[datetime | date]) -> np.ndarray:
    """The bounds as datetime64 without a zone."""
    return np.array([bound.replace(tzinfo=None) if isinstance(bound, datetime) else bound for bound in bounds], dtype="datetime64[us]")


def window_positions(modified: pa.Array, ends: np.ndarray) -> np.ndarray:
    """The position of the window that holds each row; that of the first for rows from before it."""
    naive = modified.cast(pa.timestamp("us", modified.type.tz) if pa.types.is_timestamp(modified.type) else pa.timestamp("us"), safe=False)
    moments = naive.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    return np.searchsorted(ends, moments, side="right")


def joined(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The batches, as many together as make that number of rows."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= rows:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def narrowed(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """A copy of some columns of a batch, which keeps nothing of the batch itself alive."""
    columns = (batch.column(name) for name in names)
    return pa.RecordBatch.from_arrays([pa.concat_arrays([cells, cells.slice(0, 0)]) for cells in columns], names=list(names))


def notice_all(
    batches: Iterable[pa.RecordBatch], plan: Plan, rivals: Rivals, survey: Survey | None = None, windows: Sequence[Window] = ()
) -> Plan:
    """The plan with what all these rows show together, once the rivals took note of each of them. A `survey` counts those of the windows.

    The batches have the plan's noticed columns at least.
    """
    ends = edges(windows, plan)
    for table in joined((narrowed(batch, plan.noticed_columns) for batch in batches), NOTICED_ROWS):
        frame = frame_of(table)
        identifiers = map_identifiers(frame, plan)
        rivals.notice(identifiers, map_repaired(frame, by_path(identifiers), plan))
        if survey is not None:
            survey.notice(frame, identifiers, window_positions(arrow(frame[plan.modified_at]), ends), plan)
        plan = plan.noticing(frame)
    return plan


def newest_rows(
    batches: Iterable[pa.RecordBatch],
    later: Iterable[pa.RecordBatch],
    plan: Plan,
    rivals: Rivals,
    tally: Tally,
    *,
    overlap: timedelta = timedelta(0),
) -> Iterator[Rows]:
    """The rows to send, given that the rivals took note of all. Rows without a rival go at once; the others are held until all are read.

    `batches` hold the rows of the windows, `later` the plan's noticed columns of those changed after them. Counts what was read and
    what is superseded. Rows from before the first window are the first one's: it reaches back, by its `overlap` or to the beginning.
    """
    ends, cuts = edges(tally.windows, plan), last_read(tally.windows, plan, overlap)

    def read(batch: pa.RecordBatch) -> Rows:
        frame = frame_of(batch)
        modified = arrow(frame[plan.modified_at])
        windows = window_positions(modified, ends)
        tally.count("read", windows)
        tally.count_for_good(window_positions(modified, cuts) - 1)
        mapped = map_frame(frame, plan)
        contested = rivals.contested(mapped.profiles, mapped.repaired)
        rivals.add(frame, mapped.profiles, windows, contested, mapped.statements, repaired=mapped.repaired)
        nobody = nobodies(mapped, plan)
        mapped = stating_nothing(mapped, contested & nobody)
        return Rows(frame, windows, numbers_as_property(mapped, plan), held=contested & ~nobody)

    # map, not a loop: no name here keeps the last frame alive while the next one is made.
    yield from map(read, batches)
    if rivals.waiting:
        rivals.flush()
        for table in joined(later, NOTICED_ROWS):
            add_later(frame_of(table), plan, rivals)
        for frame, windows, nobody in rivals.of_nobody():
            yield Rows(frame, windows, map_frame(frame, plan, nobody), held=np.zeros(len(frame), dtype=bool))
        rivals.rank()
        for merged in rivals.merged():
            yield merged_rows(merged, plan)
        for frame, windows, nobody in rivals.superseded_maybe_opt_outs():
            yield Rows(frame, windows, map_maybe_opt_outs(frame, plan, nobody), held=np.ones(len(frame), dtype=bool), superseded=True)
        for frame, windows, without, statements, nobody in rivals.newest():
            mapped = numbers_as_property(stating(map_frame(frame, plan, nobody), statements), plan)
            for path, where in without.items():
                mapped = leave_out(mapped, plan, path, where, shared(path))
            yield Rows(frame, windows, mapped, held=np.zeros(len(frame), dtype=bool))
        for opt_outs in rivals.opt_outs():
            yield without_rows(opt_outs, plan)
        tally.add_counts("superseded", rivals.superseded)
        tally.add_asides(rivals.asides)
        rivals.drop()


def after_now(modified: pa.Array, plan: Plan) -> pa.Array:
    """Which values of `modified_at` are later than now (booleans)."""
    bound = bound_value(just_after(plan.now), plan.modified_kind, plan.zone, aligned=False)
    if pa.types.is_date(modified.type):  # an infinite day is no moment
        return pc.greater_equal(modified.cast(pa.date32()), pa.scalar(bound, pa.date32()))
    return pa.array(window_positions(modified, comparable([bound])) > 0)


def without_future(frame: pd.DataFrame, stated: Mapping[Channel, Statements], plan: Plan) -> tuple[pd.DataFrame, dict[Channel, Statements]]:
    """Later rows and their statements. Those of the future lose `modified_at`, so that they supersede nothing, and their subscribes."""
    modified = arrow(frame[plan.modified_at])
    future = after_now(modified, plan)
    if not pc.any(future).as_py():
        return frame, dict(stated)
    kept: dict[Channel, Statements] = {
        channel: each._replace(meaning=keep_where(pc.invert(pc.and_(future, pc.equal(each.meaning, "subscribe"))), each.meaning))
        for channel, each in stated.items()
    }
    cells = {name: arrow(frame[name]) for name in frame.columns}
    return frame_with({**cells, plan.modified_at: keep_where(pc.invert(future), modified)}), kept


def add_later(frame: pd.DataFrame, plan: Plan, rivals: Rivals) -> None:
    """Adds the contested ones of some rows that were changed after the windows, with what they state."""
    identifiers = map_identifiers(frame, plan)
    contested = rivals.contested(identifiers, map_repaired(frame, by_path(identifiers), plan))
    if not contested.any():
        return
    some = frame_of(table_of(frame).filter(pa.array(contested)))
    identifiers = map_identifiers(some, plan)
    repaired = map_repaired(some, by_path(identifiers), plan)
    statements = map_statements(some, by_path(identifiers), plan, repaired)
    some, statements = without_future(some, statements, plan)
    rivals.add(some, identifiers, np.full(len(some), LATER), np.ones(len(some), dtype=bool), statements, repaired=repaired)


def by_path(identifiers: pd.DataFrame) -> dict[str, pa.Array]:
    """The columns of a frame of identifiers."""
    return {path: arrow(identifiers[path]) for path in identifiers.columns}


def nobodies(mapped: Mapped, plan: Plan) -> Mask:
    """Which rows have no usable identifier: they are rejected, and have no rivals."""
    nobody = np.ones(len(mapped.profiles), dtype=bool)
    for target in plan.identifiers:
        nobody &= true_at(arrow(mapped.profiles[target.path]).is_null())
    return nobody


def stating_nothing(mapped: Mapped, where: Mask) -> Mapped:
    """The rows, some of them without their opt-outs for repaired addresses: those are compared with other rows' first."""
    if not where.any():
        return mapped
    keeps = pa.array(~where)
    left_out = {path: keep_where(keeps, cells) for path, cells in mapped.left_out.items()}
    statements = {}
    for channel, stated in mapped.statements.items():
        stays = pc.or_(keeps, stated.meaning.is_null())  # what is wrong with a cell is the reason that it states nothing
        flags = tuple((column, Flag(flag.code, pc.and_(flag.where, stays))) for column, flag in stated.flags)
        statements[channel] = Statements(keep_where(keeps, stated.meaning), keep_where(keeps, stated.at), stated.zoneless, flags)
    return replace(mapped, statements=statements, left_out=left_out)


def merged_rows(merged: Merged, plan: Plan) -> Rows:
    """Superseded rows with another identifier than the row in their place, each with an issue that names that row."""
    columns = {target.path: target.column for target in plan.identifiers}
    issues = superseded_issues([columns[path_of(code)] for code in merged.codes], merged.codes, list(map(row_name, merged.instead)))
    nothing = np.zeros(0, np.int64)
    mapped = Mapped(map_identifiers(merged.frame, plan), {}, issues, {}, nothing)
    return Rows(merged.frame, merged.windows, mapped, held=np.ones(len(merged.frame), dtype=bool), superseded=True)


def without_rows(opt_outs: OptOuts, plan: Plan) -> Rows:
    """Opt-outs that go out without any row."""
    nobody = frame_with({target.path: pa.array([], pa.string()) for target in plan.identifiers})
    nothing = Mapped(nobody, {}, issue_frame(()), {}, np.zeros(0, np.int64))
    return Rows(frame_with({}), np.zeros(0, np.int64), nothing, np.zeros(0, dtype=bool), opt_outs=opt_outs)
