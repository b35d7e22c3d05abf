"""Rivals and results: every run decides alike which row goes out, and every row is counted once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.mapping import plan_mapping
from klaviyo_sync.core.query import Column, wall_clock_bound
from klaviyo_sync.core.reading import newest_rows, notice_all, window_positions
from klaviyo_sync.core.result import FATES, IssueKind, Outcome, Reason, Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOWS = [Window(str(n), BEGIN + n * HOUR, BEGIN + (n + 1) * HOUR) for n in range(3)]
SYNC = Sync.model_validate(
    {
        "name": "people",
        "connection": "local",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "hourly",
        "start": "2026-01-01",
        "profile": {"email": "mail", "phone_number": {"column": "phone", "default_country": "DE"}, "external_id": "id"},
    }
)
COLUMNS = [Column("mail", "VARCHAR"), Column("phone", "VARCHAR"), Column("id", "VARCHAR"), Column("changed", "TIMESTAMP WITH TIME ZONE")]
PLAN = plan_mapping(SYNC, COLUMNS, DIALECTS["duckdb"], BEGIN + timedelta(days=1))
SCHEMA = pa.schema(
    [("mail", pa.string()), ("phone", pa.string()), ("id", pa.string()), ("changed", pa.timestamp("us", "UTC")), ("number", pa.int64())]
)

MAILS = (None, "", "junk", "ada@example.com", " Ada@EXAMPLE.com ", "bo@example.com")
PHONES = (None, "0151 23456789", "+4915123456789", "+49 151 23456788", "junk")
IDS = (None, " ", "1", " 1 ", "2")


class Row(NamedTuple):
    """A row of the warehouse."""

    mail: str | None
    phone: str | None
    id: str | None
    minutes: int
    number: int


ROWS = st.lists(
    st.tuples(st.sampled_from(MAILS), st.sampled_from(PHONES), st.sampled_from(IDS), st.integers(0, 9).map(lambda n: n * 30)),
    max_size=25,
).map(lambda rows: [Row(*row, number) for number, row in enumerate(rows)])


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The engine of a run."""
    with engine() as opened:
        yield opened


def batches(rows: Sequence[Row], size: int) -> list[pa.RecordBatch]:
    """The rows as the warehouse gives them, so many at a time."""
    some = [
        [{**row._asdict(), "changed": BEGIN + timedelta(minutes=row.minutes)} for row in rows[n : n + size]]
        for n in range(0, len(rows), size)
    ]
    return [pa.RecordBatch.from_pylist([{name: row[name] for name in SCHEMA.names} for row in part], SCHEMA) for part in some]


@given(rows=ROWS, seed=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=examples(30))
def test_the_order_of_reading_does_not_matter(connection: duckdb.DuckDBPyConnection, rows: list[Row], seed: Any) -> None:
    """A warehouse promises no order: whatever it is, the same rows go out."""
    inside = [row for row in rows if row.minutes < 180]
    shuffled = seed.sample(inside, len(inside))
    results = []
    for some in (inside, shuffled):
        rivals = Rivals(connection.cursor(), PLAN)
        notice_all(batches(some, 7), PLAN, rivals)
        rivals.all_noticed()
        found = newest_rows(batches(some, 7), [], PLAN, rivals, Tally(WINDOWS))
        results.append(sorted(n for part in found for n in part.frame["number"].to_numpy()[~part.held].tolist()))
    assert results[0] == results[1]


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    """What became of some batches."""
    made = []
    for number in range(draw(st.integers(0, 4))):
        windows = draw(st.lists(st.integers(0, 2), min_size=1, max_size=8))
        fates = draw(st.lists(st.integers(0, len(FATES) - 1), min_size=len(windows), max_size=len(windows)))
        reasons = {row: Reason("import_failed", draw(st.sampled_from([None, "email"])), "") for row, fate in enumerate(fates) if fate}
        rows = pa.table({"window": pa.array(windows, pa.int32())})
        jobs = (f"job {number}", f"job {number}+")[: draw(st.integers(1, 2))]
        made.append(Outcome(rows, np.array(fates, np.uint8), reasons, jobs, draw(st.integers(1, 3)), draw(st.integers(0, 1_000))))
    return made


