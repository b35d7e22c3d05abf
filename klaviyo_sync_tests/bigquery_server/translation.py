"""A GoogleSQL query as DuckDB runs it, refused where BigQuery would refuse it before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from bigquery_server.answers import ApiError
from bigquery_server.state import Account, State
from bigquery_server.values import scalar_name

COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
SQL_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}
RESERVED_PREFIXES = ("_PARTITION", "_TABLE_", "_FILE_", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER")
FIELD_NAME = re.compile(r"[\w &%=+:'<>#|-]{1,300}")
INGESTION = "_PARTITIONTIME"

Name = tuple[str, str]


@dataclass
class Translated:
    """DuckDB's SQL, what was asked of which tables, and the columns of the result that the server writes as text itself."""

    sql: str
    tree: exp.Query
    tables: list[Name] = field(default_factory=list)
    written_as: dict[int, str] = field(default_factory=dict)


def translate(state: State, account: Account, text: str, params: Sequence[dict[str, Any]]) -> Translated:
    """The query. Raises ApiError for what BigQuery refuses before it runs anything."""
    try:
        [parsed] = sqlglot.parse(text, read="bigquery")
    except (SqlglotError, ValueError) as error:
        raise ApiError("invalidQuery", f"Syntax error: {str(error).splitlines()[0]}") from None
    if not isinstance(parsed, exp.Query):
        raise ApiError("accessDenied", "Access Denied: this account may only read.")
    check_names(parsed)
    tables: list[Name] = []
    named = names_of_ctes(parsed)
    resolved = parsed.transform(lambda node: table_of(state, account, node, named, tables))
    assert isinstance(resolved, exp.Query)
    check_comparisons(state, resolved, params)
    written_as = take_out_texts(resolved, exact_json=state.exact_json)
    bound = resolved.transform(lambda node: duckdb_node(node, params))
    hide_ingestion_time(state, bound)
    return Translated(bound.sql("duckdb"), resolved, list(dict.fromkeys(tables)), written_as)


def names_of_ctes(tree: exp.Expr) -> set[str]:
    """The names that WITH gives."""
    return {cte.alias for cte in tree.find_all(exp.CTE)}


def check_names(tree: exp.Query) -> None:
    """Columns of a result must have names that BigQuery takes."""
    names = [name for name in tree.named_selects if name != "*"]
    for name in names:
        if not FIELD_NAME.fullmatch(name):
            raise ApiError("invalidQuery", f'Invalid field name "{name}".')
        if name.upper().startswith(RESERVED_PREFIXES):
            raise ApiError(
                "invalidQuery", f'Invalid field name "{name}". Field names are not allowed to start with the prefix {RESERVED_PREFIXES[0]}.'
            )


def table_of(state: State, account: Account, node: exp.Expr, ctes: set[str], tables: list[Name]) -> exp.Expr:
    """A table by its DuckDB name. BigQuery minds the case of names, and says of what may not be read that it may not exist."""
    if not isinstance(node, exp.Table) or not node.name:
        return node
    parts = [part for whole in node.parts for part in whole.name.split(".")]
    if len(parts) == 1:
        if parts[0] in ctes:
            return node
        raise ApiError("invalid", f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).')
    project, dataset, name = [state.project, *parts][-3:]
    if project != state.project:
        raise ApiError("accessDenied", f"Access Denied: Project {project}: User does not have permission to query tables in it.")
    shown = f"{project}:{dataset}.{name}"
    if account.reads is not None and dataset not in account.reads:
        raise ApiError(
            "accessDenied",
            f"Access Denied: Table {shown}: User does not have permission to query table {shown}, or perhaps it does not exist.",
        )
    known = state.cursor().execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
    if dataset not in {schema for schema, _ in known}:
        raise ApiError("notFound", f"Not found: Dataset {project}:{dataset} was not found in location {state.location}")
    if (dataset, name) not in known:
        raise ApiError("notFound", f"Not found: Table {shown} was not found in location {state.location}")
    tables.append((dataset, name))
    alias = node.alias or (name if isinstance(node.parent, exp.From | exp.Join) else None)
    return exp.table_(exp.to_identifier(name, quoted=True), db=exp.to_identifier(dataset, quoted=True), alias=alias)


