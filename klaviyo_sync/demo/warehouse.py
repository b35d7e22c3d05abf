"""The sample warehouse: a retailer's datasets, with the dirt that real tables have. Built by DuckDB from `sql/`, the same every time."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import duckdb

PEOPLE = 24_000
SCHEMAS = ("sample", "crm", "analytics", "ml", "marketing")


class OptedOut(NamedTuple):
    """Someone whose row in crm.contacts says Subscribe, and who will have said no to Klaviyo itself. `dated`: the row says since when."""

    person: int
    email: str
    dated: bool
    sms: bool


OPTED_OUT = (
    OptedOut(3, "imogen.smith3@example.org", dated=True, sms=False),
    OptedOut(12, "hamish.okafor12@mail.example", dated=False, sms=False),
    OptedOut(24, "wyatt.thompson24@example.net", dated=True, sms=True),
)


def build(path: Path, now: datetime, people: int = PEOPLE) -> None:
    """A new DuckDB file at `path`, in place of what was there.

    `now` is aware: the four days before it hold a third of the rows, the two years before those the others. `crm.contacts` has about
    as many rows as there are `people`, `ml.churn_scores` twice as many. `sample.rows` says what is wrong with each row, `sample.dirt` how
    often that happens.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}.wal")):
        leftover.unlink(missing_ok=True)
    with duckdb.connect(str(unfinished)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET VARIABLE now = ?::TIMESTAMP", [now.astimezone(UTC).replace(tzinfo=None)])
        connection.execute("SET VARIABLE people = ?::BIGINT", [people])
        for schema in SCHEMAS:
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute("CREATE TABLE sample.opted_out (n INTEGER, email VARCHAR, dated BOOLEAN, sms BOOLEAN)")
        connection.executemany("INSERT INTO sample.opted_out VALUES (?, ?, ?, ?)", OPTED_OUT)
        for script in sorted((files("klaviyo_sync.demo") / "sql").iterdir(), key=lambda script: script.name):
            connection.execute(script.read_text(encoding="utf-8"))
    unfinished.replace(path)
