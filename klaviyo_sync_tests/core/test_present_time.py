"""A modified_at that is the present time is noticed by looking twice; any other column is left in peace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from query_place import Opens

IN_A_MINUTE = datetime.now(UTC) + timedelta(minutes=1)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = "CREATE TABLE rows AS SELECT range::VARCHAR AS id, TIMESTAMP '2026-01-02' AS written FROM range(3);"


@pytest.mark.parametrize(
    "column", ["now()", "current_timestamp::TIMESTAMP", "now() - INTERVAL 1 HOUR", "now() + INTERVAL 1 HOUR", "get_current_timestamp()"]
)
@pytest.mark.parametrize("now", [LONG_AGO, IN_A_MINUTE])
def test_a_view_of_the_present_time(opens: Opens, column: str, now: datetime) -> None:
    """A view that computes modified_at when it is read is noticed, also where it adds or takes some time."""
    source = opens(f"{ROWS} CREATE VIEW people AS SELECT id, {column} AS changed FROM rows", now=now)
    [note] = source.present_time(whole=True)
    assert note.startswith("3 rows have the present time as changed")


def test_a_run_notices_it_among_the_rows_after_now(opens: Opens) -> None:
    """A run looks at the rows after its own now alone: there it finds those that got the present time in place of NULL."""
    view = "CREATE VIEW people AS SELECT id, coalesce(CASE WHEN id = '0' THEN written END, now()::TIMESTAMP) AS changed FROM rows"
    source = opens(f"{ROWS} {view}", now=LONG_AGO + timedelta(days=30))
    [note] = source.present_time()
    assert note.startswith("2 rows have the present time as changed")


@pytest.mark.parametrize(
    "rows",
    [
        f"{ROWS} CREATE VIEW people AS SELECT id, written AS changed FROM rows",
        f"{ROWS} CREATE VIEW people AS SELECT id, TIMESTAMP '2999-01-01' AS changed FROM rows",
        "CREATE TABLE people AS SELECT range::VARCHAR AS id, now() + range * INTERVAL 1 SECOND AS changed FROM range(3)",
        "CREATE TABLE people AS SELECT 'a' AS id, current_date AS changed FROM range(3)",
        "CREATE TABLE people (id VARCHAR, changed TIMESTAMP)",
    ],
)
def test_columns_that_are_written(opens: Opens, rows: str) -> None:
    """One load time for all rows, times in the future, and tables without rows are no present time."""
    source = opens(rows, now=LONG_AGO)
    assert source.present_time(whole=True) == []