def check_comparisons(state: State, tree: exp.Query, params: Sequence[dict[str, Any]]) -> None:
    """BigQuery compares a column with a parameter of its own type only, save for a few coercions that we never need."""
    types = {param.get("name"): param["parameterType"]["type"] for param in params}
    for comparison in tree.find_all(*COMPARISONS):
        column, param = comparison.this, comparison.expression
        select = comparison.find_ancestor(exp.Select)
        if isinstance(column, exp.Column) and isinstance(param, exp.Parameter) and select is not None:
            if param.name not in types:
                raise ApiError("invalidQuery", f"Query parameter '{param.name}' not found at [1:1]")
            probe = exp.select(column.copy()).from_(select.args["from_"].this.copy())
            found = scalar_name(described(state, probe.sql("duckdb")).types[0])
            if SQL_NAMES.get(found, found) != types[param.name]:
                raise ApiError(
                    "invalidQuery",
                    f"No matching signature for operator {comparison.key.upper()} for argument types: {found}, {types[param.name]}",
                )


def described(state: State, sql: str) -> duckdb.DuckDBPyRelation:
    """A query's lazy result. Raises ApiError for names that are not there."""
    try:
        return state.cursor().sql(sql)
    except duckdb.Error as error:
        raise ApiError("invalidQuery", f"Unrecognized name or function: {str(error).splitlines()[0]}") from None


def take_out_texts(tree: exp.Query, *, exact_json: bool) -> dict[int, str]:
    """Leaves TO_JSON_STRING(x) and CAST(x AS STRING) of the outermost SELECT to the server, which writes them as BigQuery does."""
    found: dict[int, str] = {}
    for position, selected in enumerate(tree.selects if isinstance(tree, exp.Select) else ()):
        inner = selected.unalias()
        if isinstance(inner, exp.JSONFormat) and not exact_json:
            inner.replace(exp.func("COALESCE", exp.cast(exp.Anonymous(this="TO_JSON", expressions=[inner.this]), "text"), "'null'"))
            continue
        if isinstance(inner, exp.JSONFormat):
            found[position] = "json"
        elif isinstance(inner, exp.Cast) and inner.to.this == exp.DataType.Type.TEXT:
            found[position] = "text"
        else:
            continue
        inner.replace(inner.this)
    return found


def duckdb_node(node: exp.Expr, params: Sequence[dict[str, Any]]) -> exp.Expr:
    """What DuckDB spells, or means, differently."""
    if isinstance(node, exp.Parameter):
        found = next((param for param in params if param.get("name") == node.name), None)
        if found is None:
            raise ApiError("invalidQuery", f"Query parameter '{node.name}' not found at [1:1]")
        value = exp.Literal.string(found["parameterValue"]["value"])
        return exp.cast(value, exp.DataType.build(found["parameterType"]["type"], dialect="bigquery"))
    if isinstance(node, exp.DataType) and not node.expressions and node.this == exp.DataType.Type.DECIMAL:
        return exp.DataType.build("DECIMAL(38, 9)")
    if isinstance(node, exp.DataType) and not node.expressions and node.this == exp.DataType.Type.BIGDECIMAL:
        return exp.DataType.build("DECIMAL(38, 19)")
    if isinstance(node, exp.Literal) and node.is_number and not node.is_int:  # FLOAT64 in BigQuery
        return exp.cast(node.copy(), "double")
    return node


def hide_ingestion_time(state: State, tree: exp.Expr) -> None:
    """SELECT * does not show the time of ingestion."""
    for star in tree.find_all(exp.Star):
        select = star.find_ancestor(exp.Select)
        source = select.args["from_"].this if select is not None and select.args.get("from_") else None
        if isinstance(source, exp.Table) and getattr(state.partitioning.get((source.db, source.name)), "column", None) == INGESTION:
            star.set("except_", [exp.to_identifier(INGESTION, quoted=True)])


def statement(text: str) -> str:
    """DuckDB's SQL for a statement of GoogleSQL that makes or fills a table: what a test runs, never the product."""

    def node_of(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Table) and node.db:
            return exp.table_(
                exp.to_identifier(node.name, quoted=True), db=exp.to_identifier(node.db, quoted=True), alias=node.alias or None
            )
        return duckdb_node(node, [])

    return sqlglot.parse_one(text, read="bigquery").transform(node_of).sql("duckdb")


def conjuncts(tree: exp.Query) -> Iterator[exp.Expr]:
    """The conditions of the outermost WHERE that all must hold."""
    where = tree.args.get("where")
    if where is not None:
        yield from where.this.unnest().flatten() if isinstance(where.this.unnest(), exp.And) else (where.this.unnest(),)
