"""Lines of the rejects file: what its owner needs to find the row and mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.frames import arrow
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Plan
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.result import FATES, Outcome

COLUMNS: tuple[str, ...] = ("row", "modified_at", "column", "code", "outcome", "message", "advice", "value", "cells")

# The identifier that names a row best, first.
NAMING = ("external_id", "id", "email", "phone_number")
OUTCOMES = {"row": "rejected", "cell": "sent without this cell", "note": "sent"}

Line = tuple[int, Mapping[str, object]]


def row_name(identifiers: Mapping[str, object]) -> str:
    """The row by its first identifier that is there, as `external_id=17`."""
    return next((f"{path}={identifiers[path]}" for path in NAMING if identifiers.get(path) not in (None, "")), "")


def plain(cell: object) -> object:
    """The cell as JSON or CSV can hold it, None for NULL."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    return cell.isoformat() if isinstance(cell, date) else cell


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
    touched = sorted(set(issues["row"].tolist()))
    columns = {name: values(arrow(rows.frame[name]).take(touched)) for name in rows.frame.columns}
    cells_of = {row: {name: column[position] for name, column in columns.items()} for position, row in enumerate(touched)}
    for row, column, code, message in issues[["row", "column", "code", "message"]].itertuples(index=False):
        cells = {name: plain(cell) for name, cell in cells_of[row].items()}
        line = {
            "row": row_name({target.path: cells[target.column] for target in plan.identifiers}),
            "modified_at": cells[plan.modified_at],
            "column": column,
            "code": code,
            "outcome": "rejected" if row in behind else OUTCOMES[CODES[code].effect],
            "message": message,
            "advice": CODES[code].advice,
            "value": cells.get(column),
            "cells": orjson.dumps(cells, default=str).decode() if row in behind else "",
        }
        yield int(rows.windows[row]), line


def outcome_lines(outcome: Outcome, columns: Mapping[str, str]) -> Iterator[Line]:
    """A line per row of a batch that did not arrive; `columns` says which column fills an attribute."""
    windows = outcome.rows.column("window").to_numpy()
    paths = [name for name in outcome.rows.column_names if name in NAMING]
    for row, reason in sorted(outcome.reasons.items()):
        identifiers = {path: outcome.rows.column(path)[row].as_py() for path in paths}
        line = {
            "row": row_name(identifiers),
            "column": columns.get(reason.attribute or "", reason.attribute or ""),
            "code": reason.code,
            "outcome": FATES[outcome.fates[row]],
            "message": f"{CODES[reason.code].message} {reason.detail}".strip(),
            "advice": CODES[reason.code].advice,
            "value": identifiers.get(reason.attribute or ""),
        }
        yield int(windows[row]), line
