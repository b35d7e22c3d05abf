"""Reads the case files of mapping and consent, and takes their rows the whole way: a real DuckDB table, the real query, the real core.

No row has rivals: rows of a case may share their identifiers. Each row goes twice, among the others and alone in its frame, and must
become the same both times. With `together: true` all of them are noticed before the first goes, as in a run.

A case file looks like this; docs/mapping.md has the rules that the cases hold.

    rule: what the case protects, in one sentence
    profile: {email: mail}                  # as in syncs/*.yaml; without an identifier, each row gets an external_id of its own
    properties: {Points: points}            # likewise
    consent: {email_marketing: word}        # likewise
    together: true                          # whether the dates of a column show how it orders month and day
    timezone: Europe/Berlin                 # of modified_at; UTC when it is not given
    columns: {mail: VARCHAR, points: BIGINT}
    query: SELECT *, 1 AS one FROM people   # where the table itself, `people`, is not what is read
    rows:
      - cells: {mail: Ada@Example.COM, points: 0}     # those left out are NULL; {sql: ...} for what YAML cannot say
        sent: {email: Ada@example.com, properties: {Points: 0}}    # left out: the row stays behind
        issues: {mail: invalid_email}                 # column: code, or a list of codes
        written: ['"Points":0']                       # texts that the JSON holds, where spelling matters
    error: text of the ConfigError, for columns that cannot be sent; then there are no rows
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import yaml

from klaviyo_sync.core.attributes import IDENTIFIERS
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.frames import frame_of
from klaviyo_sync.core.issue_frames import ISSUE_TYPES
from klaviyo_sync.core.mapping import Plan, map_frame
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.query import window_query
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.reports import issue_lines
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine
from klaviyo_sync.source import open_source
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

CASES = Path(__file__).parent.parent / "cases"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
MODIFIED, NAME = "row modified at", "row name"


@dataclass
class Became:
    """What one row became: its profile (attributes, and the id) or None, its JSON, its issues as (column, code), what it states."""

    sent: dict[str, Any] | None = None
    text: str = ""
    issues: list[tuple[str, str]] = field(default_factory=list)
    stated: dict[str, tuple[str | None, datetime | None]] = field(default_factory=dict)


def case_files(kind: str) -> list[Path]:
    """The files of one kind of cases."""
    return sorted((CASES / kind).glob("*.yaml"))


class Plain(yaml.SafeLoader):
    """YAML in which dates are texts."""


Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def case_of(path: Path) -> dict[str, Any]:
    """What a case file says."""
    return yaml.load(path.read_text(encoding="utf-8"), Plain)


def sync_of(case: Mapping[str, Any]) -> Sync:
    """The sync of a case; its dataset is the table `people`."""
    profile = dict(case.get("profile", {}))
    if not any(path in profile for path in IDENTIFIERS):
        profile["external_id"] = NAME
    parts = {key: case[key] for key in ("properties", "consent") if key in case}
    return Sync.model_validate(
        {
            "name": "case",
            "connection": "local",
            **({"query": case["query"]} if "query" in case else {"dataset": "people"}),
            "placeholders": case.get("placeholders", ()),
            "modified_at": {"column": MODIFIED, **({"timezone": case["timezone"]} if "timezone" in case else {})},
            "frequency": "daily",
            "start": "2026-01-01",
            "profile": profile,
            **parts,
        }
    )


def quoted(name: str) -> str:
    """The name as SQL quotes it."""
    return '"' + name.replace('"', '""') + '"'


def cell_sql(value: object, type_: str) -> tuple[str, list[object]]:
    """SQL for one cell, with its parameters: YAML's value as its column's type reads it."""
    if value is None:
        return f"NULL::{type_}", []
    if isinstance(value, dict) and set(value) == {"sql"}:
        return f"({value['sql']})::{type_}", []
    if isinstance(value, dict | list):
        return f"(?::JSON)::{type_}", [json.dumps(value, separators=(",", ":"))]
    return f"(?::VARCHAR)::{type_}", [str(value).lower() if isinstance(value, bool) else str(value)]


def make_table(file: Path, case: Mapping[str, Any]) -> None:
    """Writes the case's rows into the table `people`, changed one second after another."""
    columns: dict[str, str] = case["columns"]
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'; BEGIN")
        definitions = ", ".join(f"{quoted(name)} {type_}" for name, type_ in {MODIFIED: "TIMESTAMPTZ", NAME: "VARCHAR", **columns}.items())
        connection.execute(f"CREATE TABLE people ({definitions})")
        for position, row in enumerate(case.get("rows", ())):
            cells = row["cells"]
            assert set(cells) <= set(columns), f"columns that the case does not declare: {set(cells) - set(columns)}"
            written = [cell_sql(cells.get(name), type_) for name, type_ in columns.items()]
            values = ", ".join(["?", "?", *(sql for sql, _ in written)])
            parameters = [FIRST + timedelta(seconds=position), f"row {position}", *(value for _, some in written for value in some)]
            connection.execute(f"INSERT INTO people VALUES ({values})", parameters)
        connection.execute("COMMIT")


