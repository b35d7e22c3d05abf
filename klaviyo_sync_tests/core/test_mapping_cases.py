"""Mapping: each file in cases/mapping holds columns, their mapping, rows, and what these become."""

from __future__ import annotations

from pathlib import Path

import pytest
from row_cases import case_files, case_of, exact, expected_issues, take_through

from klaviyo_sync.core.errors import ConfigError


@pytest.mark.parametrize("path", case_files("mapping"), ids=lambda path: path.stem)
def test_what_rows_become(path: Path, tmp_path: Path) -> None:
    """The rows of a case become the profiles and issues that it says, and nothing else."""
    case = case_of(path)
    if "error" in case:
        with pytest.raises(ConfigError) as caught:
            take_through({"rows": [], **case}, tmp_path)
        assert case["error"] in str(caught.value)
        return
    for row, became in zip(case["rows"], take_through(case, tmp_path), strict=True):
        about = f"{case['rule']} {row['cells']}"
        assert exact(became.sent) == exact(row.get("sent")), about
        assert sorted(became.issues) == sorted(expected_issues(row)), about
        for text in row.get("written", ()):
            assert text in became.text, about
