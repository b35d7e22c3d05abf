"""The fold with repaired addresses: an opt-out counts for the address that was meant as it would if it were written right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.frames import arrow, frame_of
from klaviyo_sync.core.mapping import Plan, map_identifiers, map_repaired, map_statements, plan_mapping
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.rivals import LATER, Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
NOW = BEGIN + timedelta(days=5)
SCHEMA = pa.schema([("mail", pa.string()), ("word", pa.string()), ("said", pa.string()), ("changed", pa.timestamp("us", "UTC"))])
COLUMNS = [Column(name, "VARCHAR") for name in SCHEMA.names[:3]] + [Column("changed", "TIMESTAMP WITH TIME ZONE")]
SYNC = {
    "name": "people",
    "connection": "local",
    "dataset": "people",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-05",
    "profile": {"email": "mail"},
    "consent": {"email_marketing": {"column": "word", "timestamp": "said"}},
}
# The person, the word, the day on which it was said (None: no date), the day on which the row was changed, and whether it is written wrong.
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ada@example.com", "bo@example.com"]),
        st.sampled_from([None, "Subscribe", "Unsubscribed", "Unsubscribed"]),
        st.one_of(st.none(), st.integers(0, 3)),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=8,
)
Given = tuple[str, str | None, int | None, int, bool]


def plan(undated: str) -> Plan:
    """The plan of a sync that knows people by their addresses alone."""
    sync = Sync.model_validate({**SYNC, "consent": {**SYNC["consent"], "undated": undated}})  # type: ignore[dict-item]
    return plan_mapping(sync, COLUMNS, DIALECTS["duckdb"], NOW)


def opted_out(connection: duckdb.DuckDBPyConnection, used: Plan, rows: Sequence[Given], *, repairing: bool) -> set[str]:
    """The addresses that opt out in the end; unless `repairing`, of the rows as they should have been written."""
    if not rows:
        return set()
    cells = [
        {
            "mail": mail.replace("@", "\u200b@") if repairing and wrong and word == "Unsubscribed" else mail,
            "word": word,
            "said": None if said is None else f"2026-01-{5 + said:02}T06:00:00Z",
            "changed": BEGIN + timedelta(days=day, minutes=number),
        }
        for number, (mail, word, said, day, wrong) in enumerate(rows)
    ]
    frame = frame_of(pa.RecordBatch.from_pylist(cells, SCHEMA))
    identifiers = map_identifiers(frame, used)
    mails = {"email": arrow(identifiers["email"])}
    repaired = map_repaired(frame, mails, used)
    stated = map_statements(frame, mails, used, repaired)
    windows = np.array([day if day < 3 else LATER for _, _, _, day, _ in rows])
    rivals = Rivals(connection.cursor(), used)
    try:
        rivals.add(frame, identifiers, windows, np.ones(len(rows), dtype=bool), stated, repaired=repaired)
        rivals.flush()
        rivals.rank()
        found: set[str] = set()
        for batch in rivals.newest():
            meanings = batch.statements["email_marketing"].meaning.to_pylist()
            found |= {mail for mail, meaning in zip(batch.frame["mail"], meanings, strict=True) if meaning == "unsubscribe"}
        for opt_outs in rivals.opt_outs():
            found |= set(opt_outs.identifiers["email"].to_pylist())
    finally:
        rivals.drop()
    return found


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


@pytest.mark.parametrize(
    "undated", ["guard", pytest.param("resubscribe", marks=pytest.mark.long), pytest.param("ignore", marks=pytest.mark.long)]
)
@given(rows=ROWS)
@settings(deadline=None, max_examples=examples(50))
def test_written_wrong_or_right(connection: duckdb.DuckDBPyConnection, undated: str, rows: list[Given]) -> None:
    """Whichever opt-outs are written wrong, the same addresses opt out."""
    used = plan(undated)
    assert opted_out(connection, used, rows, repairing=True) == opted_out(connection, used, rows, repairing=False)
