"""Queries: fakesnow runs them, this binds their values exactly and answers in chunks."""

from __future__ import annotations

import gzip
import re
import uuid
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import snowflake.connector.errors
import sqlglot
from fakesnow.rowtype import describe_as_rowtype
from sqlglot import exp

from snowflake_server.arrows import stream
from snowflake_server.failing import NO_WAREHOUSE, Answer, denied, in_snowflakes_words, missing
from snowflake_server.state import Session, State, quiet

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock
SELECT_ID = 4096


def answer(state: State, session: Session, body: dict[str, Any], address: str) -> dict[str, Any] | Answer:
    """The answer to a query request."""
    sql, bound = body["sqlText"], body.get("bindings") or {}
    state.queries.append(sql)
    if not re.match(r"\s*(SELECT|WITH|\()", sql, re.IGNORECASE):
        return Answer(code="003001", message="SQL access control error:\nInsufficient privileges to operate on account", sql_state="42501")
    for names, refusal in ((session.account.hidden, missing), (session.account.denied, denied)):
        for name in names:
            if f'"{name}"' in sql:
                return refusal(name)
    describing = bool(body.get("describeOnly"))
    if not describing and session.warehouse is None:
        return NO_WAREHOUSE
    key = f"{describing} {sql} {bound}"
    if key in state.results:
        return {"data": state.results[key], "success": True}
    with state.lock:
        try:
            found = run(state, session, sql, bound, describing=describing)
        except snowflake.connector.errors.Error as error:
            return in_snowflakes_words(error.errno, str(error.raw_msg), error.sqlstate)
        table, columns = found
    data = result(state, session, table, columns, address)
    state.results[data["queryId"]] = data
    if state.keep_results:
        state.results[key] = data
    return {"data": data, "success": True}


def run(state: State, session: Session, sql: str, bound: dict[str, Any], *, describing: bool) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The rows of a query, and its columns as Snowflake describes them."""
    cursor = session.connection.cursor()
    cursor._inline_variables = lambda sql: sql  # it would look for variables inside texts, too
    values = tuple(value_of(bound[str(position)]) for position in range(1, len(bound) + 1))
    with quiet():
        cursor.execute(f"SELECT * FROM ({sql}) LIMIT 0" if describing else sql, binding_params=values, server=True)
    with quiet():
        described = describe_as_rowtype(cursor._describe_last_sql())
    columns = [as_declared(dict(column), state.declared) for column in described]
    columns = [{**column, "name": name} for column, name in zip(columns, names_of(sql, columns), strict=True)]
    table = cursor._arrow_table
    assert table is not None
    if "INFORMATION_SCHEMA.TABLES" in sql and "clustering_key" in sql and table.num_rows:
        keys = pa.array([state.clustering.get(str(values[-1]))], pa.string())
        table = table.set_column(table.num_columns - 1, table.field(table.num_columns - 1).with_type(pa.string()), keys)
    session.connection.results_cache.clear()
    return table, columns


def names_of(sql: str, columns: list[dict[str, Any]]) -> list[str]:
    """The names that the query gives its columns; fakesnow drops an alias that differs from its column in case alone."""
    query = sqlglot.parse_one(sql, read="snowflake")
    return query.named_selects if isinstance(query, exp.Select) and not query.is_star else [column["name"] for column in columns]


def as_declared(column: dict[str, Any], declared: dict[str, str]) -> dict[str, Any]:
    """A column with the type that its table was declared with, where fakesnow has forgotten it."""
    type_ = declared.get(column["name"], "")
    if type_.startswith("NUMBER") and column["type"] == "fixed":
        return {**column, "precision": int(re.findall(r"\d+", type_)[0])}
    forgotten = {"variant": ("ARRAY", "OBJECT", "GEOGRAPHY"), "timestamp_tz": ("TIMESTAMP_LTZ",)}
    return {**column, "type": type_.lower()} if type_ in forgotten.get(column["type"], ()) else column


def value_of(binding: dict[str, Any]) -> Any:
    """A bound value, to the microsecond; fakesnow counts with floating point."""
    type_, value = binding["type"], binding["value"]
    if value is None:
        return None
    if type_ == "DATE":
        return EPOCH.date() + timedelta(milliseconds=int(value))
    if type_.startswith("TIMESTAMP"):
        moment = EPOCH + timedelta(microseconds=int(value.split()[0]) // 1_000)
        return moment if type_ == "TIMESTAMP_NTZ" else moment.replace(tzinfo=UTC)
    return int(value) if type_ == "FIXED" else value


def result(state: State, session: Session, table: pa.Table, columns: list[dict[str, Any]], address: str) -> dict[str, Any]:
    """The data of a result: its first rows in the answer itself, the others parked as chunks to be fetched."""
    chunks = []
    for start in range(state.inline_rows, table.num_rows, state.chunk_rows):
        rows = table.slice(start, state.chunk_rows)
        plain = stream(rows, columns)
        packed, key = gzip.compress(plain, 1), uuid.uuid4().hex
        state.chunks[key] = packed
        chunks.append(
            {
                "url": f"{address}/chunks/{key}",
                "rowCount": rows.num_rows,
                "uncompressedSize": len(plain),
                "compressedSize": len(packed),
            }
        )
    first = table.slice(0, state.inline_rows)
    data: dict[str, Any] = {
        "parameters": [{"name": "TIMEZONE", "value": session.parameters["TIMEZONE"]}],
        "rowtype": columns,
        "rowsetBase64": b64encode(stream(first, columns)).decode() if first.num_rows else "",
        "total": table.num_rows,
        "returned": table.num_rows,
        "queryId": str(uuid.uuid4()),
        "queryResultFormat": "arrow",
        "statementTypeId": SELECT_ID,
        "numberOfBinds": 0,
    }
    return {**data, "chunks": chunks, "chunkHeaders": {}} if chunks else data
