"""What the server holds: tables, accounts and their rights, jobs, and the faults that tests ask for."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from bigquery_server.answers import ApiError
from bigquery_server.values import Field

ANYBODY = "anybody"
PROJECT = "local-project"


@dataclass(frozen=True)
class Account:
    """Who asks, and what they may do. `reads` are the datasets that they may query; None means all."""

    name: str
    job_user: bool = True
    reads: frozenset[str] | None = None
    read_session_user: bool = True
    acts_as: frozenset[str] = frozenset()
    public_key: Any = None


@dataclass(frozen=True)
class Partitioning:
    """How a table is partitioned: by which column and unit, and whether every query must filter on it. A column None is ingestion time."""

    column: str
    unit: str = "DAY"
    filter_required: bool = False


@dataclass
class Job:
    """A query job: its resource, and the result once it has run."""

    resource: dict[str, Any]
    account: Account
    fields: list[Field] = field(default_factory=list)
    table: pa.Table | None = None
    polls: int = 0
    error: ApiError | None = None


@dataclass
class Fault:
    """An answer that goes wrong: `times` times, after `skipped` good ones; for a stream, after `rows` rows of it."""

    error: Any
    times: int = 1
    skipped: int = 0
    rows: int = 0


class State:
    """One server's state. `connection` is the DuckDB whose schemas are the datasets."""

    def __init__(self, path: str | Path | None = None, project: str = PROJECT, location: str = "EU", *, exact_json: bool = True) -> None:
        """A server of the tables in a DuckDB file, or of none yet. Without `exact_json` DuckDB writes JSON: fast, and nearly the same."""
        self.exact_json = exact_json
        self.connection = duckdb.connect(":memory:" if path is None else str(path), read_only=path is not None)
        self.connection.execute("SET TimeZone = 'UTC'")
        self.project, self.location = project, location
        self.accounts: dict[str, Account] = {ANYBODY: Account(ANYBODY)}
        self.tokens: dict[str, Account] = {}
        self.jobs: dict[str, Job] = {}
        self.partitioning: dict[tuple[str, str], Partitioning] = {}
        self.clustering: dict[tuple[str, str], list[str]] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.geographies: set[str] = set()
        self.slow_polls = 0
        self.lock = threading.Lock()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one request."""
        found = self.connection.cursor()
        found.execute("SET TimeZone = 'UTC'")
        return found

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Runs DuckDB SQL that makes or changes tables."""
        self.connection.execute(sql, list(values) or None)

    def fail(self, call: str, error: Any, *, times: int = 1, skipped: int = 0, rows: int = 0) -> None:
        """The next calls of this name get this answer: an ApiError over REST, a gRPC status code over gRPC, "drop" for no answer."""
        self.faults.setdefault(call, []).append(Fault(error, times, skipped, rows))

    def fault(self, call: str) -> Fault | None:
        """The fault that is due for a call, which is counted."""
        with self.lock:
            self.asked[call] += 1
            for found in self.faults.get(call, ()):
                if found.skipped:
                    found.skipped -= 1
                elif found.times:
                    found.times -= 1
                    return found
        return None

    def key(self, account: Account, token_uri: str) -> str:
        """The JSON of a new service account key, whose public half the server keeps."""
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only tests of logins make keys
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.accounts[account.name] = Account(**{**account.__dict__, "public_key": private.public_key()})
        pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return json.dumps(
            {
                "type": "service_account",
                "project_id": self.project,
                "private_key_id": "1",
                "private_key": pem.decode(),
                "client_email": account.name,
                "client_id": "1",
                "token_uri": token_uri,
            }
        )
