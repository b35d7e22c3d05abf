"""How a DuckDB file is read: little of it stays in memory, and queries do not disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from klaviyo_sync.core.query import Query
from klaviyo_sync.warehouses.duckdb import BLOCKS_KEPT, MEMORY_HELD, DuckDBWarehouse

ROWS = 1_000_000
ROW = "n, md5(n::VARCHAR) AS one, md5((-n)::VARCHAR) AS two, md5((n + 0.5)::VARCHAR) AS three, md5((n + 0.1)::VARCHAR) AS four"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that takes about 70 MB, and a view that must sort it."""
    file = tmp_path_factory.mktemp("memory") / "w.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT {ROW} FROM range({ROWS}) AS _(n)")
        connection.execute("CREATE VIEW newest AS SELECT * FROM t QUALIFY row_number() OVER (PARTITION BY one ORDER BY two) = 1")
    return file


@pytest.fixture
def warehouse(file: Path) -> Iterator[DuckDBWarehouse]:
    """The file, as a run opens it."""
    warehouse = DuckDBWarehouse(file)
    yield warehouse
    warehouse.close()


def test_blocks_that_were_read_do_not_stay(warehouse: DuckDBWarehouse) -> None:
    """Far less of a table is held than was read, at any moment, and every row comes."""
    most = rows = 0
    with warehouse.connection.cursor() as cursor:
        for batch in warehouse.batches(Query("SELECT * FROM t")):
            rows += batch.num_rows
            most = max(most, (cursor.execute(MEMORY_HELD).fetchone() or (0,))[0])
    assert rows == ROWS
    assert 0 < most < 1.5 * BLOCKS_KEPT < warehouse.path.stat().st_size / 2


def test_a_view_that_sorts_is_read_with_the_usual_limit(warehouse: DuckDBWarehouse) -> None:
    """The newest row of each of a million people fits, and the limit is as before afterwards."""
    before = warehouse.connection.execute("SELECT current_setting('memory_limit')").fetchone()
    assert sum(batch.num_rows for batch in warehouse.batches(Query("SELECT * FROM newest"))) == ROWS
    assert warehouse.connection.execute("SELECT current_setting('memory_limit')").fetchone() == before


def test_queries_do_not_wait_for_each_other(warehouse: DuckDBWarehouse) -> None:
    """A query begins while another one is half read, and both bring all their rows."""
    first = warehouse.batches(Query("SELECT * FROM t"))
    taken = next(first).num_rows
    assert sum(batch.num_rows for batch in warehouse.batches(Query("SELECT n FROM t"))) == ROWS
    assert taken + sum(batch.num_rows for batch in first) == ROWS
