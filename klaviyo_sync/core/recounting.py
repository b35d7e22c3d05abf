"""Rows counted again: how many rows each of many neighbouring spans of `modified_at` holds, in one query."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import pairwise
from math import gcd

from sqlglot import exp

from klaviyo_sync.core.query import Column, Param, Query, Relation, bound_value, find_column, modified_kind, source_column
from klaviyo_sync.core.sync import Sync

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recount:
    """A query whose rows are (the start of a piece of time, its number of rows), and the spans that the pieces make up.

    `edges` are microseconds since 1970, as the column tells time: a wall clock's as if it were that of UTC.
    """

    query: Query
    edges: Sequence[int]

    def spans(self, pieces: Iterable[tuple[int, int]]) -> list[int]:
        """The number of rows between each two neighbouring edges, from the rows of the query."""
        found = [0] * (len(self.edges) - 1)
        for start, rows in pieces:
            found[bisect_right(self.edges, start) - 1] += rows
        return found


def microseconds(bound: datetime | date) -> int:
    """Microseconds since 1970 of a bound as the column tells time."""
    moment = bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day, tzinfo=UTC)
    return (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def recount(sync: Sync, read: Relation, columns: Sequence[Column], cuts: Sequence[datetime]) -> Recount:
    """The count of the rows between each two neighbouring `cuts` (in order, the first inclusive, the last exclusive).

    Pieces are as long as all spans allow (an hour for hourly windows), and are told apart in whole microseconds: quotients of
    decimals are rounded in Snowflake (https://docs.snowflake.com/en/sql-reference/operators-arithmetic). No function stands on
    `modified_at` where rows are chosen, so that the warehouse need not read the others.
    """
    modified = find_column(sync.modified_at.column, columns, sync.dataset or "the query")
    column, dialect = source_column(modified, read.dialect), read.dialect
    kind = modified_kind(modified, dialect, sync.dataset or "the query")
    bounds = [bound_value(cut, kind, sync.zone, down=True) for cut in cuts]
    edges = [microseconds(bound) for bound in bounds]
    step = reduce(gcd, (end - start for start, end in pairwise(edges)), 0) or 1
    moment = dialect.microseconds(column)
    since = exp.Paren(this=exp.Sub(this=moment.copy(), expression=exp.Literal.number(edges[0])))
    piece = exp.Sub(this=moment, expression=exp.Mod(this=since, expression=exp.Literal.number(step)))
    query = (
        read.select()
        .select(exp.alias_(piece, "piece"), exp.alias_(exp.Count(this=exp.Star()), "found"))
        .where(exp.GTE(this=column.copy(), expression=dialect.placeholder("lower")))
        .where(exp.LT(this=column.copy(), expression=dialect.placeholder("upper")))
        .group_by(exp.Literal.number(1))  # by place: a name could also be a column's
    )
    params = (Param("lower", modified.type, bounds[0]), Param("upper", modified.type, bounds[-1]))
    return Recount(Query(read.sql(query), params), edges)
