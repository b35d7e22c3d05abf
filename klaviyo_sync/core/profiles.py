"""From rows to encoded profiles: cleaned, mapped, encoded; what cannot go out is set aside with its issues."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from klaviyo_sync.core.clearing import CLEARS, packed
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.consent_result import BIRTH, MEANINGS, dated_column, opts_out, stated_channels, stated_column, zoneless_column
from klaviyo_sync.core.encoding import Encoder, lengths
from klaviyo_sync.core.fold import OptOuts
from klaviyo_sync.core.frames import Mask, arrow, keep_where, true_at
from klaviyo_sync.core.issue_frames import issue_frame, joined_issues
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.packing import MAX_PROFILE_BYTES
from klaviyo_sync.core.prepared import WINDOW, Prepared
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.sync import Channel


def consent_cells(statements: Mapping[Channel, Statements], births: pa.Array | None) -> dict[str, pa.Array]:
    """What the rows state, as columns of a batch's rows: nine bytes a row and channel, so that many batches may be under way."""
    cells: dict[str, pa.Array] = {}
    for channel, stated in statements.items():
        places = pc.index_in(stated.meaning, MEANINGS).cast(pa.int8())
        cells[stated_column(channel)] = pa.DictionaryArray.from_arrays(places, MEANINGS)
        cells[dated_column(channel)] = stated.at
        cells[zoneless_column(channel)] = stated.zoneless
    if births is not None:
        cells[BIRTH] = births
    return cells


def divided(rows: pa.Table, path: str, left_out: pa.Array) -> tuple[pa.Table, pa.Table]:
    """The rows without the opt-outs of identifiers that they go out without, and these opt-outs as rows of their own (same columns).

    An opt-out names its address alone: beside another one of its row, Klaviyo would take both for one person's.
    """
    keeps = left_out.is_null()
    columns = {name: cells.combine_chunks() for name, cells in zip(rows.column_names, rows.columns, strict=True)}
    about: dict[Channel, bool] = {channel: CHANNEL_IDENTIFIER[channel] == path for channel in stated_channels(rows)}
    of_it = {name for channel, yes in about.items() if yes for name in columns_of(channel)}
    of_others = {*CHANNEL_IDENTIFIER.values(), *(name for channel, yes in about.items() if not yes for name in columns_of(channel))}
    going = {name: keep_where(keeps, cells) if name in of_it else cells for name, cells in columns.items()}
    leaving = {name: pa.nulls(len(rows), cells.type) if name in of_others else cells for name, cells in columns.items()}
    alone = pa.table(leaving | {path: left_out}).filter(pc.invert(keeps))
    return pa.table(going), alone.filter(pa.array(opts_out(alone)))


def columns_of(channel: Channel) -> tuple[str, ...]:
    """The columns of a batch's rows that hold the statements for a channel."""
    return stated_column(channel), dated_column(channel), zoneless_column(channel)


def opt_out_rows(opt_outs: OptOuts, plan: Plan) -> pa.Table:
    """Opt-outs that go out without rows, with the columns of a batch's rows."""
    number = len(opt_outs.windows)
    return pa.table(
        {
            WINDOW: pa.array(opt_outs.windows, pa.int32()),
            **{target.path: opt_outs.identifiers[target.path].cast(pa.string()) for target in plan.identifiers},
            **consent_cells(opt_outs.statements, pa.nulls(number, pa.string()) if plan.birth else None),
            **({CLEARS: packed([pa.repeat("", number)] * len(plan.clearing))} if plan.clearing else {}),
        }
    )


def prepared_opt_outs(opt_outs: OptOuts, plan: Plan) -> Prepared:
    """Opt-outs that go out without rows, and nothing else."""
    rows = opt_out_rows(opt_outs, plan)
    return Prepared(pa.chunked_array([], pa.large_string()), rows.slice(0, 0), issue_frame(()), np.zeros(0, np.int64), {}, rows)


def wrong_statements(stated: Statements, behind: Mask) -> Mask:
    """Which rows state something for a channel that cannot go out: for what it is, or, a subscribe, with its row (`behind`)."""
    wrong = behind & true_at(pc.equal(stated.meaning, "subscribe"))
    nothing_left = true_at(stated.meaning.is_null())
    for _, flag in stated.flags:
        if CODES[flag.code].effect != "note":
            wrong |= nothing_left & true_at(flag.where)
    return wrong


def prepare_rows(rows: Rows, plan: Plan, encoder: Encoder) -> Prepared:
    """The rows as encoded profiles, with what could not go out."""
    if rows.opt_outs is not None:
        return prepared_opt_outs(rows.opt_outs, plan)
    mapped = rows.mapped
    if rows.superseded:
        nothing = pa.table({WINDOW: pa.array([], pa.int32())})
        lost: dict[Channel, np.ndarray] = {}
        for channel, stated in mapped.statements.items():
            lost[channel] = np.flatnonzero(true_at(stated.maybe_opt_outs()))
        return Prepared(pa.chunked_array([], pa.large_string()), nothing, mapped.issues, np.zeros(0, np.int64), lost, nothing)
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
    issues = mapped.issues
    if len(too_large):
        issues = joined_issues(issues, issue_frame([(too_large, "", "profile_too_large")]))
    if len(issues) and rows.held.any():
        issues = issues[~rows.held[issues["row"].to_numpy()]]
    table = pa.table(
        {
            WINDOW: pa.array(rows.windows, pa.int32()),
            **{target.path: arrow(mapped.profiles[target.path]) for target in plan.identifiers},
            **consent_cells(mapped.statements, mapped.births),
            **({} if mapped.clears is None else {CLEARS: mapped.clears}),
        }
    )
    stays = behind & ~rows.held
    alone: list[pa.Table] = []
    for path, identifiers in mapped.left_out.items():
        table, opt_outs = divided(table, path, keep_where(pa.array(~rows.held), identifiers))
        alone.append(opt_outs)
    leaving = table.filter(pa.array(stays)) if stays.any() else table.slice(0, 0)
    leaving = pa.concat_tables([leaving.filter(pa.array(opts_out(leaving))), *alone])
    if not goes.all():
        table = table.filter(pa.array(goes))
    statements: dict[Channel, np.ndarray] = {}
    for channel, stated in mapped.statements.items():
        statements[channel] = np.flatnonzero(wrong_statements(stated, behind) & ~rows.held)
    return Prepared(encoded, table, issues, np.flatnonzero(stays), statements, leaving)
