"""The soak, with few rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import soak


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_and_kills_change_nothing_in_the_end(tmp_path: Path, seed: int) -> None:
    """After random faults and kills in runs over changing rows, Klaviyo holds exactly the newest row and consent of everybody."""
    told = soak(tmp_path / "soak", people=1_000, step=4, days=8, most=50, seed=seed, longest=1.0)
    assert told.rows == 2_000
    assert told.killed + told.failed >= 2
