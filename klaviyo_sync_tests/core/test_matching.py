"""Matching: nobody disappears into somebody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_model import RANK, STRONG, Person, expected, matched_by

from how_many import examples
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.frames import arrow
from klaviyo_sync.core.mapping import Plan, plan_mapping
from klaviyo_sync.core.query import Column
from klaviyo_sync.core.reading import newest_rows, notice_all
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = [Window(str(n), BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR) for n in range(3)]
INSIDE = 180  # minutes of the windows
SCHEMA = pa.schema([*((path, pa.string()) for path in RANK), ("changed", pa.timestamp("us", "UTC")), ("number", pa.int64())])
VALUES = {
    "id": ["01GDDKASAP8TKDDA2GRZDSVP4H", "01GDDKASAP8TKDDA2GRZDSVP4J"],
    "external_id": ["1", "2", "3"],
    "email": ["ada@example.com", "bo@example.com", "cy@example.com"],
    "phone_number": ["+4915123456789", "+4915123456788"],
}
CHOICES: list[tuple[Sequence[str], dict[str, Any], str]] = [
    (RANK, {}, "ask"),
    (("external_id", "email", "phone_number"), {}, "newest"),
    (("email", "phone_number"), {}, "newest"),
    (("phone_number",), {}, "ask"),
    (RANK, {"match_on": ["external_id"]}, "newest"),
    (("external_id", "email", "phone_number"), {"match_on": ["external_id"]}, "newest"),
    (("external_id", "email"), {"match_on": ["email"]}, "newest"),
    (RANK, {"match_on": ["id"]}, "newest"),
    (("external_id", "email", "phone_number"), {}, "property"),
    (("external_id", "email", "phone_number"), {"match_on": ["external_id"]}, "property"),
]


def plan_of(mapped: Sequence[str], keys: dict[str, Any], shared: str) -> Plan:
    """The plan of a sync that maps these identifiers."""
    profile = {path: {"column": path, **({"shared": shared} if path == "phone_number" else {})} for path in mapped}
    sync = {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "hourly",
        "start": "2026-01-01",
        "profile": profile,
        **keys,
    }
    columns = [*(Column(path, "VARCHAR") for path in mapped), Column("changed", "TIMESTAMP WITH TIME ZONE")]
    return plan_mapping(Sync.model_validate(sync), columns, DIALECTS["duckdb"], BEGIN + 5 * HOUR)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


@st.composite
def people(draw: st.DrawFn) -> list[Person]:
    """Rows of few people and many identifiers, each changed at a moment of its own, some after the windows."""
    moments = draw(st.lists(st.integers(0, 240), max_size=12, unique=True))
    return [
        Person(moment, {path: value for path in RANK if (value := draw(st.sampled_from([None, *VALUES[path]]))) is not None})
        for moment in moments
    ]


class Became(NamedTuple):
    """What rows became in a run, by their positions: sent identifiers, codes of reported rows, codes of left out cells, counts."""

    sent: dict[int, dict[str, str]]
    reported: dict[int, str]
    left_out: set[tuple[int, str]]
    superseded: list[int]


def batch(rows: Sequence[Person], numbers: Sequence[int]) -> pa.RecordBatch:
    """Some of the rows as a warehouse gives them."""
    records = [
        {**dict.fromkeys(RANK), **rows[number].identifiers, "changed": BEGIN + rows[number].moment * timedelta(minutes=1), "number": number}
        for number in numbers
    ]
    return pa.RecordBatch.from_pylist(records, SCHEMA)


def run(connection: duckdb.DuckDBPyConnection, plan: Plan, rows: Sequence[Person]) -> Became:
    """What the rows become."""
    inside = [number for number, row in enumerate(rows) if row.moment < INSIDE]
    later = [number for number, row in enumerate(rows) if row.moment >= INSIDE]
    tally, rivals = Tally(WINDOWS), Rivals(connection.cursor(), plan)
    for some in (inside, later):
        plan = notice_all([batch(rows, some)], plan, rivals)
    rivals.all_noticed()
    became = Became({}, {}, set(), [])
    for part in newest_rows([batch(rows, inside)], [batch(rows, later)], plan, rivals, tally):
        numbers = part.frame["number"].to_numpy()
        assert (part.windows == part.frame["changed"].dt.hour.to_numpy()).all()
        for row, code in zip(part.mapped.issues["row"].tolist(), part.mapped.issues["code"].tolist(), strict=True):
            if part.superseded:
                became.reported[int(numbers[row])] = code
            elif code.startswith("shared_") and not part.held[row]:
                became.left_out.add((int(numbers[row]), code))
        cells = {path: arrow(part.mapped.profiles[path]).to_pylist() for path in RANK if path in part.mapped.profiles.columns}
        for row in np.setdiff1d(np.flatnonzero(~part.held), part.mapped.rejected).tolist():
            became.sent[int(numbers[row])] = {path: values[row] for path, values in cells.items() if values[row] is not None}
    return became._replace(superseded=tally.counts["superseded"].tolist())


@pytest.mark.parametrize(("mapped", "keys", "shared"), CHOICES, ids=str)
@given(drawn=people())
@settings(deadline=None, max_examples=examples(100))
def test_rows_become_what_the_model_says(
    connection: duckdb.DuckDBPyConnection, mapped: Sequence[str], keys: dict[str, Any], shared: str, drawn: list[Person]
) -> None:
    """Which rows go out, with which identifiers, and which superseded rows are reported, is what a model in plain Python says."""
    plan = plan_of(mapped, keys, shared)
    known = [Person(row.moment, {path: value for path, value in row.identifiers.items() if path in mapped}) for row in drawn]
    rows = [row for row in known if row.identifiers]
    became = run(connection, plan, rows)
    model = expected(rows, plan.matching, phone_alone=shared == "property")
    inside = {number for number, row in enumerate(rows) if row.moment < INSIDE}
    assert became.sent == {number: sent for number, sent in model.sent.items() if number in inside}
    assert set(became.reported) == model.reported & inside
    by_window = Counter(rows[number].moment // 60 for number in inside - set(became.sent))
    assert became.superseded == [by_window[window] for window in range(3)]

    everybody = {(path, value) for sent in model.sent.values() for path, value in sent.items()}
    assert len(everybody) == sum(map(len, model.sent.values())), "two rows go out with one identifier"
    for path in STRONG:
        for value in {row.identifiers[path] for row in rows if path in row.identifiers}:
            newest = max((row.moment, number) for number, row in enumerate(rows) if row.identifiers.get(path) == value)[1]
            assert (path, value) in everybody or newest in became.reported or newest not in inside
    for number in inside - set(became.sent):
        assert chain_ends(number, rows, plan.matching, model.sent)
    without = {
        (number, f"shared_{'phone' if path == 'phone_number' else path}")
        for number, sent in became.sent.items()
        for path in rows[number].identifiers
        if path not in sent and not (path == "phone_number" and shared == "property")
    }
    assert became.left_out == without


def chain_ends(number: int, rows: Sequence[Person], matching: Sequence[str], sent: dict[int, dict[str, str]]) -> bool:
    """Whether newer rows with what matches, or with an identifier that the row was left without, lead to one that goes out."""
    shares = matched_by(rows[number], matching)
    for other, person in enumerate(rows):
        shared = shares & matched_by(person, matching) or set(rows[number].identifiers.items()) & set(person.identifiers.items())
        if person.moment > rows[number].moment and shared and (other in sent or chain_ends(other, rows, matching, sent)):
            return True
    return False
