"""What became of the fields that the rows of a batch clear: one fate per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from klaviyo_sync.core.clear_counts import CLEAR_FATES, ClearCounts, ClearFate
from klaviyo_sync.core.clearing import unpacked
from klaviyo_sync.core.prepared import WINDOW
from klaviyo_sync.core.result import Reason

UNASKED = 255


@dataclass(frozen=True)
class ClearOutcome:
    """What became of a batch's clears.

    `wanted[i, j]` says whether row i of `rows` clears `fields[j]`. `fates[i]` is the position in CLEAR_FATES of what came of it,
    or UNASKED where the row clears nothing. `reasons` has an entry for every row that is refused or unknown.
    """

    rows: pa.Table
    fields: Sequence[str]
    wanted: npt.NDArray[np.bool_]
    fates: npt.NDArray[np.uint8]
    reasons: Mapping[int, Reason] = field(default_factory=dict)
    requests: int = 0

    def counts(self, window: int | None = None) -> ClearCounts:
        """The counts of all rows, or of those of one window (its position in the run)."""
        here = np.ones(len(self.rows), bool) if window is None else self.rows[WINDOW].to_numpy() == window
        asked = self.fates[here & (self.fates != UNASKED)]
        return ClearCounts(len(asked), *np.bincount(asked, minlength=len(CLEAR_FATES)).tolist())

    def of_row(self, row: int) -> list[str]:
        """The fields that a row clears."""
        return [path for path, wanted in zip(self.fields, self.wanted[row], strict=True) if wanted]


class ClearLedger:
    """Gathers the fates of a batch's rows. Each is settled once."""

    def __init__(self, rows: pa.Table, fields: Sequence[str]) -> None:
        self.requests = 0
        self._rows = rows
        self._fields = fields
        self._wanted = unpacked(rows, len(fields))
        self._fates = np.full(len(rows), UNASKED, np.uint8)
        self._reasons: dict[int, Reason] = {}

    def rows(self) -> dict[int, list[str]]:
        """The fields to clear of each row that clears some."""
        names = np.array(self._fields, dtype=object)
        return {int(row): names[self._wanted[row]].tolist() for row in np.flatnonzero(self._wanted.any(axis=1))}

    def settle(self, row: int, fate: ClearFate, reason: Reason | None = None) -> None:
        """Writes down what became of one row's clears."""
        if self._fates[row] != UNASKED:
            raise ValueError("the clears of a row are settled twice")
        self._fates[row] = CLEAR_FATES.index(fate)
        if reason is not None:
            self._reasons[row] = reason

    def outcome(self) -> ClearOutcome:
        """All of it."""
        return ClearOutcome(self._rows, self._fields, self._wanted, self._fates, self._reasons, self.requests)
