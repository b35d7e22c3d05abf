"""The soak, with few rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import soak


@pytest.mark.parametrize(("seed", "days"), [(1, 4), pytest.param(1, 8, marks=pytest.mark.long), pytest.param(2, 8, marks=pytest.mark.long)])
def test_faults_and_kills_change_nothing_in_the_end(tmp_path: Path, seed: int, days: int) -> None:
    """After random faults and kills in runs over changing rows, Klaviyo holds exactly the newest row and consent of everybody."""
    told = soak(tmp_path / "soak", people=1_000, step=4, days=days, most=50, seed=seed, longest=1.0)
    assert told.rows == 250 * days
    assert told.killed + told.failed >= days // 4