@given(made=outcomes(), superseded=st.lists(st.integers(0, 2), max_size=5), rejected=st.lists(st.integers(0, 2), max_size=5))
@settings(deadline=None)
def test_every_row_is_accounted_for(made: list[Outcome], superseded: list[int], rejected: list[int]) -> None:
    """Windows balance, whatever their rows met; the sum over windows is the sum over outcomes, and results add up to it."""
    tally = Tally(WINDOWS)
    for part, windows in (("superseded", superseded), ("rejected", rejected)):
        tally.count("read", np.array(windows, np.int64))
        tally.count(part, np.array(windows, np.int64))
    issues = pd.DataFrame({"row": range(len(rejected)), "column": "mail", "code": "missing_identifier"})
    tally.add_issues(issues, np.array(rejected, np.int64))
    for outcome in made:
        tally.count("read", outcome.rows.column("window").to_numpy())
        tally.add_outcome(outcome)
    results = list(tally.results().values())
    assert all(result.balanced for result in results)
    total = reduce(add, results, Result())
    assert total.balanced
    assert total.read == len(superseded) + len(rejected) + sum(len(outcome.rows) for outcome in made)
    for position, fate in enumerate(FATES):
        assert getattr(total, fate) == sum(int((outcome.fates == position).sum()) for outcome in made)
    assert total.requests == sum(outcome.requests for outcome in made)
    assert abs(total.bytes - sum(outcome.bytes for outcome in made)) <= 2 * len(made)
    assert set(total.jobs) == {job for outcome in made for job in outcome.jobs}
    assert len(total.jobs) == len(set(total.jobs))
    assert total.issues[IssueKind("mail", "missing_identifier")] == len(rejected)
    assert total.issues.total() == len(rejected) + sum(len(outcome.reasons) for outcome in made)


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu", "Pacific/Apia")


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    moments=st.lists(st.datetimes(datetime(2010, 1, 1), datetime(2027, 1, 1)), min_size=2, max_size=30),  # noqa: DTZ001 - UTC follows
)
@settings(deadline=None)
def test_bounds_never_go_back(zone: ZoneInfo, moments: list[datetime]) -> None:
    """As moments go on, the wall-clock bound never goes back."""
    bounds = [wall_clock_bound(moment.replace(tzinfo=UTC), zone) for moment in sorted(moments)]
    assert all(before <= after for before, after in pairwise(bounds))


CLOCK_CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 24, 23, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 13, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 3, tzinfo=UTC)),
]


@pytest.mark.parametrize(("zone", "begin"), CLOCK_CHANGES, ids=str)
@pytest.mark.parametrize("minutes", [15, 60])
def test_each_wall_clock_time_has_one_window(zone: str, begin: datetime, minutes: int) -> None:
    """Over clock changes, each wall-clock time lies in exactly one of adjoining windows, and its place among several is that window."""
    bounds = [wall_clock_bound(begin + n * timedelta(minutes=minutes), ZoneInfo(zone)) for n in range(6 * 60 // minutes + 1)]
    walls = [bounds[0] + n * timedelta(minutes=5) for n in range(int((bounds[-1] - bounds[0]) / timedelta(minutes=5)))]
    places = window_positions(pa.array(walls, pa.timestamp("us")), np.array(bounds[1:], dtype="datetime64[us]")).tolist()
    for wall, place in zip(walls, places, strict=True):
        assert [n for n, (lower, upper) in enumerate(pairwise(bounds)) if lower <= wall < upper] == [place]


@pytest.mark.parametrize(("zone", "begin"), CLOCK_CHANGES, ids=str)
def test_rows_are_never_looked_for_too_early(zone: str, begin: datetime) -> None:
    """A row written at a moment has a wall-clock time that its window, or a later one, takes; never one that is closed."""
    for n in range(6 * 60):
        written = begin + timedelta(minutes=n)
        wall = written.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert wall >= wall_clock_bound(written, ZoneInfo(zone))
