"""Profiles that go again, once, without the cells that Klaviyo refused: how they are marked, gathered and told of.

They wait for each other, so that many go in one request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import orjson
import pyarrow as pa

from klaviyo_sync.core.packing import MAX_BYTES, MAX_PROFILES, Batch
from klaviyo_sync.core.refused_cells import RefusedCell, Trimmed, trimmed
from klaviyo_sync.core.result import FATES, Outcome, Reason

TAKEN_OUT = "taken_out"
"""The column of a batch's rows that holds what their profiles are sent without: JSON of Klaviyo's words by cell, NULL at first."""


@dataclass(frozen=True)
class Sending:
    """A batch to be sent, and what was spent on its rows before: the import jobs that ran, requests and bytes."""

    batch: Batch
    jobs: tuple[str, ...] = ()
    requests: int = 0
    bytes: int = 0


def marked(batch: Batch) -> Batch:
    """The batch with the column TAKEN_OUT."""
    if TAKEN_OUT in batch.rows.column_names:
        return batch
    return replace(batch, rows=batch.rows.append_column(TAKEN_OUT, pa.nulls(len(batch), pa.string())))


def went_again(rows: pa.Table, row: int) -> bool:
    """Whether a row of a batch is sent for the second time."""
    return TAKEN_OUT in rows.column_names and rows.column(TAKEN_OUT)[row].is_valid


def without_refused(profiles: pa.ChunkedArray, rows: pa.Table, named: Mapping[int, Sequence[RefusedCell | None]]) -> dict[int, Trimmed]:
    """Those of the named profiles, by their position, that go again, without the cells that Klaviyo named.

    Klaviyo's errors are given for each, None for one that names no cell.
    """
    found: dict[int, Trimmed] = {}
    for row, cells in named.items():
        known = [cell for cell in cells if cell is not None]
        if len(known) == len(cells) and not went_again(rows, row):
            fitting = trimmed(profiles[row].as_py(), known)
            if fitting is not None:
                found[row] = fitting
    return found


def replaced(batch: Batch, changed: Mapping[int, Trimmed]) -> Batch:
    """The marked batch with some profiles' texts in place of theirs, each row saying what was taken out."""
    if not changed:
        return batch
    texts: list[str] = batch.profiles.to_pylist()
    taken: list[str | None] = batch.rows.column(TAKEN_OUT).to_pylist()
    for row, one in changed.items():
        texts[row] = one.text
        taken[row] = orjson.dumps(one.cells).decode()
    rows = batch.rows.set_column(batch.rows.column_names.index(TAKEN_OUT), TAKEN_OUT, pa.array(taken, pa.string()))
    return Batch(batch.envelope, pa.chunked_array([pa.array(texts, pa.large_string())]), rows)


def divided(outcome: Outcome, going: Mapping[int, Trimmed]) -> tuple[Outcome, pa.Table]:
    """The outcome of the rows that are done with, and the rows that go again, in the order of `going`."""
    if not going:
        return outcome, outcome.rows.slice(0, 0)
    keep = np.ones(len(outcome.rows), bool)
    keep[list(going)] = False
    place = np.cumsum(keep) - 1
    reasons = {int(place[row]): reason for row, reason in outcome.reasons.items() if keep[row]}
    rest = replace(outcome, rows=outcome.rows.filter(pa.array(keep)), fates=outcome.fates[keep], reasons=reasons)
    return rest, outcome.rows.take(list(going))


def told(outcome: Outcome) -> Outcome:
    """The outcome as others read it: what rows went out without as `without`, or beside the reason for which they did not."""
    if TAKEN_OUT not in outcome.rows.column_names:
        return outcome
    taken = outcome.rows.column(TAKEN_OUT)
    rows = outcome.rows.drop_columns([TAKEN_OUT])
    if taken.null_count == len(taken):
        return replace(outcome, rows=rows)
    without: dict[int, tuple[Reason, ...]] = {}
    reasons = dict(outcome.reasons)
    for row, text in enumerate(taken.to_pylist()):
        if text is None:
            continue
        cells: dict[str, str] = orjson.loads(text)
        if FATES[outcome.fates[row]] == "imported":
            without[row] = tuple(Reason("refused_cell", cell, detail) for cell, detail in cells.items())
        else:
            named = "; ".join(f"{cell} ({detail})" for cell, detail in cells.items())
            reason = reasons[row]
            reasons[row] = reason._replace(detail=f"{reason.detail} Klaviyo had refused the profile before, with {named}.".strip())
    return replace(outcome, rows=rows, reasons=reasons, without=without)


@dataclass
class Pile:
    """Profiles that wait to go again, at most as many as one request takes."""

    _parts: list[Sending] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(part.batch) for part in self._parts)

    def add(self, part: Sending) -> Sending | None:
        """Takes in some more. What was there before comes back, to be sent, when they do not fit beside it."""
        size = sum(one.batch.size for one in self._parts) + part.batch.size
        full = len(self) + len(part.batch) > MAX_PROFILES or size > MAX_BYTES
        earlier = self.take() if full and self._parts else None
        self._parts.append(part)
        return earlier

    def take(self) -> Sending:
        """All of it, as one batch; the pile is empty then."""
        parts, self._parts = self._parts, []
        chunks = [chunk for part in parts for chunk in part.batch.profiles.chunks]
        batch = Batch(
            parts[0].batch.envelope,
            pa.chunked_array(chunks, pa.large_string()),
            pa.concat_tables([part.batch.rows for part in parts]),
        )
        jobs = tuple(job for part in parts for job in part.jobs)
        return Sending(batch, jobs, sum(part.requests for part in parts), sum(part.bytes for part in parts))
