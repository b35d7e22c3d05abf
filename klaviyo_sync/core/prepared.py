"""What rows are once they are ready to go out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core.sync import Channel

WINDOW = "window"


class Prepared(NamedTuple):
    """What one frame of rows became: profiles and their rows for `pack`, issues, and the positions of rejected rows.

    `rejected_statements` has, by channel, the positions of rows whose consent was stated but cannot go out.
    """

    profiles: pa.Array
    rows: pa.Table
    issues: pd.DataFrame
    rejected: np.ndarray
    rejected_statements: Mapping[Channel, np.ndarray]
