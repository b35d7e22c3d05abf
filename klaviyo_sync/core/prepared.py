"""What rows are once they are ready to go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.sync import Channel

WINDOW = "window"


class Prepared(NamedTuple):
    """What one frame of rows became: profiles (large_string) and their rows, issues, and the positions of rejected rows.

    `opt_outs` are the rows (columns as in `rows`) that stay behind and unsubscribe somebody, which goes out without them.
    `rejected_statements` has, by channel, the positions of rows whose consent was stated but cannot go out.
    """

    profiles: pa.ChunkedArray
    rows: pa.Table
    issues: pd.DataFrame
    rejected: np.ndarray
    rejected_statements: Mapping[Channel, np.ndarray]
    opt_outs: pa.Table

    def pieces(self) -> Iterator[tuple[pa.Array, pa.Table]]:
        """The profiles with their rows for `pack`, chunk by chunk, so that it keeps no more of them than it needs."""
        start = 0
        for chunk in self.profiles.chunks:
            yield chunk, self.rows.slice(start, len(chunk))
            start += len(chunk)
