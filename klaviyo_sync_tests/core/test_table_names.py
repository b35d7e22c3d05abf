"""The names of datasets: each character belongs to the name, or the name is refused with what to write instead."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klaviyo_sync.core.dialects import DIALECTS, Dialect
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import table
from klaviyo_sync.core.table_names import name_parts

# What tempts a parser to drop something: comments, clauses, quotes, dots.
PIECES = [
    "a",
    "B_1",
    "é",
    ".",
    "..",
    '"',
    '""',
    "`",
    "'",
    "-",
    "--",
    "#",
    "//",
    "/*",
    "*/",
    " ",
    "\n",
    ";",
    "(",
    ")",
    "$x",
    "@",
    ":",
    "*",
    "2024",
    " AT(OFFSET => -60)",
    " CHANGES(INFORMATION => DEFAULT)",
    " PIVOT(SUM(a) FOR b IN ('x'))",
    " UNPIVOT(a FOR b IN (c))",
    " SAMPLE (1)",
    " TABLESAMPLE SYSTEM (1)",
    " FOR SYSTEM_TIME AS OF '2026-01-01'",
    " AT (VERSION => 3)",
    " AS b",
    " b",
    ", b",
    " JOIN b",
    " WITH x",
    " MATCH_RECOGNIZE(a)",
    " FINAL",
    " ONLY",
    " WINDOW w",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=8).map("".join)


def spells(text: str, parts: tuple[str, ...], dialect: Dialect) -> bool:
    """Whether the text is these parts, each quoted or not, with dots between and nothing else."""
    if not parts:
        return False
    part, *rest = parts
    quote = dialect.quote
    for written in (part, f"{quote}{part.replace(quote, quote * 2)}{quote}"):
        head = text[: len(written)]
        if head == written or (dialect.folds_to_upper_case and head.upper() == written and head.isascii()):
            left = text[len(written) :]
            if (not rest and not left) or (rest and left.startswith(".") and spells(left[1:], tuple(rest), dialect)):
                return True
    return False


@pytest.mark.parametrize("dialect", DIALECTS)
@given(text=TEXTS)
@example(text="acme--dev")
@example(text="db..members")
def test_every_character_belongs_to_the_name(dialect: str, text: str) -> None:
    """For any text, the parts of the name spell it from its first character to its last, or it is refused."""
    try:
        parts = name_parts(text, DIALECTS[dialect])
    except ConfigError:
        return
    whole = text.replace("`", "") if dialect == "bigquery" else text  # there quotes may stand around several parts
    assert whole == ".".join(parts) if dialect == "bigquery" else spells(whole, parts, DIALECTS[dialect])


@pytest.mark.parametrize(
    ("dialect", "dataset", "sql"),
    [
        ("duckdb", "crm.members", '"crm"."members"'),
        ("duckdb", 'acme."crm.x"."the ""members"""', '"acme"."crm.x"."the ""members"""'),
        ("duckdb", "größe", '"größe"'),
        ("duckdb", "crm.select", '"crm"."select"'),
        ("snowflake", "crm.members", '"CRM"."MEMBERS"'),
        ("snowflake", 'crm."Members--old"', '"CRM"."Members--old"'),
        ("bigquery", "acme-dev.crm.members", "`acme-dev`.`crm`.`members`"),
        ("bigquery", "`acme--dev.crm.members#old`", "`acme--dev`.`crm`.`members#old`"),
        ("bigquery", "`example.com:acme`.crm.members", "`example.com:acme`.`crm`.`members`"),
        ("bigquery", "`example.com:acme.crm.members`", "`example.com:acme`.`crm`.`members`"),
        ("bigquery", "`crm.events_*`", "`crm`.`events_*`"),
    ],
)
def test_names(dialect: str, dataset: str, sql: str) -> None:
    """Unquoted parts are folded as the warehouse folds them, quoted ones are taken as they are."""
    assert table(dataset, DIALECTS[dialect]).sql(dialect) == sql


@pytest.mark.parametrize(
    ("dialect", "dataset", "advice"),
    [
        ("duckdb", "acme--dev", """quote it, in the warehouse's own spelling: dataset: '"acme--dev"'"""),
        ("duckdb", "crm.members AT (VERSION => 3)", "If it is SQL, write a SELECT as query"),
        ("duckdb", "crm.2024", """dataset: 'crm."2024"'"""),
        ("duckdb", "`crm`.members", """duckdb quotes names with "; write dataset: '"crm".members'"""),
        ("duckdb", "'members.csv'", "write query: FROM 'members.csv'"),
        ("duckdb", "crm.members ", "white space stands around it"),
        ("duckdb", "crm.", "a part of it is empty"),
        ("duckdb", "a.b.c.d", "it has 4 parts; expected [database.]schema.table"),
        ("snowflake", "db..members", "two dots stand for the schema PUBLIC; write dataset: db.PUBLIC.members"),
        ("snowflake", "größe", "dataset: '\"größe\"'"),
        ("snowflake", "crm.members AT(OFFSET => -3600)", "' AT(OFFSET => -3600)' does not belong"),
        ("bigquery", "acme:crm.members", "that is how legacy SQL writes it; write dataset: acme.crm.members"),
        ("bigquery", "`acme:crm.members`", "write dataset: acme.crm.members"),
        ("bigquery", "example.com:acme.crm.members", "write dataset: '`example.com:acme`.crm.members'"),
        ("bigquery", "acme--dev.crm.members", "dataset: '`acme--dev`.crm.members'"),
        ("bigquery", '"crm"."members"', "bigquery quotes names with `; write dataset: '`crm`.`members`'"),
    ],
)
def test_what_to_write_instead(dialect: str, dataset: str, advice: str) -> None:
    """A text that is no name is refused with the text that was probably meant; what is offered is then a name."""
    with pytest.raises(ConfigError, match=re.escape(f"dataset {dataset!r} is not the name of a table or view: ")) as caught:
        table(dataset, DIALECTS[dialect])
    assert advice in str(caught.value)
    if offered := re.search(r"dataset: (?:'((?:[^']|'')+)'|([\w.$-]+\w))", str(caught.value)):
        assert table((offered[1] or offered[2]).replace("''", "'"), DIALECTS[dialect])
