"""Values that stand beside many different people are nobody's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import permutations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.placeholders import MOST_BESIDE, STANDS_FOR_NOBODY, leave_placeholders_out
from klaviyo_sync.engine import engine

KEYS = ("key_0", "key_1", "key_2")
Row = tuple[str | None, ...]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


def left(connection: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> tuple[list[Row], list[tuple[bool, ...]]]:
    """The keys that rows keep, and which of them were placeholders."""
    table = pa.table(
        {"number": pa.array(range(len(rows)))} | {key: pa.array([row[n] for row in rows], pa.string()) for n, key in enumerate(KEYS)}
    )
    cursor = connection.cursor()
    cursor.register("given", table)
    cursor.execute("CREATE OR REPLACE TEMP TABLE rivals AS SELECT * FROM given")
    numbers = leave_placeholders_out(cursor, KEYS)
    flags = [STANDS_FOR_NOBODY.format(n) if n in numbers else "false" for n in range(len(KEYS))]
    columns = ", ".join((*KEYS, *flags))
    kept = cursor.execute(f"SELECT {columns} FROM rivals ORDER BY number").fetchall()
    cursor.execute("DROP TABLE rivals")
    return [row[: len(KEYS)] for row in kept], [row[len(KEYS) :] for row in kept]


def expected(rows: Sequence[Row]) -> list[tuple[bool, ...]]:
    """Which values stand beside more than MOST_BESIDE different values of one other identifier, counted in plain Python."""
    beside: dict[tuple[int, int, str], set[str]] = defaultdict(set)
    for row in rows:
        for mine, other in permutations(range(len(KEYS)), 2):
            value, another = row[mine], row[other]
            if value is not None and another is not None:
                beside[mine, other, value].add(another)
    nobody = {(mine, value) for (mine, _, value), others in beside.items() if len(others) > MOST_BESIDE}
    return [tuple((number, value) in nobody for number, value in enumerate(row)) for row in rows]


VALUES = st.one_of(st.none(), st.integers(0, 1).map(str), st.integers(0, 12).map(str))


@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=40))
@settings(deadline=None, max_examples=examples(60))
def test_values_beside_many_others_are_left_out(connection: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    """Exactly the values beside more than five different values of one other identifier are left out, of every row that has them."""
    kept, nobody = left(connection, rows)
    assert nobody == expected(rows)
    assert kept == [
        tuple(None if gone else value for value, gone in zip(row, flags, strict=True)) for row, flags in zip(rows, nobody, strict=True)
    ]


def test_five_are_a_household(connection: duckdb.DuckDBPyConnection) -> None:
    """A number beside five different addresses may be a household's; beside six it is nobody's."""
    rows: list[Row] = [(f"person{n}@example.com", "+4915112345678", None) for n in range(6)]
    assert left(connection, rows[:5])[0] == rows[:5]
    assert left(connection, rows)[0] == [(address, None, None) for address, _, _ in rows]


def test_the_same_pair_counts_once(connection: duckdb.DuckDBPyConnection) -> None:
    """Versions of one person in a change log are no different people, however many there are."""
    rows: list[Row] = [("ada@example.com", "+4915112345678", "1")] * 50
    assert left(connection, rows)[0] == rows
