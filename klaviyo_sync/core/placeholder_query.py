"""Placeholders of a whole dataset, as the warehouse counts: values of an identifier beside too many different values of another.

A run sees the rows that it reads, and so finds a placeholder in one window and not in the next (`core.placeholders`). Only a list in the
configuration is alike for all windows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import pyarrow as pa
from sqlglot import exp

from klaviyo_sync.core.cleaning.cells import as_text, trimmed
from klaviyo_sync.core.dialects import Dialect
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.placeholders import MOST_BESIDE, are_placeholders, known_placeholders
from klaviyo_sync.core.query import FAR_AWAY, Column, Param, Query, Relation, bound_value, find_column, modified_kind, source_column
from klaviyo_sync.core.sync import Sync

MOST_LISTED = 20
"""Values that are listed of one identifier, those beside the most others first."""


class Placeholder(NamedTuple):
    """A value that stands for nobody, as the configuration takes it; its column, and beside how many different values of which other."""

    value: str
    column: str
    different: int
    beside: str


def compared(column: Column, dialect: Dialect) -> exp.Expr:
    """A column in the form in which its values are counted: texts in lower case without spaces around them, NULL for blank ones."""
    found: exp.Expr = source_column(column, dialect)
    kind = dialect.kind(column.type)
    if kind in ("list", "json"):
        return dialect.to_json(found, column.type)
    if kind == "text" or re.match(dialect.read_as_text, column.type, re.IGNORECASE):
        return exp.func("NULLIF", exp.Lower(this=exp.Trim(this=exp.cast(found, "varchar"))), exp.Literal.string(""))
    return found


def placeholder_query(sync: Sync, read: Relation, columns: Sequence[Column], path: str) -> Query:
    """The query for the values of an identifier that stand beside more than MOST_BESIDE different values of another one.

    One row a value: the value, then how many different values of each other identifier it stands beside, in the order of
    `sync.identifiers`. The worst come first, and not more than are listed once the known placeholders are taken out.
    """
    where = sync.dataset or "the query"
    dialect = read.dialect
    modified = find_column(sync.modified_at.column, columns, where)
    moment = bound_value(FAR_AWAY, modified_kind(modified, dialect, where), sync.zone, aligned=False)
    value = compared(find_column(sync.profile[path].column, columns, where), dialect)
    others = [compared(find_column(sync.profile[other].column, columns, where), dialect) for other in sync.identifiers if other != path]
    counts: list[exp.Expr] = [exp.Count(this=exp.Distinct(expressions=[other])) for other in others]
    many = [exp.GT(this=count.copy(), expression=exp.Literal.number(MOST_BESIDE)) for count in counts]
    shown = (exp.alias_(count.copy(), f"beside_{position}", quoted=True) for position, count in enumerate(counts))
    query = (
        read.select()
        .select(exp.alias_(value, "placeholder_value", quoted=True), *shown)
        .where(exp.LT(this=source_column(modified, dialect), expression=dialect.placeholder("bound")))  # some tables demand a bound
        .where(exp.Not(this=exp.Is(this=value.copy(), expression=exp.null())))
        .group_by(value.copy())
        .having(exp.or_(*many))
        .order_by(exp.Ordered(this=reduce(lambda one, other: one + other, counts), desc=True), exp.Ordered(this=value.copy()))
        .limit(MOST_LISTED + len(known_placeholders(sync.placeholders)))
    )
    return Query(read.sql(query), (Param("bound", modified.type, moment),))


def placeholders_in(rows: pa.Table, sync: Sync, columns: Sequence[Column], dialect: Dialect, path: str) -> list[Placeholder]:
    """The placeholders in the answer to `placeholder_query`, at most MOST_LISTED, without those that are known."""
    where = sync.dataset or "the query"
    column = find_column(sync.profile[path].column, columns, where)
    kind = dialect.kind(column.type) or "text"
    values = trimmed(as_text(rows.column(0).combine_chunks(), kind, sync.zone))
    unknown = pc.and_(values.is_valid(), pc.invert(are_placeholders(values, known_placeholders(sync.placeholders))))
    names = [sync.profile[other].column for other in sync.identifiers if other != path]
    counts = [[int(count) for count in rows.column(1 + position).to_pylist()] for position in range(len(names))]
    listed: list[Placeholder] = []
    for value, new, *different in zip(values.to_pylist(), unknown.to_pylist(), *counts, strict=True):
        if new and len(listed) < MOST_LISTED:
            most = max(different)
            listed.append(Placeholder(value, sync.profile[path].column, most, names[different.index(most)]))
    return listed
