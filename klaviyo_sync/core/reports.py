"""Lines of the rejects file: what its owner needs to find the row and mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.attributes import PROPERTY
from klaviyo_sync.core.clear_counts import CLEAR_FATES
from klaviyo_sync.core.clear_result import ClearOutcome
from klaviyo_sync.core.clearing import clearing_fields
from klaviyo_sync.core.consent_counts import CONSENT_FATES
from klaviyo_sync.core.consent_reasons import ALL_CODES, LIST_NOT_JOINED, UNDATED
from klaviyo_sync.core.consent_result import ConsentOutcome
from klaviyo_sync.core.consent_words import nearest_word
from klaviyo_sync.core.frames import arrow
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.naming import NAMING, row_name
from klaviyo_sync.core.prepared import WINDOW
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.result import FATES, Outcome, Reason
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.visible import visible

COLUMNS: tuple[str, ...] = ("row", "modified_at", "column", "code", "outcome", "message", "advice", "value", "cells")

OUTCOMES = {"row": "rejected", "cell": "sent without this cell", "note": "sent", "superseded": "superseded"}

Line = tuple[int, Mapping[str, object]]


def plain(cell: object) -> object:
    """The cell as JSON or CSV can hold it, None for NULL."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    return cell.isoformat() if isinstance(cell, date) else cell


def shown(cell: object) -> object:
    """The cell as a person reads it: a text with invisible characters as escapes."""
    return visible(cell) if isinstance(cell, str) else cell


def values(cells: pa.Array) -> list[object]:
    """The cells as Python values; dates that Python's calendar does not reach, infinity among them, as Arrow writes them."""
    try:
        return cells.to_pylist()
    except (OverflowError, ValueError):
        return pc.cast(cells, pa.string()).to_pylist()


def issue_lines(rows: Rows, issues: pd.DataFrame, rejected: np.ndarray, plan: Plan) -> Iterator[Line]:
    """A line per issue of some rows; rows that stay behind bring all their cells along."""
    if issues.empty:
        return
    behind = set(rejected.tolist())
    own_words = {target.column: target.words for target in plan.consents}
    touched = sorted(set(issues["row"].tolist()))
    columns = {name: values(arrow(rows.frame[name]).take(touched)) for name in rows.frame.columns}
    cells_of = {row: {name: column[position] for name, column in columns.items()} for position, row in enumerate(touched)}
    for row, column, code, message in issues[["row", "column", "code", "message"]].itertuples(index=False):
        cells = {name: plain(cell) for name, cell in cells_of[row].items()}
        hint = nearest_word(cells.get(column), own_words.get(column, {})) if code == "unknown_consent_word" else ""
        line = {
            "row": row_name({target.path: cells[target.column] for target in plan.identifiers}),
            "modified_at": cells[plan.modified_at],
            "column": column,
            "code": code,
            "outcome": "rejected" if row in behind else OUTCOMES["superseded" if rows.superseded else CODES[code].effect],
            "message": f"{message} {hint}".strip(),
            "advice": CODES[code].advice,
            "value": shown(cells.get(column)),
            "cells": orjson.dumps(cells, default=str).decode() if row in behind else "",
        }
        yield int(rows.windows[row]), line


def outcome_lines(outcome: Outcome, sync: Sync) -> Iterator[Line]:
    """A line per row of a batch that did not arrive, and a line per cell that Klaviyo refused of those that did."""
    columns = {path: field.column for path, field in sync.profile.items()}
    columns |= {PROPERTY + name: field.column for name, field in sync.properties.items()}
    for row, reason in sorted(outcome.reasons.items()):
        attribute = reason.attribute or ""
        yield line_of(outcome.rows, row, columns.get(attribute, attribute), reason, FATES[outcome.fates[row]])
    for row, cells in sorted(outcome.without.items()):
        for reason in cells:
            attribute = reason.attribute or ""
            yield line_of(outcome.rows, row, columns.get(attribute, attribute), reason, OUTCOMES["cell"])


def consent_lines(outcome: ConsentOutcome, sync: Sync) -> Iterator[Line]:
    """A line per statement of consent that did not go out, went out without its date, or whose person did not join the list."""
    mapped = sync.consent.channels() if sync.consent else {}
    columns = {channel: field.column or field.date_column or "" for channel, field in mapped.items()}
    undated = {place: Reason(UNDATED, None, "") for place in outcome.undated}
    not_joined = {place: Reason(LIST_NOT_JOINED, None, "") for place in outcome.not_joined}
    for (row, channel), reason in sorted({**undated, **not_joined, **outcome.reasons}.items()):
        fate = CONSENT_FATES[outcome.fates[row, outcome.channels.index(channel)]]
        yield line_of(outcome.rows, row, columns.get(channel, channel), reason, f"{channel} {fate}")


def clear_lines(outcome: ClearOutcome, sync: Sync) -> Iterator[Line]:
    """A line per row whose NULLs did not clear what they should have; it names their columns."""
    columns = clearing_fields(sync)
    for row, reason in sorted(outcome.reasons.items()):
        paths = [reason.attribute] if reason.attribute in columns else outcome.of_row(row)
        named = ", ".join(dict.fromkeys(columns[path] for path in paths))
        yield line_of(outcome.rows, row, named, reason, f"clear {CLEAR_FATES[outcome.fates[row]]}")


def line_of(rows: pa.Table, row: int, column: str, reason: Reason, outcome: str) -> Line:
    """The line of one row of a batch, of whose cells only the identifiers are still there."""
    identifiers = {path: rows.column(path)[row].as_py() for path in NAMING if path in rows.column_names}
    code = ALL_CODES[reason.code]
    line = {
        "row": row_name(identifiers),
        "column": column,
        "code": reason.code,
        "outcome": outcome,
        "message": f"{code.message} {reason.detail}".strip(),
        "advice": code.advice,
        "value": identifiers.get(reason.attribute or ""),
    }
    return int(rows.column(WINDOW)[row].as_py()), line
