"""Opt-outs of superseded rows: which of them still stand, and which subscribes they outweigh.

Of the rows of one profile only the newest goes out. What an older one states is about an address, which the newest may not have, or of
which it may say nothing. So an opt-out of a superseded row stands unless a newer row of the same address opts out as well, or
subscribes with a later date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.consent import Statements
from klaviyo_sync.core.consent_dates import MOMENT, OLDEST, WIDEST_OFFSET, read_dates
from klaviyo_sync.core.frames import Mask, arrow, keep_where
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Mapped, Plan
from klaviyo_sync.core.sync import Channel

# Columns beside those of the rivals, numbered by channel: when a row opts out, when it subscribes, and what follows.
OUT, IN, STANDS, OUTWEIGHED = "out_{}", "in_{}", "stands_{}", "outweighed_{}"
FOR_GOOD = datetime(9999, 1, 1, tzinfo=UTC)


class Stating(NamedTuple):
    """The place of a channel among those of a plan, and the column with the identifier that it is about."""

    place: int
    key: str


def moments_of_change(frame: pd.DataFrame, plan: Plan) -> pa.Array:
    """When each row was changed (timestamp us UTC): of a day its end, never later than now."""
    changed = read_dates(arrow(frame[plan.modified_at]), plan.modified_kind, plan.zone, zone_known=True).last
    changed = pc.coalesce(changed, pa.scalar(OLDEST, MOMENT))
    present = pa.scalar(plan.now, MOMENT)
    return pc.if_else(pc.greater(changed, present), present, changed)


def said_columns(statements: Mapping[Channel, Statements], frame: pd.DataFrame, plan: Plan) -> dict[str, pa.Array]:
    """When each row opts out of a channel, and when it subscribes to it; NULL where it does not.

    An opt-out without a date is as old as its row. A subscribe without one outweighs nothing, except where the configuration says so;
    one without a zone counts from the earliest that it can have been made.
    """
    columns: dict[str, pa.Array] = {}
    changed = moments_of_change(frame, plan) if statements else None
    for place, target in enumerate(plan.consents):
        if target.channel not in statements:
            continue
        stated = statements[target.channel]
        leaves, joins = pc.equal(stated.meaning, "unsubscribe"), pc.equal(stated.meaning, "subscribe")
        earliest = pc.if_else(stated.zoneless, pc.subtract(stated.at, pa.scalar(WIDEST_OFFSET, pa.duration("us"))), stated.at)
        undated = pa.scalar(FOR_GOOD if plan.resubscribes else None, MOMENT)
        columns[OUT.format(place)] = keep_where(leaves, pc.coalesce(stated.at, changed))
        columns[IN.format(place)] = keep_where(joins, pc.coalesce(earliest, undated))
    return columns


def standing_columns(stating: Sequence[Stating], order: str) -> tuple[list[str], list[str]]:
    """SQL of the columns that say which opt-outs stand, and over these, which rows' subscribes an opt-out outweighs.

    `order` is how the rows of one identifier are ordered, the newest first.
    """
    stands, outweighed = [], []
    for place, key in stating:
        out, subscribed = OUT.format(place), IN.format(place)
        newer = f"OVER (PARTITION BY {key} ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
        stand = f"{out} IS NOT NULL AND count({out}) {newer} = 0 AND coalesce(max({subscribed}) {newer} <= {out}, true)"
        stands.append(f"({stand}) AS {STANDS.format(place)}")
        outweighed.append(f"bool_or({STANDS.format(place)}) OVER (PARTITION BY {key}) AS {OUTWEIGHED.format(place)}")
    return stands, outweighed


def with_opt_outs(mapped: Mapped, stands: Mapping[Channel, Mask]) -> Mapped:
    """The rows with nothing stated but the opt-outs that stand."""
    kept = {
        channel: stated._replace(meaning=keep_where(pa.array(stands.get(channel, np.zeros(len(stated.meaning), bool))), stated.meaning))
        for channel, stated in mapped.statements.items()
    }
    return replace(mapped, statements=kept)
