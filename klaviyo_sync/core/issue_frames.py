"""Frames of issues: one row per issue, with the same types however many there are, none included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from klaviyo_sync.core.issues import CODES

# `row` is the position of the row in its frame of warehouse rows.
ISSUE_TYPES: Mapping[str, str] = {"row": "int64", "column": "object", "code": "object", "message": "object"}


def issue_frame(parts: Iterable[tuple[np.ndarray, str, str]]) -> pd.DataFrame:
    """The issues of (positions of rows, column, code) parts, with the catalogue's messages. Columns and types are those of ISSUE_TYPES."""
    listed = list(parts)
    counts = [len(rows) for rows, _, _ in listed]
    texts = {
        "column": [column for _, column, _ in listed],
        "code": [code for _, _, code in listed],
        "message": [CODES[code].message for _, _, code in listed],
    }
    rows = np.concatenate([np.zeros(0, np.int64), *(rows for rows, _, _ in listed)])
    columns = {"row": rows, **{name: np.repeat(np.array(cells, dtype=object), counts) for name, cells in texts.items()}}
    # Not astype: these are the types, and it would take longer than all the rest.
    return pd.DataFrame(columns)


def superseded_issues(columns: Sequence[str], codes: Sequence[str], instead: Sequence[str]) -> pd.DataFrame:
    """An issue for each row, given its column, its code and the name of the row that goes out in its place."""
    messages = [f"{CODES[code].message} That row is {name}." for code, name in zip(codes, instead, strict=True)]
    cells = {"row": range(len(codes)), "column": columns, "code": codes, "message": messages}
    return pd.DataFrame(cells).astype(ISSUE_TYPES)


def joined_issues(*frames: pd.DataFrame) -> pd.DataFrame:
    """The issues of some frames, one frame after the other. Only frames with issues are joined: pandas guesses the types of empty ones."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else issue_frame(())
