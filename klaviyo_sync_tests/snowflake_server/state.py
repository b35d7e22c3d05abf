"""What the server holds: a fakesnow, who may log in and read what, sessions, parked chunks, and the failures that it is to show."""

from __future__ import annotations

import re
import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow

from snowflake_server.failing import Answer

NO_BAR = "SET enable_progress_bar = false"  # it would stand between the lines of JSON that others read
DATABASE, SCHEMA = "DB1", "PUBLIC"
WAREHOUSE = "READING_WH"
ROLE = "READER"
# Types that fakesnow forgets, as it keeps them in a wider one: declared in CREATE TABLE, told again when columns of that name are read.
FORGOTTEN = re.compile(r'("(?:[^"]|"")+"|\w+)\s+(ARRAY|OBJECT|GEOGRAPHY|TIMESTAMP_LTZ|NUMBER\(\d+\s*,\s*0\))', re.IGNORECASE)
CLUSTERED = re.compile(r"\s*CREATE TABLE (\w+)\b.*?\bCLUSTER BY\s*(\(.*\))\s*$", re.IGNORECASE | re.DOTALL)
KEPT_AS = {"ARRAY": "VARIANT", "OBJECT": "VARIANT", "GEOGRAPHY": "VARIANT", "TIMESTAMP_LTZ": "TIMESTAMP_TZ"}


@contextmanager
def quiet() -> Iterator[None]:
    """Hides that DuckDB warns of a copy, which is fakesnow's way to fetch Arrow."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass
class Account:
    """Someone who may log in: with the key that belongs to a public key (PEM), or with a password.

    `hidden` names tables without any right, `denied` tables that are seen but not read.
    """

    public_key: str | None = None
    password: str | None = None
    hidden: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


@dataclass
class Session:
    """One login."""

    connection: FakeSnowflakeConnection
    account: Account
    user: str
    parameters: dict[str, Any]
    warehouse: str | None


@dataclass
class State:
    """The server's state; tests set it and look at it. `chunk_rows` are the rows of a chunk, `inline_rows` those of the first."""

    accounts: dict[str, Account] = field(default_factory=lambda: {"READER": Account(password="opens nothing")})
    warehouses: set[str] = field(default_factory=lambda: {WAREHOUSE})
    inline_rows: int = 1_000
    chunk_rows: int = 20_000
    keep_results: bool = False
    asked: Counter[str] = field(default_factory=Counter)
    queries: list[str] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    chunks: dict[str, bytes] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, list[Answer | None]] = field(default_factory=dict)
    broken: list[Exception] = field(default_factory=list)
    clustering: dict[str, str] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """A fakesnow of its own, with one database."""
        self.engine = FakeSnow()
        self.engine.duck_conn.execute(NO_BAR)
        self.own = self.engine.connect(DATABASE, SCHEMA)
        self.engine.duck_conn.execute(f"CREATE OR REPLACE MACRO {DATABASE}.{SCHEMA}.ST_ASGEOJSON(place) AS place")

    def execute(self, sql: str) -> None:
        """Runs one statement as the owner of everything."""
        with self.lock:
            if re.match(r"\s*CREATE\b[^(]*\bTABLE\b[^(]*\(", sql, re.IGNORECASE):
                sql = self.remember(sql)
            clustered = CLUSTERED.match(sql)
            if clustered:
                self.clustering[clustered[1].upper()] = f"LINEAR{clustered[2]}".upper()
            with quiet():
                self.own.cursor().execute(sql)

    def remember(self, sql: str) -> str:
        """A CREATE TABLE with the types that fakesnow has, the others noted."""

        def kept(found: re.Match[str]) -> str:
            name, type_ = found[1], found[2].upper().replace(" ", "")
            self.declared[name[1:-1].replace('""', '"') if name[0] == '"' else name.upper()] = type_
            return f"{name} {KEPT_AS.get(type_, found[2])}"

        return FORGOTTEN.sub(kept, sql)

    def attach(self, path: Path | str) -> None:
        """Serves the tables and views of a DuckDB file, each as SCHEMA.TABLE, in upper case as a loader would make them."""
        duck = self.engine.duck_conn
        duck.execute(f"ATTACH '{path}' AS loaded (READ_ONLY)")
        tables = duck.execute("SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'loaded'").fetchall()
        for schema, table in tables:
            columns = duck.execute(
                "SELECT column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = 'loaded' AND schema_name = ? AND table_name = ? ORDER BY column_index",
                [schema, table],
            ).fetchall()
            place = SCHEMA if schema == "main" else schema.upper()
            duck.execute(f'CREATE SCHEMA IF NOT EXISTS {DATABASE}."{place}"')
            selected = ", ".join(loaded(name, type_) for name, type_ in columns)
            self.declared.update({name.upper(): "ARRAY" for name, type_ in columns if type_.endswith("]")})
            duck.execute(f'CREATE TABLE {DATABASE}."{place}"."{table.upper()}" AS SELECT {selected} FROM loaded."{schema}"."{table}"')
        duck.execute("DETACH loaded")

    def log_in(self, session: Session) -> str:
        """A new session's token."""
        session.connection._duck_conn.execute(NO_BAR)
        token = uuid.uuid4().hex
        self.sessions[token] = session
        return token

    def failing(self, what: str) -> Answer | None:
        """The next failure that a kind of request is to show; None lets one pass."""
        self.asked[what] += 1
        waiting = self.failures.get(what)
        return waiting.pop(0) if waiting else None


def loaded(name: str, type_: str) -> str:
    """SQL for a column of a DuckDB table, as Snowflake would hold it."""
    quoted = '"' + name.replace('"', '""') + '"'
    structured = type_.endswith("]") or type_.startswith(("STRUCT", "MAP"))
    value = f"to_json({quoted})" if structured else f"{quoted}::VARCHAR" if type_.startswith(("UUID", "ENUM")) else quoted
    value = f"{quoted}::TIMESTAMP" if type_.startswith("TIMESTAMP_") else value
    return f"{value} AS {quoted.upper()}"
