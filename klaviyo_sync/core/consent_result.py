"""What became of statements of consent: one fate per row and channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from klaviyo_sync.core.consent_counts import CONSENT_FATES, OF_OPT_OUTS, ConsentCounts, ConsentFate
from klaviyo_sync.core.consent_reasons import OPPOSED
from klaviyo_sync.core.frames import true_at
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.result import Reason
from klaviyo_sync.core.sync import CHANNELS, Channel

UNSTATED = 255
CONSENT = "consent_"
BIRTH = "age_gated_date_of_birth"
KEPT = ("window", "id", "external_id", "email", "phone_number")

STATED = pa.dictionary(pa.int8(), pa.string())
MEANINGS = pa.array(["subscribe", "unsubscribe"])


def stated_column(channel: Channel) -> str:
    """The column of a batch's rows with what they state for a channel (STATED, NULL for nothing)."""
    return CONSENT + channel


def dated_column(channel: Channel) -> str:
    """The column of a batch's rows with the date of the statement (timestamp us UTC, NULL when undated)."""
    return f"{CONSENT}{channel}_at"


def zoneless_column(channel: Channel) -> str:
    """The column of a batch's rows that says whether the date of a subscribe has no zone (booleans)."""
    return f"{CONSENT}{channel}_zoneless"


Done = Literal["", "sent", "again", "already", "skipped"]
DONE: tuple[Done, ...] = get_args(Done)
"""What was done about an opt-out before its row was imported: nothing, or it has its fate; `again`: sent, and to be sent once more."""


def done_column(channel: Channel) -> str:
    """The column of a batch's rows that says what was done about their opt-outs before the import (positions in DONE, int8)."""
    return f"{CONSENT}{channel}_done"


def done_before(rows: pa.Table, channel: Channel) -> npt.NDArray[np.int8]:
    """The positions in DONE for a channel of a batch's rows."""
    if done_column(channel) not in rows.column_names:
        return np.zeros(len(rows), np.int8)
    return rows[done_column(channel)].to_numpy()


def by_meaning(stated: Mapping[Channel, np.ndarray], window: int) -> tuple[dict[Channel, int], dict[Channel, int]]:
    """The subscribes and the opt-outs of a window by channel.

    `stated` has counts by channel: a line per window, a column per entry of MEANINGS.
    """
    subscribes: dict[Channel, int] = {channel: int(counts[window, 0]) for channel, counts in stated.items()}
    unsubscribes: dict[Channel, int] = {channel: int(counts[window, 1]) for channel, counts in stated.items()}
    return subscribes, unsubscribes


def stated_channels(rows: pa.Table) -> tuple[Channel, ...]:
    """The channels that a batch's rows can state something for."""
    return tuple(channel for channel in CHANNELS if stated_column(channel) in rows.column_names)


def opts_out(rows: pa.Table, channels: Collection[Channel] | None = None) -> npt.NDArray[np.bool_]:
    """Which rows of a batch unsubscribe somebody, from one of some channels or from any."""
    found = np.zeros(len(rows), bool)
    for channel in stated_channels(rows) if channels is None else channels:
        found |= true_at(pc.equal(rows[stated_column(channel)].cast(pa.string()), "unsubscribe").combine_chunks())
    return found


@dataclass(frozen=True)
class ConsentOutcome:
    """What became of the statements of a batch.

    `fates[i, j]` is the position in CONSENT_FATES of what happened to row i of `rows` for `channels[j]`, or UNSTATED.
    `reasons` has an entry for each that is refused, guarded, skipped or unknown. `undated` are the (row, channel) that were
    sent without their date, since another channel of the same person has none; `not_joined` those of subscribed people whom Klaviyo did
    not add to the list.
    """

    rows: pa.Table
    channels: tuple[Channel, ...]
    fates: npt.NDArray[np.uint8]
    reasons: Mapping[tuple[int, Channel], Reason] = field(default_factory=dict)
    undated: frozenset[tuple[int, Channel]] = frozenset()
    requests: int = 0
    bytes: int = 0
    not_joined: frozenset[tuple[int, Channel]] = frozenset()

    def counts(self, window: int | None = None) -> dict[Channel, ConsentCounts]:
        """The counts of each channel, of all rows or of those of one window (its position in the run)."""
        here = np.ones(len(self.rows), bool) if window is None else self.rows["window"].to_numpy() == window
        return {channel: self._counted(position, channel, here) for position, channel in enumerate(self.channels)}

    def _counted(self, position: int, channel: Channel, here: npt.NDArray[np.bool_]) -> ConsentCounts:
        fates = self.fates[:, position]
        found = np.bincount(fates[here & (fates != UNSTATED)], minlength=len(CONSENT_FATES)).tolist()
        leaving = here & opts_out(self.rows, [channel])
        unsubscribed, refused = (int((leaving & (fates == CONSENT_FATES.index(fate))).sum()) for fate in OF_OPT_OUTS)
        return ConsentCounts(sum(found), *found, unsubscribed=unsubscribed, opt_outs_refused=refused)


