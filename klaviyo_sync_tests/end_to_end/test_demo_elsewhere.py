"""The demo out of a local Snowflake and BigQuery, over their real client libraries, ends with the profiles of the one out of DuckDB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.long
def test_the_same_profiles_out_of_every_warehouse(tmp_path: Path) -> None:
    """Four syncs, consent, and everything that is wrong with real tables: Klaviyo ends up the same, profile by profile."""
    command = [
        sys.executable,
        "klaviyo_sync_tests/demo_elsewhere.py",
        "snowflake",
        "bigquery",
        "--people",
        "600",
        "--folder",
        str(tmp_path),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KLAVIYO_", "DAGSTER_"))}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count(": the same.") == 2
