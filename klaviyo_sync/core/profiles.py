"""From rows to encoded profiles: cleaned, mapped, encoded; what cannot go out is set aside with its issues."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.encoding import Encoder, lengths
from klaviyo_sync.core.frames import arrow
from klaviyo_sync.core.mapping import Plan, issue_frame
from klaviyo_sync.core.packing import MAX_PROFILE_BYTES
from klaviyo_sync.core.reading import Rows

WINDOW = "window"


class Prepared(NamedTuple):
    """What one frame of rows became: profiles and their rows for `pack`, issues, and the positions of rejected rows."""

    profiles: pa.Array
    rows: pa.Table
    issues: pd.DataFrame
    rejected: np.ndarray


def prepare_rows(rows: Rows, plan: Plan, encoder: Encoder) -> Prepared:
    """The rows as encoded profiles, with what could not go out."""
    mapped = rows.mapped
    encoded = encoder.encode(mapped.profiles, mapped.forms)
    behind = np.zeros(len(rows.frame), dtype=bool)
    behind[mapped.rejected] = True
    too_large = np.flatnonzero((lengths(encoded) > MAX_PROFILE_BYTES) & ~behind)
    behind[too_large] = True
    issues = mapped.issues
    if len(too_large):
        issues = pd.concat([issues, issue_frame([(too_large, "", "profile_too_large")])], ignore_index=True)
    if len(issues) and rows.held.any():
        issues = issues[~rows.held[issues["row"].to_numpy(dtype=np.int64)]]
    table = pa.table(
        {
            WINDOW: pa.array(rows.windows, pa.int32()),
            **{target.path: arrow(mapped.profiles[target.path]) for target in plan.identifiers},
        }
    )
    stays = behind | rows.held
    if stays.any():
        goes = pa.array(~stays)
        encoded, table = encoded.filter(goes), table.filter(goes)
    return Prepared(encoded, table, issues, np.flatnonzero(behind & ~rows.held))
