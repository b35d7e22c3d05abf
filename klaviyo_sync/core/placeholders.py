"""Placeholders: values that stand for nobody, and so identify nobody.

Some are known by how they are written. Others show among the rows: a shop's own number or address, typed for every customer, stands
beside many different values of another identifier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from klaviyo_sync.core.frames import true_at
from klaviyo_sync.core.kernels import pc

# What databases, programs and spreadsheets write where there is no value.
WORDS = ("none", "null", "nil", "nan", "nat", "na", "n/a", "n.a.", "n.a", "#n/a", "<na>", "unknown", "undefined", "not available")
LEFT_EMPTY = ("missing", "empty", "blank", "no value", "no data", "\u2013", "\u2014", "[]", "{}", "()", '""', "''")
BRACKETED = ("(null)", "<null>", "[null]", "(none)", "<none>", "(unknown)", "(empty)", "(blank)")
BUILT_IN = frozenset(("-1", "-1.0", "\\n", *WORDS, *LEFT_EMPTY, *BRACKETED))
FILLERS = "0-?.*_#/"
"""Values of nothing but these signs stand for nobody either: `000000`, `0.0`, `--`."""
MOST_BESIDE = 5
"""A value beside more different values of another identifier than this stands for nobody."""

# Columns of the table of rivals, numbered as its keys are: whether the row's value was a placeholder among the rows.
STANDS_FOR_NOBODY = "nobody_{}"
VALUES = "nobody_values_{}"


def folded(value: str) -> str:
    """A value as placeholders are compared: without outer white space, in any case."""
    return value.strip().casefold()


def known_placeholders(own: Collection[str]) -> pa.Array:
    """The built-in placeholders and some of the user's own, as they are compared."""
    return pa.array(sorted(BUILT_IN | {folded(value) for value in own}), pa.string())


def are_placeholders(texts: pa.Array, known: pa.Array) -> pa.Array:
    """Which texts, trimmed and not blank, are among the known placeholders or consist of FILLERS; false for NULL."""
    filled = pc.fill_null(pc.equal(pc.ascii_ltrim(texts, FILLERS), ""), fill_value=False)
    lengths = pc.binary_length(texts)
    candidates = pc.fill_null(pc.is_in(lengths, pc.unique(pc.binary_length(known)).cast(lengths.type)), fill_value=False)
    if not pc.any(candidates).as_py():
        return filled
    named = pc.replace_with_mask(candidates, candidates, pc.is_in(pc.utf8_lower(texts.filter(candidates)), known))
    return pc.or_(named, filled)


def leave_placeholders_out(
    connection: duckdb.DuckDBPyConnection, keys: Sequence[str], beside: Mapping[str, Sequence[str]] | None = None
) -> tuple[int, ...]:
    """The numbers of the keys in which the table `rivals` had placeholders: values beside more than MOST_BESIDE values of another key.

    They are NULL afterwards, with the columns that are about them (`beside`, by key), and the column `nobody_N` of the key numbered N is
    true where one was. All keys are looked at before any is changed. DuckDB spills what it counts.
    """
    left_out = tuple(number for number in range(len(keys)) if collect(connection, keys, number))
    for number in left_out:
        key, flag = keys[number], STANDS_FOR_NOBODY.format(number)
        emptied = "".join(f", {column} = NULL" for column in (beside or {}).get(key, ()))
        connection.execute(f"ALTER TABLE rivals ADD COLUMN {flag} BOOLEAN DEFAULT false")
        values = VALUES.format(number)
        connection.execute(f"UPDATE rivals SET {flag} = true, {key} = NULL{emptied} WHERE {key} IN (SELECT value FROM {values})")  # noqa: S608
        connection.execute(f"DROP TABLE {values}")
    return left_out


def collect(connection: duckdb.DuckDBPyConnection, keys: Sequence[str], number: int) -> bool:
    """Whether a key has placeholders; they are in the table VALUES of its number then.

    Only values that occur often enough are looked at beside the other keys: there are few of them in most tables.
    """
    key, values = keys[number], VALUES.format(number)
    often = f"SELECT {key} AS value FROM rivals WHERE {key} IS NOT NULL GROUP BY value HAVING count(*) > {MOST_BESIDE}"  # noqa: S608
    connection.execute(f"CREATE TEMP TABLE often AS {often}")
    others = [beside_many(key, other) for other in keys if other != key]
    count = 0
    if others and row_count(connection, "often"):
        connection.execute(f"CREATE TEMP TABLE {values} AS {' UNION '.join(others)}")
        count = row_count(connection, values)
        if not count:
            connection.execute(f"DROP TABLE {values}")
    connection.execute("DROP TABLE often")
    return bool(count)


def row_count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many rows a table of ours has."""
    [(rows,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608
    return rows


def beside_many(key: str, other: str) -> str:
    """SQL for those of the values `often` that stand beside too many different values of another key."""
    among = f"rivals SEMI JOIN often ON often.value = rivals.{key} WHERE rivals.{other} IS NOT NULL"
    pairs = f"SELECT DISTINCT rivals.{key} AS value, rivals.{other} AS other FROM {among}"  # noqa: S608
    return f"SELECT value FROM ({pairs}) GROUP BY value HAVING count(*) > {MOST_BESIDE}"  # noqa: S608


def placeholder_masks(batch: pa.RecordBatch, paths: Sequence[str], numbers: Sequence[int]) -> Iterator[tuple[str, pa.Array]]:
    """By path, which rows of a batch of `rivals` had a placeholder there."""
    for number in numbers:
        yield paths[number], pa.array(true_at(batch.column(STANDS_FOR_NOBODY.format(number))))
