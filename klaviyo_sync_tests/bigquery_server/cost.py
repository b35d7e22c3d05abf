"""How many bytes a query reads: whole columns of the partitions that its WHERE leaves. https://cloud.google.com/bigquery/pricing"""

from __future__ import annotations

from sqlglot import exp

from bigquery_server.answers import ApiError
from bigquery_server.state import Partitioning, State
from bigquery_server.translation import Name, Translated, conjuncts, duckdb_node
from bigquery_server.values import scalar_name

MEGABYTE = 2**20
LEAST = 10 * MEGABYTE  # what a query pays for each table at least
SIZES = {"BOOLEAN": "1", "NUMERIC": "16", "BIGNUMERIC": "32"}
TEXTS = ("STRING", "JSON", "BYTES")


def bytes_read(state: State, asked: Translated, params: list[dict]) -> int:
    """The bytes. Raises ApiError when a table demands a filter on its partitions and gets none."""
    names = {column.name.lower() for column in asked.tree.find_all(exp.Column)}
    everything = any(not isinstance(star.parent, exp.Count) for star in asked.tree.find_all(exp.Star))
    return sum(table_bytes(state, name, asked, params, None if everything else names) for name in asked.tables)


def table_bytes(state: State, name: Name, asked: Translated, params: list[dict], columns: set[str] | None) -> int:
    """The bytes of one table."""
    table = f'"{name[0]}"."{name[1]}"'
    relation = state.cursor().sql(f"SELECT * FROM {table}")
    sizes = [
        f'sum({size_of(scalar_name(type_), column)}) FILTER ("{column}" IS NOT NULL)'
        for column, type_ in zip(relation.columns, relation.types, strict=True)
        if columns is None or column.lower() in columns
    ]
    partitioning = state.partitioning.get(name)
    kept = kept_partitions(partitioning, asked, params) if partitioning else []
    if partitioning and partitioning.filter_required and not kept:
        raise ApiError(
            "invalidQuery",
            f"Cannot query over table '{state.project}.{name[0]}.{name[1]}' without a filter over column(s) "
            f"'{partitioning.column}' that can be used for partition elimination",
        )
    total = " + ".join(f"coalesce({size}, 0)" for size in sizes) or "0"
    [[found]] = state.cursor().execute(f"SELECT {total} FROM {table} WHERE {' AND '.join(kept) or 'true'}").fetchall()
    return int(found)


def size_of(type_: str, column: str) -> str:
    """DuckDB's expression for the bytes of a cell."""
    if type_ in TEXTS:
        return f'2 + octet_length(encode("{column}"::VARCHAR))'
    return SIZES.get(type_, "8")


def kept_partitions(partitioning: Partitioning, asked: Translated, params: list[dict]) -> list[str]:
    """The conditions on the bare partition column, widened to whole partitions. Those inside of sub-queries are not looked at."""
    trunc = f"date_trunc('{partitioning.unit}', \"{partitioning.column}\")"
    found = []
    for condition in conjuncts(asked.tree):
        parts = list(condition.unnest().flatten()) if isinstance(condition.unnest(), exp.Or) else [condition.unnest()]
        texts = [text for part in parts if (text := on_partition(part, partitioning, trunc, params))]
        if len(texts) == len(parts):
            found.append(f"({' OR '.join(texts)})")
    return found


def on_partition(part: exp.Expr, partitioning: Partitioning, trunc: str, params: list[dict]) -> str | None:
    """One comparison of the bare partition column with a constant, or None."""
    column = part.this
    if not isinstance(column, exp.Column) or column.name.lower() != partitioning.column.lower():
        return None
    if isinstance(part, exp.Is):
        return f'"{partitioning.column}" IS NULL'
    if isinstance(part, exp.GT | exp.GTE | exp.LT | exp.LTE) and isinstance(part.expression, exp.Parameter):
        bound = duckdb_node(part.expression, params).sql("duckdb")
        if isinstance(part, exp.LT | exp.LTE):
            return f"{trunc} {'<' if isinstance(part, exp.LT) else '<='} {bound}"
        return f"{trunc} >= date_trunc('{partitioning.unit}', {bound})"
    return None


def billed(read: int, tables: int) -> int:
    """The bytes that are paid for."""
    return max(-(-read // MEGABYTE) * MEGABYTE, LEAST * tables) if read else 0