def sent_statements(outcome: ConsentOutcome) -> pa.Table:
    """The rows of which a statement was sent, with their identifiers, stating what was sent alone: without dates that were not sent."""
    sent = outcome.fates == CONSENT_FATES.index("sent")
    rows = outcome.rows.select([name for name in outcome.rows.column_names if name in KEPT])
    for position, channel in enumerate(outcome.channels):
        stated = outcome.rows[stated_column(channel)].combine_chunks()
        places = pc.if_else(pa.array(sent[:, position]), stated.indices, pa.scalar(None, pa.int8()))
        rows = rows.append_column(stated_column(channel), pa.DictionaryArray.from_arrays(places, stated.dictionary))
        undated = np.zeros(len(rows), bool)
        undated[[row for row, other in outcome.undated if other == channel]] = True
        dates = outcome.rows[dated_column(channel)].combine_chunks()
        rows = rows.append_column(dated_column(channel), pc.if_else(pa.array(undated), pa.scalar(None, dates.type), dates))
        rows = rows.append_column(zoneless_column(channel), outcome.rows[zoneless_column(channel)])
    return rows.filter(pa.array(sent.any(axis=1)))


@dataclass(frozen=True)
class ReadBack:
    """What Klaviyo shows of statements that were sent: `confirmed[i, j]` of row i of `rows` for `channels[j]`, or the opposite."""

    rows: pa.Table
    channels: tuple[Channel, ...]
    confirmed: npt.NDArray[np.bool_]
    opposed: npt.NDArray[np.bool_]
    requests: int = 0

    def counts(self, window: int) -> dict[Channel, ConsentCounts]:
        """The counts of one window (its position in the run) by channel."""
        here = self.rows["window"].to_numpy() == window
        return {
            channel: ConsentCounts(
                confirmed=int(self.confirmed[here, position].sum()), opt_outs_opposed=int(self.opposed[here, position].sum())
            )
            for position, channel in enumerate(self.channels)
        }

    def opposition(self) -> ConsentOutcome:
        """The opt-outs whose opposite Klaviyo shows, with the reason."""
        sent = np.full(self.opposed.shape, CONSENT_FATES.index("sent"), np.uint8)
        places = ((int(row), self.channels[channel]) for row, channel in zip(*np.nonzero(self.opposed), strict=True))
        return ConsentOutcome(self.rows, self.channels, sent, dict.fromkeys(places, Reason(OPPOSED, None, "")))


class Ledger:
    """Gathers the fates of a batch's statements. Each is settled once."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.channels = stated_channels(rows)
        self.requests = 0
        self.bytes = 0
        self.undated: set[tuple[int, Channel]] = set()
        self.not_joined: set[tuple[int, Channel]] = set()
        self._place = {channel: position for position, channel in enumerate(self.channels)}
        self._fates = np.full((len(rows), len(self.channels)), UNSTATED, np.uint8)
        self._reasons: dict[tuple[int, Channel], Reason] = {}

    def settle(self, row: int, channel: Channel, fate: ConsentFate, reason: Reason | None = None) -> None:
        """Writes down what became of one statement."""
        if self._fates[row, self._place[channel]] != UNSTATED:
            raise ValueError(f"the statement of a row for {channel} is settled twice")
        self._fates[row, self._place[channel]] = CONSENT_FATES.index(fate)
        if reason is not None and fate != "already":
            self._reasons[row, channel] = reason

    def fate(self, row: int, channel: Channel) -> ConsentFate | None:
        """What became of one statement, None as long as that is open."""
        settled = int(self._fates[row, self._place[channel]])
        return None if settled == UNSTATED else CONSENT_FATES[settled]

    def outcome(self) -> ConsentOutcome:
        """All of it."""
        undated, not_joined = frozenset(self.undated), frozenset(self.not_joined)
        return ConsentOutcome(self.rows, self.channels, self._fates, self._reasons, undated, self.requests, self.bytes, not_joined)
