"""The survey: what each window of a run may change at most, counted before anything is sent.

It sees the narrow columns that a run reads first anyway, those that say who the rows are about, with the consent columns beside them.
It cannot tell which rows are superseded or too large, so it counts too much rather than too little.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from klaviyo_sync.core.consent import ConsentTarget, meanings
from klaviyo_sync.core.consent_result import MEANINGS, by_meaning
from klaviyo_sync.core.frames import arrow, true_at
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.stopping import Changes
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.core.tolerance import StopAbove

NO_MEANING = len(MEANINGS)


def surveyed(plan: Plan, limits: StopAbove) -> tuple[ConsentTarget, ...]:
    """The channels whose statements are limited. A channel without words can only subscribe."""
    if limits.subscribes is None and limits.unsubscribes is None:
        return ()
    return tuple(target for target in plan.consents if target.column or limits.subscribes is not None)


class Survey:
    """Counts by window; nothing in it grows with the rows."""

    def __init__(self, windows: int, limits: StopAbove) -> None:
        self._windows = windows
        self._limits = limits
        self._rows = np.zeros(windows, np.int64)
        self._rejected = np.zeros(windows, np.int64)
        self._stated: dict[Channel, np.ndarray] = {}

    def notice(self, frame: pd.DataFrame, identifiers: pd.DataFrame, windows: np.ndarray, plan: Plan) -> None:
        """Counts some rows, given their cleaned identifiers and the position of each one's window; those of later windows do not count."""
        ours = windows < self._windows
        nobody = ours.copy()
        for name in identifiers.columns:
            nobody &= true_at(arrow(identifiers[name]).is_null())
        self._rows += np.bincount(windows[ours], minlength=self._windows)
        self._rejected += np.bincount(windows[nobody], minlength=self._windows)
        for target in surveyed(plan, self._limits):
            counts = self._stated.setdefault(target.channel, np.zeros((self._windows, NO_MEANING + 1), np.int64))
            cells = windows[ours] * (NO_MEANING + 1) + stated(target, frame, plan)[ours]
            counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)

    def changes(self, window: int) -> Changes:
        """What the rows of a window change at most."""
        subscribes, unsubscribes = by_meaning(self._stated, window)
        return Changes(int(self._rows[window]), int(self._rejected[window]), subscribes, unsubscribes)


def stated(target: ConsentTarget, frame: pd.DataFrame, plan: Plan) -> np.ndarray:
    """What each row states for a channel at most: the position in MEANINGS, NO_MEANING for nothing. Each word is looked at once."""
    if target.column is None:
        dated = true_at(arrow(frame[target.dated or ""]).is_valid())
        return np.where(dated, MEANINGS.index("subscribe").as_py(), NO_MEANING)
    words = arrow(frame[target.column]).dictionary_encode()
    found = meanings(words.dictionary, target, plan.zone)
    return pc.index_in(found, MEANINGS).take(words.indices).fill_null(NO_MEANING).to_numpy(zero_copy_only=False)