def take_through(case: Mapping[str, Any], folder: Path) -> list[Became]:
    """What each row of the case became, in order."""
    make_table(folder / "case.duckdb", case)
    sync = sync_of(case)
    warehouse = DuckDBWarehouse(folder / "case.duckdb")
    try:
        source = open_source(sync, warehouse, NOW)
        query = window_query(sync, source.relation, source.columns, lower=FIRST, upper=NOW)
        became = [Became() for _ in case["rows"]]
        with engine() as connection:
            encoder = Encoder(connection)
            frames = [frame_of(batch) for batch in warehouse.batches(query)]
            plan = reduce(Plan.noticing, frames, source.plan) if case.get("together") else source.plan
            for frame in frames:
                note_rows(became, frame, plan, encoder, named=NAME in sync.columns())
    finally:
        warehouse.close()
    return became


def note_rows(became: list[Became], frame: pd.DataFrame, plan: Plan, encoder: Encoder, *, named: bool) -> None:
    """Writes down what some rows became, each at its place in the case. Alone in its frame a row becomes the same; no row is no trouble."""
    positions = ((frame[MODIFIED] - FIRST) / timedelta(seconds=1)).to_numpy(dtype=np.int64)
    together = what_became(frame, plan, encoder, named=named)
    for row, position in enumerate(map(int, positions)):
        [alone] = what_became(frame.iloc[row : row + 1], plan, encoder, named=named)
        # The order of a profile's keys depends on the rows beside it; nothing else does.
        assert replace(alone, text="") == replace(together[row], text=""), f"row {position} becomes something else when it is alone"
        became[position] = together[row]
    assert what_became(frame.iloc[:0], plan, encoder, named=named) == []


def what_became(frame: pd.DataFrame, plan: Plan, encoder: Encoder, *, named: bool) -> list[Became]:
    """What each row of a frame became, prepared, counted and written down as in a run."""
    window = Window("case", FIRST, NOW)
    rows = Rows(frame, np.zeros(len(frame), np.int64), map_frame(frame, plan), held=np.zeros(len(frame), dtype=bool))
    ready = prepare_rows(rows, plan, encoder)
    assert dict(ready.issues.dtypes.astype(str)) == ISSUE_TYPES
    tally = Tally([window])
    tally.add_prepared(ready, rows.windows)
    assert (
        sum(tally.results()["case"].issues.values())
        == len(ready.issues)
        == len(list(issue_lines(rows, ready.issues, ready.rejected, plan)))
    )
    became = [Became() for _ in range(len(frame))]
    for row, text in zip(np.setdiff1d(np.arange(len(frame)), ready.rejected), ready.profiles.to_pylist(), strict=True):
        became[row].text = text
        became[row].sent = sent_of(text, named=named)
    for row, column, code in issues_of(ready.issues):
        became[row].issues.append((column, code))
    for channel, stated in rows.mapped.statements.items():
        for row, (meaning, at) in enumerate(zip(stated.meaning.to_pylist(), stated.at.to_pylist(), strict=True)):
            became[row].stated[channel] = (meaning, at)
    return became


def issues_of(issues: pd.DataFrame) -> Iterator[tuple[int, str, str]]:
    """Row, column and code of each issue."""
    return issues[["row", "column", "code"]].itertuples(index=False, name=None)


def sent_of(text: str, *, named: bool) -> dict[str, Any]:
    """The profile's attributes and its id, less the external_id that the test gave the row."""
    assert text.endswith(",")
    profile = json.loads(text[:-1])
    assert profile.pop("type") == "profile"
    sent = {**({"id": profile.pop("id")} if "id" in profile else {}), **profile.pop("attributes")}
    assert not profile
    if named:
        del sent["external_id"]
    return sent


def exact(value: object) -> object:
    """The value in a form in which 1, 1.0, true and "1" differ, and in which the order of keys does not count."""
    return None if value is None else json.dumps(value, sort_keys=True)


def expected_issues(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The issues that a case's row expects."""
    return [(column, code) for column, codes in row.get("issues", {}).items() for code in ([codes] if isinstance(codes, str) else codes)]
