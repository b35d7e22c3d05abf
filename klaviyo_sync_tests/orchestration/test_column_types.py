"""A column that changes its type between runs is told by the check `mapping` of the windows of the run that saw it first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from orchestration_bench import Bench, Imports

from klaviyo_sync.core.column_types import ColumnType, column_types
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.query import Column

FIRST, SECOND, THIRD = "2024-03-04-00:00", "2024-03-04-01:00", "2024-03-04-02:00"
BALANCE = ColumnType("balance", "DECIMAL(9,2)", "number")


def test_a_column_that_becomes_text(bench_of: Callable[..., Bench], imports: Imports) -> None:
    """The window of the run that saw the new type first is amber and says both types; those before and after it are green."""
    bench = bench_of()
    imports.types = (BALANCE,)
    bench.run(FIRST)
    imports.types = (ColumnType("balance", "VARCHAR", "text"), ColumnType("tier", "VARCHAR", "text"))
    bench.run(SECOND)
    bench.run(THIRD)
    assert [passed for passed, _ in bench.checks("mapping").values()] == [True, False, True]
    [amber] = [evaluation for evaluation in bench.evaluations("mapping") if not evaluation.passed]
    assert "1 column changed type since the run before: balance was DECIMAL(9,2) and is VARCHAR" in (amber.description or "")


@pytest.mark.parametrize("after", [BALANCE, ColumnType("balance", "DOUBLE", "number")])
def test_types_that_klaviyo_does_not_tell_apart(bench_of: Callable[..., Bench], imports: Imports, after: ColumnType) -> None:
    """A number stays a number, however wide; also a run before this was stored has nothing to compare with."""
    bench = bench_of()
    bench.run(FIRST)
    imports.types = (BALANCE,)
    bench.run(SECOND)
    imports.types = (after,)
    bench.run(THIRD)
    assert all(passed for passed, _ in bench.checks("mapping").values())


def test_the_types_of_a_sync(bench_of: Callable[..., Bench]) -> None:
    """Each column that the sync reads has the warehouse's type, and the kind of value that Klaviyo gets of it."""
    sync = bench_of().sync
    columns = [Column(name.upper(), "TIMESTAMP" if name == sync.modified_at.column else "INTEGER") for name in sync.columns()]
    types = column_types(sync, columns, DIALECTS["duckdb"])
    assert [column.name for column in types] == list(sync.columns())
    assert {column.kind for column in types} == {"number", "datetime"}
