"""The one SQL builder: the rows of some windows, or only their identifiers, as a query of the warehouse's dialect."""

from __future__ import annotations

import difflib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from klaviyo_sync.core.dialects import DIALECTS, Dialect, Kind
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.table_names import name_parts
from klaviyo_sync.core.visible import visible

NAME_PARTS = ("this", "db", "catalog")  # as sqlglot calls the parts of a table's name, last first
WRITES = (exp.Into, exp.Lock, exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command)
SOURCE = "src"
FAR_AWAY = datetime(9000, 1, 1, tzinfo=UTC)
MOST_LISTED, MOST_NAMED = 20, 5  # column names in a message: of a table with few of them, and of one with many
JINJA = re.compile(r"\{\{|\{%|\{#")
# Inside of a text only what dbt knows: two braces may be meant there.
DBT = re.compile(
    r"\{\{-?\s*(ref|source|var|env_var|this|target|config|model|run_started_at)\b|\{%-?\s*(if|for|set|macro|do|else|endif|endfor)\b"
)
TEXTS_AND_COMMENTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """A column as the warehouse knows it: its real name, and its type in the warehouse's words."""

    name: str
    type: str


@dataclass(frozen=True)
class Param:
    """A bound value. `type` is the warehouse's type of the column that it is compared with."""

    name: str
    type: str
    value: datetime | date


@dataclass(frozen=True)
class Query:
    """SQL text and the values to bind, in the order in which they stand in the text."""

    sql: str
    params: tuple[Param, ...] = ()


def illegal(name: str, dialect: Dialect) -> bool:
    """Whether the warehouse has no way to quote this name."""
    return not name or re.search(dialect.illegal_in_names, name) is not None


def identifier(name: str, dialect: Dialect) -> exp.Identifier:
    """The quoted name. Raises ConfigError for one that cannot be quoted."""
    if illegal(name, dialect):
        raise ConfigError(f"{name!r} cannot be quoted as a name in {dialect.name}; rename it, or select it under another name in a query.")
    return exp.to_identifier(name, quoted=True)


def table(dataset: str, dialect: Dialect) -> exp.Table:
    """The quoted table or view. Raises ConfigError for a text that is not, from its first character to its last, one name."""
    parts = reversed(name_parts(dataset, dialect))
    return exp.Table(**dict(zip(NAME_PARTS, (identifier(name, dialect) for name in parts), strict=False)))


def select_text(text: str, dialect: Dialect) -> str:
    """The user's SELECT as it was written, less a final semicolon. Raises ConfigError unless it is one SELECT and nothing else."""
    if JINJA.search(TEXTS_AND_COMMENTS.sub("", text)) or DBT.search(text):
        raise ConfigError(
            "query holds Jinja ({{ or {%), which only dbt fills in. Run `dbt compile` and take the SQL that it writes to target/compiled, "
            "or name the table that dbt builds as dataset."
        )
    try:
        statements = [statement for statement in sqlglot.parse(text, read=dialect.name) if statement is not None]
        tokens = sqlglot.tokenize(text, read=dialect.name)
    except SqlglotError as error:
        raise ConfigError(f"query is not SQL that {dialect.name} understands: {str(error).splitlines()[0]}") from None
    statements = [statement for statement in statements if not isinstance(statement, exp.Semicolon)]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query) or statements[0].find(*WRITES):
        raise ConfigError("query is not exactly one SELECT; nothing else is run in the warehouse.")
    if (parameter := parameter_in(statements[0], dialect)) is not None:
        raise ConfigError(f"query has the parameter {parameter}, and nothing fills it; write the value in its place.")
    while tokens and tokens[-1].token_type == sqlglot.TokenType.SEMICOLON:
        tokens.pop()
    return text[: tokens[-1].end + 1]


def parameter_in(statement: exp.Query, dialect: Dialect) -> str | None:
    """The first parameter of a query, as it is written: the values that are bound are those of the windows alone."""
    kinds = (exp.Placeholder, exp.Parameter) if dialect.name == "bigquery" else (exp.Placeholder,)  # Snowflake has $variables
    parameters = (one for one in statement.find_all(*kinds) if not isinstance(one.parent, exp.Parameter))
    return next((name for name in (one.sql(dialect.name) for one in parameters) if not name.startswith("@@")), None)


@dataclass(frozen=True)
class Relation:
    """What is read, once it is checked: SQL that can stand behind FROM."""

    dialect: Dialect
    source: exp.Table
    text: str | None = None

    def sql(self, query: exp.Expr) -> str:
        """The query's text, with the user's own SELECT put back unchanged where it stood for a table."""
        sql = query.sql(self.dialect.name)
        return sql if self.text is None else sql.replace(self.source.name, f"(\n{self.text}\n)")

    def select(self) -> exp.Select:
        """An empty SELECT from it."""
        return exp.select().from_(exp.alias_(self.source.copy(), SOURCE, table=True))


