"""What the three warehouses spell differently: column types, placeholders, and a few functions. One entry, one warehouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "time", "instant", "wall", "list", "json", "binary"]

# White space that surrounds values in real tables, no-break and zero-width characters among it.
BLANKS = " \t\n\r\v\f\u00a0\u200b\ufeff"


@dataclass(frozen=True)
class Dialect:
    """How one warehouse spells what the query builder needs.

    `kinds` maps a regular expression over the warehouse's own type names to our kinds, first match wins. `to_json` writes a
    column of a given type as JSON text, `remove` takes out what matches a pattern, `grouped` gives a form of a text
    that is cheap to group by, NULL for NULL.
    """

    name: str
    text: str
    kinds: tuple[tuple[str, Kind], ...]
    placeholder: Callable[[str], exp.Expr]
    to_json: Callable[[exp.Expr, str], exp.Expr]
    remove: Callable[[exp.Expr, str], exp.Expr]
    grouped: Callable[[exp.Expr], exp.Expr] = lambda text: text
    folds_to_upper_case: bool = False
    inlines_ctes: bool = True
    illegal_in_names: str = r"\x00"

    def kind(self, type_name: str) -> Kind | None:
        """Our kind of a column type, or None for a type that cannot be sent."""
        for pattern, kind in self.kinds:
            if re.match(pattern, type_name, re.IGNORECASE):
                return kind
        return None


def function(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function call, spelled as it stands in every dialect."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def replace_all(text: exp.Expr, pattern: str, *flags: str) -> exp.Expr:
    """REGEXP_REPLACE with nothing; only DuckDB needs to be told that every match is meant."""
    return function("REGEXP_REPLACE", text, *(exp.Literal.string(argument) for argument in (pattern, "", *flags)))


def duckdb_json(column: exp.Expr, type_name: str) -> exp.Expr:
    """JSON columns are text already; to_json would parse them again."""
    return exp.cast(column if type_name == "JSON" else function("TO_JSON", column), "varchar")


def duckdb_hash(text: exp.Expr) -> exp.Expr:
    """Eight bytes instead of the text. Texts that share a hash are only looked at more closely."""
    return exp.Case().when(text.copy().is_(exp.null()).not_(), function("HASH", text.copy()))


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="duckdb",
            text="VARCHAR",
            kinds=(
                (r".*\[\d*\]$", "list"),
                (r"(STRUCT|MAP|UNION|JSON|VARIANT)\b", "json"),
                (r"(VARCHAR|UUID|ENUM|CHAR|TEXT|INTERVAL)\b", "text"),
                (r"(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT)\b", "integer"),
                (r"DECIMAL\b", "decimal"),
                (r"(DOUBLE|FLOAT)\b", "float"),
                (r"BOOLEAN\b", "boolean"),
                (r"TIMESTAMP WITH TIME ZONE", "instant"),
                (r"TIMESTAMP", "wall"),
                (r"DATE\b", "date"),
                (r"TIME\b", "time"),
                (r"BLOB\b", "binary"),
            ),
            placeholder=lambda name: exp.Placeholder(this=name),
            to_json=duckdb_json,
            remove=lambda text, pattern: replace_all(text, pattern, "g"),
            grouped=duckdb_hash,
            # DuckDB keeps a common table expression in memory once it is named twice.
            inlines_ctes=False,
        ),
        Dialect(
            name="snowflake",
            text="VARCHAR",
            kinds=(
                (r"ARRAY\b", "list"),
                (r"(VARIANT|OBJECT|GEOGRAPHY|GEOMETRY|MAP)\b", "json"),
                (r"(VARCHAR|TEXT|STRING|CHAR)", "text"),
                (r"(NUMBER|FIXED|DECIMAL|NUMERIC)\(\d+,\s*0\)", "integer"),
                (r"(INT|INTEGER|BIGINT|SMALLINT|TINYINT|BYTEINT)\b", "integer"),
                (r"(NUMBER|FIXED|DECIMAL|NUMERIC)", "decimal"),
                (r"(FLOAT|REAL|DOUBLE)", "float"),
                (r"BOOLEAN", "boolean"),
                (r"TIMESTAMP_(TZ|LTZ)", "instant"),
                (r"(TIMESTAMP|DATETIME)", "wall"),
                (r"DATE\b", "date"),
                (r"TIME\b", "time"),
                (r"BINARY", "binary"),
            ),
            placeholder=lambda _: exp.Placeholder(),
            to_json=lambda column, _: function("TO_JSON", column),
            remove=replace_all,
            folds_to_upper_case=True,
        ),
        Dialect(
            name="bigquery",
            text="STRING",
            kinds=(
                (r"ARRAY<", "list"),
                (r"(STRUCT|RECORD|JSON)\b", "json"),
                (r"(STRING|GEOGRAPHY|INTERVAL)\b", "text"),
                (r"(INT64|INTEGER)\b", "integer"),
                (r"(NUMERIC|BIGNUMERIC)\b", "decimal"),
                (r"(FLOAT64|FLOAT)\b", "float"),
                (r"(BOOL|BOOLEAN)\b", "boolean"),
                (r"TIMESTAMP", "instant"),
                (r"DATETIME", "wall"),
                (r"DATE\b", "date"),
                (r"TIME\b", "time"),
                (r"BYTES", "binary"),
            ),
            placeholder=lambda name: exp.Parameter(this=exp.var(name)),
            to_json=lambda column, _: function("TO_JSON_STRING", column),
            remove=replace_all,
            # GoogleSQL has no escape for these inside back-quoted names.
            illegal_in_names=r"[`\\\x00-\x1f]",
        ),
    )
}
