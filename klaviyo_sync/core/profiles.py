"""From rows to encoded profiles: cleaned, mapped, encoded; what cannot go out is set aside with its issues."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.encoding import Encoder, lengths
from klaviyo_sync.core.frames import arrow
from klaviyo_sync.core.mapping import Plan, issue_frame, map_frame
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
    mapped = map_frame(rows.frame, plan)
    encoded = encoder.encode(mapped.profiles, mapped.forms)
    too_large = np.setdiff1d(np.flatnonzero(lengths(encoded) > MAX_PROFILE_BYTES), mapped.rejected)
    rejected = np.union1d(mapped.rejected, too_large)
    issues = mapped.issues
    if len(too_large):
        issues = pd.concat([issues, issue_frame([(too_large, "", "profile_too_large")])], ignore_index=True)
    table = pa.table(
        {
            WINDOW: pa.array(rows.windows, pa.int32()),
            **{target.path: arrow(mapped.profiles[target.path]) for target in plan.identifiers},
        }
    )
    if len(rejected):
        keep = np.ones(len(rows.frame), dtype=bool)
        keep[rejected] = False
        mask = pa.array(keep)
        encoded, table = encoded.filter(mask), table.filter(mask)
    return Prepared(encoded, table, issues, rejected)