def relation(sync: Sync, dialect_name: str) -> Relation:
    """The sync's dataset or query as a relation. Raises ConfigError when it is neither a name nor one SELECT."""
    dialect = DIALECTS[dialect_name]
    if sync.dataset is not None:
        return Relation(dialect, table(sync.dataset, dialect))
    marker = "query_" + secrets.token_hex(8)
    return Relation(dialect, exp.to_table(marker), select_text(sync.query or "", dialect))


def columns_query(read: Relation) -> Query:
    """A query with all columns and no rows, for warehouses that describe results rather than tables."""
    return Query(read.sql(read.select().select("*").where(exp.false())))


def find_column(wanted: str, columns: Sequence[Column], where: str) -> Column:
    """The column of exactly this name, else the only one that differs in case alone. Raises ConfigError otherwise."""
    exact = [column for column in columns if column.name == wanted]
    alike = exact or [column for column in columns if column.name.casefold() == wanted.casefold()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        names = ", ".join(visible(column.name) for column in alike)
        raise ConfigError(f"column {wanted!r} of {where} could be {names}; write it exactly as one of them.")
    raise ConfigError(f"column {wanted!r} does not exist in {where}. {nearest_names(wanted, [column.name for column in columns])}")


def nearest_names(wanted: str, names: Sequence[str]) -> str:
    """The name that was probably meant, and all names where they are few; else the nearest ones and how many there are."""
    names = [visible(name) for name in names]
    by_folded = {name.casefold(): name for name in names}
    near = [by_folded[folded] for folded in difflib.get_close_matches(wanted.casefold(), by_folded, n=MOST_NAMED)]
    hint = f"Did you mean {near[0]}? " if near else ""
    if len(names) <= MOST_LISTED:
        return f"{hint}It has: {', '.join(names)}."
    others = f"the nearest are {', '.join(near)}" if near else f"none is spelled like {wanted}"
    return f"{hint}It has {len(names):,} columns; {others}."


def wall_clock_bound(moment: datetime, zone: ZoneInfo) -> datetime:
    """The wall-clock time (naive) from which on rows belong to `moment` or later.

    In the hour that a zone repeats, a wall-clock time stands for its second occurrence, so that a row that was written
    during the first one is never looked for before it exists. The bound never goes back as moments go on: each
    wall-clock time lies in exactly one of two adjoining windows.
    """
    local = moment.astimezone(zone)
    wall = local.replace(tzinfo=None)
    if local.fold or wall.replace(tzinfo=zone, fold=1).utcoffset() == local.utcoffset():
        return wall
    repeated = (local.utcoffset() or timedelta()) - (wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta())
    low, high = moment.astimezone(UTC), moment.astimezone(UTC) + repeated
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == local.utcoffset() else (low, middle)
    return high.astimezone(zone).replace(tzinfo=None)


def just_after(moment: datetime) -> datetime:
    """The next moment that a warehouse can tell apart: an exclusive bound that lets `moment` itself in."""
    return moment + timedelta(microseconds=1)


def bound_value(moment: datetime, kind: Kind, zone: ZoneInfo, *, aligned: bool = True, down: bool = False) -> datetime | date:
    """What a `modified_at` column of this kind is compared with.

    A DATE column can only tell days apart: other bounds move `down` to the day's start, else raise ConfigError when `aligned`, else move
    to the day's end.
    """
    if kind == "instant":
        return moment.astimezone(UTC)
    wall = wall_clock_bound(moment, zone)
    if kind == "wall":
        return wall
    if down:
        return wall.date()
    if aligned and wall.time() != datetime.min.time():
        raise ConfigError(
            f"modified_at is a DATE, but windows of this frequency end at {wall:%H:%M}; "
            "use daily, weekly or monthly windows, or a column with the time of day.",
            key=("frequency",),
        )
    return wall.date() if wall.time() == datetime.min.time() else wall.date() + timedelta(days=1)


def modified_kind(column: Column, dialect: Dialect, where: str) -> Kind:
    """The kind of the `modified_at` column. Raises ConfigError when its type is not a moment."""
    kind = dialect.kind(column.type)
    if kind not in ("instant", "wall", "date"):
        raise ConfigError(f"modified_at: column {column.name!r} of {where} is {column.type}; expected a timestamp or a date.")
    return kind


def source_column(column: Column, dialect: Dialect) -> exp.Column:
    """The column of what is read."""
    return exp.column(identifier(column.name, dialect), table=exp.to_identifier(SOURCE))


def window_query(
    sync: Sync,
    read: Relation,
    columns: Sequence[Column],
    *,
    lower: datetime | None,
    upper: datetime | None,
    names: Sequence[str] | None = None,
    aligned: bool = True,
) -> Query:
    """The query for the rows with `lower <= modified_at < upper`: the sync's columns, or those of `names`, as the YAML names them.

    None is no bound. With `aligned` a DATE column must be able to tell the upper bound exactly; without, whole days are taken.

    Structs, lists and JSON come as JSON text. Raises ConfigError for missing or ambiguous columns, and for a `modified_at`
    that is not a moment.
    """
    dialect = read.dialect
    where = sync.dataset or "the query"
    modified = find_column(sync.modified_at.column, columns, where)
    kind = modified_kind(modified, dialect, where)
    params: list[Param] = []

    def cell(name: str) -> exp.Expr:
        column = find_column(name, columns, where)
        found: exp.Expr = source_column(column, dialect)
        if dialect.kind(column.type) in ("list", "json"):
            found = dialect.to_json(found, column.type)
        elif re.match(dialect.read_as_text, column.type, re.IGNORECASE):
            found = exp.cast(found, "varchar")
        return exp.alias_(found, identifier(name, dialect))

    def compare(operator: type[exp.Binary], name: str, moment: datetime) -> exp.Expr:
        params.append(Param(name, modified.type, bound_value(moment, kind, sync.zone, aligned=aligned, down=name == "lower")))
        return operator(this=source_column(modified, dialect), expression=dialect.placeholder(name))

    query = read.select().select(*map(cell, sync.columns() if names is None else names))
    if lower is not None:
        query = query.where(compare(exp.GTE, "lower", lower))
    if upper is not None:
        query = query.where(compare(exp.LT, "upper", upper))
    return Query(read.sql(query), tuple(params))


def outside_query(sync: Sync, read: Relation, columns: Sequence[Column], *, now: datetime) -> Query:
    """The query for the rows that no window holds: one row with `undated` (modified_at is NULL) and `future` (after `now`).

    Only such rows are looked at, so that a warehouse need not read the others to count them.
    """
    where = sync.dataset or "the query"
    modified = find_column(sync.modified_at.column, columns, where)
    column = source_column(modified, read.dialect)
    moment = bound_value(just_after(now), modified_kind(modified, read.dialect, where), sync.zone, aligned=False)
    future = exp.Count(this=column.copy())
    undated = exp.Sub(this=exp.Count(this=exp.Star()), expression=future.copy())
    outside = exp.or_(column.is_(exp.null()), exp.GTE(this=column.copy(), expression=read.dialect.placeholder("now")))
    query = read.select().select(exp.alias_(undated, "undated"), exp.alias_(future, "future")).where(outside)
    return Query(read.sql(query), (Param("now", modified.type, moment),))


def span_query(sync: Sync, read: Relation, columns: Sequence[Column], *, after: datetime | None) -> Query:
    """The query for the span of `modified_at`, over all rows or those `after` a moment: one row with `dated`, `oldest` and `newest`.

    Only that column is read.
    """
    where = sync.dataset or "the query"
    modified = find_column(sync.modified_at.column, columns, where)
    column = source_column(modified, read.dialect)
    kind = modified_kind(modified, read.dialect, where)
    moment = bound_value(FAR_AWAY if after is None else just_after(after), kind, sync.zone, aligned=False)
    counts = (
        exp.alias_(exp.Count(this=column.copy()), "dated"),
        exp.alias_(exp.Min(this=column.copy()), "oldest"),
        exp.alias_(exp.Max(this=column.copy()), "newest"),
    )
    operator = exp.LT if after is None else exp.GTE  # a bound in any case: some tables demand one
    query = read.select().select(*counts).where(operator(this=column, expression=read.dialect.placeholder("bound")))
    return Query(read.sql(query), (Param("bound", modified.type, moment),))


def extent_query(sync: Sync, read: Relation, columns: Sequence[Column], *, now: datetime) -> Query:
    """The query for how much there is: one row with `found` (rows up to `now`) and `newest` (their last modified_at)."""
    where = sync.dataset or "the query"
    modified = find_column(sync.modified_at.column, columns, where)
    column = source_column(modified, read.dialect)
    moment = bound_value(just_after(now), modified_kind(modified, read.dialect, where), sync.zone, aligned=False)
    selected = (exp.alias_(exp.Count(this=exp.Star()), "found"), exp.alias_(exp.Max(this=column.copy()), "newest"))
    past = exp.LT(this=column, expression=read.dialect.placeholder("now"))
    return Query(read.sql(read.select().select(*selected).where(past)), (Param("now", modified.type, moment),))
