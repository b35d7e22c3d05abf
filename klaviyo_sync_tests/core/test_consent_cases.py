"""Consent columns: each file in cases/consent holds words, dates, and what these state. Now is 2026-06-01."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from row_cases import Became, case_files, case_of, expected_issues, take_through

from klaviyo_sync.core.errors import ConfigError


def stated(became: Became) -> dict[str, Any]:
    """What a row states as a case writes it: the meaning by channel, with its date where there is one."""
    return {
        channel: meaning if at is None else [meaning, at.isoformat()]
        for channel, (meaning, at) in became.stated.items()
        if (meaning, at) != (None, None)
    }


@pytest.mark.parametrize("path", case_files("consent"), ids=lambda path: path.stem)
def test_what_rows_state(path: Path, tmp_path: Path) -> None:
    """The rows of a case make the statements and issues that it says, and nothing else."""
    case = case_of(path)
    if "error" in case:
        with pytest.raises(ConfigError) as caught:
            take_through({"rows": [], **case}, tmp_path)
        assert case["error"] in str(caught.value)
        return
    for row, became in zip(case["rows"], take_through(case, tmp_path), strict=True):
        about = f"{case['rule']} {row['cells']}"
        assert stated(became) == row["stated"], about
        assert sorted(became.issues) == sorted(expected_issues(row)), about
