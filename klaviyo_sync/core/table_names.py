"""The names of tables and views as people write them, read character by character: each belongs to the name, or the name is refused.

An SQL parser would drop what it takes for a comment or a clause, and another table, or the table at another moment, would be read.

Unquoted names: https://docs.snowflake.com/en/sql-reference/identifiers-syntax,
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical, https://duckdb.org/docs/stable/sql/dialect/keywords_and_identifiers
"""

from __future__ import annotations

import re

from klaviyo_sync.core.dialects import Dialect
from klaviyo_sync.core.errors import ConfigError

MOST_PARTS = 3
QUOTES = "\"`'"
LEGACY = re.compile(r"([\w-]+):([\w-]+\.[\w$-]+)")
OF_A_DOMAIN = re.compile(r"((?:[\w-]+\.)+[\w-]+:[\w-]+)(\..+)?")


def name_parts(dataset: str, dialect: Dialect) -> tuple[str, ...]:
    """The parts of a name, first the widest, unquoted ones folded as the warehouse folds them.

    Raises ConfigError, with what to do, for a text in which a character does not belong to a name of one to three parts.
    """
    quote = dialect.quote
    part = re.compile(f"{quote}((?:[^{quote}]|{quote}{quote})+){quote}|({dialect.bare_name})")
    parts: list[str] = []
    at = 0
    while True:
        match = part.match(dataset, at)
        if match is None:
            raise refused(dataset, dataset[at:], dialect)
        quoted, bare = match.groups()
        if quoted is None:
            parts.append(bare.upper() if dialect.folds_to_upper_case else bare)
        else:
            parts += within_quotes(dataset, quoted.replace(quote * 2, quote), dialect)
        at = match.end()
        if at == len(dataset):
            break
        if dataset[at] != ".":
            raise refused(dataset, dataset[at:], dialect)
        at += 1
    if len(parts) > MOST_PARTS:
        raise not_a_name(dataset, f"it has {len(parts)} parts; expected {dialect.name_shape}")
    return tuple(parts)


def within_quotes(dataset: str, quoted: str, dialect: Dialect) -> list[str]:
    """What stands inside a pair of quotes: one part, or several where the warehouse lets quotes stand around a whole name."""
    if not dialect.quotes_whole_names:
        return [quoted]
    project = OF_A_DOMAIN.match(quoted)
    pieces = quoted.split(".") if project is None else [project[1], *(project[2] or "").split(".")[1:]]
    if "" in pieces or (project is None and ":" in quoted):
        raise refused(dataset, quoted, dialect)
    return pieces


def not_a_name(dataset: str, why: str) -> ConfigError:
    """The error for a text that is no name."""
    return ConfigError(f"dataset {dataset!r} is not the name of a table or view: {why}.")


def refused(dataset: str, rest: str, dialect: Dialect) -> ConfigError:
    """The error for a text whose `rest` does not belong to a name, with the way to say what was probably meant."""
    legacy, domain = LEGACY.fullmatch(dataset.replace(dialect.quote, "")), OF_A_DOMAIN.fullmatch(dataset)
    if "{{" in dataset or "{%" in dataset:
        why = "it holds Jinja, which only dbt fills in; write the name of the table that dbt builds, as `dbt compile` prints it"
    elif not dataset.strip(" \t\r\n" + dialect.quote):
        why = f"it is empty; expected {dialect.name_shape}"
    elif dataset != dataset.strip():
        why = "white space stands around it; take it out"
    elif dialect.quotes_whole_names and domain:
        why = f"a project of a domain needs quotes; write {in_yaml(f'`{domain[1]}`{domain[2] or str()}')}"
    elif dialect.quotes_whole_names and legacy:
        why = f"that is how legacy SQL writes it; write {in_yaml(f'{legacy[1]}.{legacy[2]}')}"
    elif dialect.folds_to_upper_case and re.fullmatch(r"[^.]+\.\.[^.]+", dataset):
        why = f"two dots stand for the schema PUBLIC; write {in_yaml(dataset.replace('..', '.PUBLIC.'))}"
    elif rest[:1] in ("", "."):
        why = f"a part of it is empty; expected {dialect.name_shape}"
    elif rest.startswith("'"):
        why = f"a file is read by a query; write query: FROM {dataset}"
    elif rest[0] in QUOTES and rest[0] != dialect.quote and rest.count(rest[0]) > 1:
        why = f"{dialect.name} quotes names with {dialect.quote}; write {in_yaml(dataset.replace(rest[0], dialect.quote))}"
    else:
        why = (
            f"{rest!r} does not belong to an unquoted name. If it is part of the name, quote it, in the warehouse's own spelling: "
            f"{in_yaml(quoted_where_needed(dataset, dialect))}. If it is SQL, write a SELECT as query, instead of dataset"
        )
    return not_a_name(dataset, why)


def quoted_where_needed(dataset: str, dialect: Dialect) -> str:
    """The name with quotes around each part between dots that needs them."""
    quote = dialect.quote
    whole = re.compile(f"{dialect.bare_name}|{quote}[^{quote}]+{quote}")
    pieces = dataset.split(".")
    return ".".join(piece if whole.fullmatch(piece) else f"{quote}{piece.replace(quote, quote * 2)}{quote}" for piece in pieces)


def in_yaml(name: str) -> str:
    """The line of YAML that says it."""
    return "dataset: " + ("'" + name.replace("'", "''") + "'" if re.search(r"[^\w.$-]", name) else name)
