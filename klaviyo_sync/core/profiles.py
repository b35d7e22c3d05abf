"""From rows to encoded profiles: cleaned, mapped, encoded; what cannot go out is set aside with its issues."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.clearing import CLEARS
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.consent_result import (
    BIRTH,
    MEANINGS,
    dated_column,
    opts_out,
    outweighed_column,
    stated_channels,
    stated_column,
    zoneless_column,
)
from klaviyo_sync.core.encoding import Encoder, lengths
from klaviyo_sync.core.frames import Mask, arrow, true_at
from klaviyo_sync.core.issue_frames import issue_frame, joined_issues
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Mapped, Plan
from klaviyo_sync.core.packing import MAX_PROFILE_BYTES
from klaviyo_sync.core.prepared import WINDOW, Prepared
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.sync import Channel


def consent_cells(mapped: Mapped, outweighed: Mapping[Channel, Mask]) -> dict[str, pa.Array]:
    """What the rows state, as columns of a batch's rows: nine bytes a row and channel, so that many batches may be under way."""
    cells: dict[str, pa.Array] = {}
    for channel, stated in mapped.statements.items():
        places = pc.index_in(stated.meaning, MEANINGS).cast(pa.int8())
        cells[stated_column(channel)] = pa.DictionaryArray.from_arrays(places, MEANINGS)
        cells[dated_column(channel)] = stated.at
        cells[zoneless_column(channel)] = stated.zoneless
        cells[outweighed_column(channel)] = pa.array(outweighed.get(channel, np.zeros(len(places), bool)))
    if mapped.births is not None:
        cells[BIRTH] = mapped.births
    return cells


def wrong_statements(stated: Statements, behind: Mask) -> Mask:
    """Which rows state something for a channel that cannot go out: for what it is, or, a subscribe, with its row (`behind`)."""
    wrong = behind & true_at(pc.equal(stated.meaning, "subscribe"))
    nothing_left = true_at(stated.meaning.is_null())
    for _, flag in stated.flags:
        if CODES[flag.code].effect != "note":
            wrong |= nothing_left & true_at(flag.where)
    return wrong


def batch_rows(rows: Rows, plan: Plan) -> pa.Table:
    """What a batch keeps of the rows."""
    mapped = rows.mapped
    return pa.table(
        {
            WINDOW: pa.array(rows.windows, pa.int32()),
            **{target.path: arrow(mapped.profiles[target.path]) for target in plan.identifiers},
            **consent_cells(mapped, rows.outweighed),
            **({} if mapped.clears is None else {CLEARS: mapped.clears}),
        }
    )


def about(rows: pa.Table, identifier: str) -> pa.Table:
    """The rows with nothing stated but for the channels of an identifier."""
    for channel in stated_channels(rows):
        if CHANNEL_IDENTIFIER[channel] != identifier:
            place = rows.column_names.index(stated_column(channel))
            rows = rows.set_column(place, stated_column(channel), pa.DictionaryArray.from_arrays(pa.nulls(len(rows), pa.int8()), MEANINGS))
    return rows


def opt_outs_alone(rows: Rows, plan: Plan, encoder: Encoder) -> Prepared:
    """Superseded rows, of which nothing goes out but their opt-outs. Their issues are those of rows that nobody sends.

    Those by e-mail address and those by phone number go out as two people: one of both may be somebody else's by now, and together they
    would make a profile that the row which goes out takes over.
    """
    table = batch_rows(rows, plan)
    apart = [about(table, identifier) for identifier in dict.fromkeys(CHANNEL_IDENTIFIER.values())]
    leaving = pa.concat_tables([part.filter(pa.array(opts_out(part))) for part in apart])
    nothing = encoder.encode(rows.mapped.profiles, rows.mapped.forms, np.zeros(len(table), bool))
    return Prepared(nothing, table.slice(0, 0), issue_frame(()), np.zeros(0, np.int64), {}, leaving)


def prepare_rows(rows: Rows, plan: Plan, encoder: Encoder) -> Prepared:
    """The rows as encoded profiles, with what could not go out."""
    mapped = rows.mapped
    if rows.superseded:
        return opt_outs_alone(rows, plan, encoder)
    behind = np.zeros(len(rows.frame), dtype=bool)
    behind[mapped.rejected] = True
    goes = ~(behind | rows.held)
    encoded = encoder.encode(mapped.profiles, mapped.forms, goes)
    small = lengths(encoded) <= MAX_PROFILE_BYTES
    too_large = np.flatnonzero(goes)[~small]
    if len(too_large):
        encoded = encoded.filter(pa.array(small))
        behind[too_large] = True
        goes[too_large] = False
    issues = joined_issues(mapped.issues, issue_frame([(too_large, "", "profile_too_large")]))
    if len(issues) and rows.held.any():
        issues = issues[~rows.held[issues["row"].to_numpy()]]
    table = batch_rows(rows, plan)
    stays = behind & ~rows.held
    leaving = table.filter(pa.array(stays)) if stays.any() else table.slice(0, 0)
    leaving = leaving.filter(pa.array(opts_out(leaving)))
    if not goes.all():
        table = table.filter(pa.array(goes))
    statements: dict[Channel, np.ndarray] = {}
    for channel, stated in mapped.statements.items():
        statements[channel] = np.flatnonzero(wrong_statements(stated, behind) & ~rows.held)
    return Prepared(encoded, table, issues, np.flatnonzero(stays), statements, leaving)
