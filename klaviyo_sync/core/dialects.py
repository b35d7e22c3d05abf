"""What the three warehouses spell differently: column types, placeholders, and a few functions. One entry, one warehouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "time", "instant", "wall", "list", "json", "binary"]


@dataclass(frozen=True)
class Dialect:
    """How one warehouse spells what the query builder needs.

    `kinds` maps a regular expression over the warehouse's own type names to our kinds, first match wins. `to_json` writes a
    column of a given type as JSON text. `read_as_text` are the types that the warehouse must write as text, as Arrow would lose
    a part of them. `microseconds` are those since 1970 of a moment or date; a wall clock's as if it were that of UTC. `bare_name` is a
    regular expression for a part of a name that needs no `quote`s; `quotes_whole_names` when those may stand around dots. `comment` is what
    begins a comment to the end of a line, as a regular expression.
    """

    name: str
    kinds: tuple[tuple[str, Kind], ...]
    placeholder: Callable[[str], exp.Expr]
    to_json: Callable[[exp.Expr, str], exp.Expr]
    microseconds: Callable[[exp.Expr], exp.Expr]
    folds_to_upper_case: bool = False
    illegal_in_names: str = r"\x00"
    quote: str = '"'
    bare_name: str = r"[^\W\d][\w$]*"
    quotes_whole_names: bool = False
    name_shape: str = "[database.]schema.table"
    comment: str = "--"
    read_as_text: str = r"(?!)"

    def kind(self, type_name: str) -> Kind | None:
        """Our kind of a column type, or None for a type that cannot be sent."""
        for pattern, kind in self.kinds:
            if re.match(pattern, type_name, re.IGNORECASE):
                return kind
        return None


def function(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function call, spelled as it stands in every dialect."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def duckdb_json(column: exp.Expr, type_name: str) -> exp.Expr:
    """JSON columns are text already; to_json would parse them again."""
    return exp.cast(column if type_name == "JSON" else function("TO_JSON", column), "varchar")


def snowflake_json(column: exp.Expr, type_name: str) -> exp.Expr:
    """TO_JSON takes a VARIANT. A place becomes GeoJSON; structured types are widened first.

    https://docs.snowflake.com/en/sql-reference/functions/to_json
    """
    if re.match(r"GEO", type_name, re.IGNORECASE):
        column = function("ST_ASGEOJSON", column)
    elif not re.match(r"VARIANT\b", type_name, re.IGNORECASE):
        column = exp.cast(column, "variant", dialect="snowflake")
    return function("TO_JSON", column)


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            name="duckdb",
            kinds=(
                (r".*\[\d*\]$", "list"),
                (r"(STRUCT|MAP|UNION|JSON|VARIANT)\b", "json"),
                (r"(VARCHAR|UUID|ENUM|CHAR|TEXT|INTERVAL|\"NULL\")", "text"),
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
            microseconds=lambda column: function("EPOCH_US", column),
            read_as_text=r"(INTERVAL|TIME WITH TIME ZONE)\b",
        ),
        Dialect(
            name="snowflake",
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
            to_json=snowflake_json,
            microseconds=lambda column: function("DATE_PART", exp.var("EPOCH_MICROSECOND"), column),
            folds_to_upper_case=True,
            bare_name=r"[A-Za-z_][A-Za-z0-9_$]*",
            comment="--|//",
        ),
        Dialect(
            name="bigquery",
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
            microseconds=lambda column: function("UNIX_MICROS", exp.cast(column, "timestamp", dialect="bigquery")),
            # BIGNUMERIC has more digits than most readers of Arrow can hold.
            read_as_text=r"(INTERVAL|BIGNUMERIC)\b",
            # GoogleSQL has no escape for these inside back-quoted names.
            illegal_in_names=r"[`\\\x00-\x1f]",
            quote="`",
            bare_name=r"\w+(?:-\w+)*",
            quotes_whole_names=True,
            name_shape="[project.]dataset.table",
            comment="--|#",
        ),
    )
}
