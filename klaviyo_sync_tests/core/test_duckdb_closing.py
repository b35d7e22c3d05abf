"""A DuckDB file is let go of, however a run ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb

BREAK_OFF_AND_OPEN_AGAIN = """
import sys
from klaviyo_sync.core.query import Query
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse
first = DuckDBWarehouse(sys.argv[1])
reading = first.batches(Query("SELECT * FROM t"))
next(reading)
first.close()
second = DuckDBWarehouse(sys.argv[1])
print(next(second.batches(Query("SELECT COUNT(*) AS rows FROM t"))).to_pylist())
"""


def test_a_run_that_broke_off_does_not_block_the_next(tmp_path: Path) -> None:
    """Dagster tries again in the same process: the file opens at once although a result was not read to its end."""
    file = tmp_path / "w.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE t AS SELECT n FROM range(100000) AS _(n)")
    again = subprocess.run(
        [sys.executable, "-c", BREAK_OFF_AND_OPEN_AGAIN, str(file)], capture_output=True, text=True, timeout=300, check=True
    )
    assert again.stdout.strip() == "[{'rows': 100000}]"
