"""Rows on the edges of what a run reads: at the moment of the run itself, and where an overlap ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 1, 3, 12, tzinfo=UTC)
SYNC = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "hourly",
    "start": "2026-01-02",
    "profile": {"email": "email"},
    "properties": {"Balance": "balance"},
}
TABLE = "CREATE TABLE members (email VARCHAR, balance INTEGER, changed TIMESTAMP)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize(
    ("changed", "imported", "superseded", "future"),
    [("2026-01-03 12:00:00", 0, 1, 0), ("2026-01-03 12:00:00.000001", 1, 0, 1)],
    ids=["at now", "just after now"],
)
def test_a_row_that_was_changed_at_the_moment_of_the_run(
    place: RunPlace, changed: str, imported: int, superseded: int, future: int
) -> None:
    """A row changed exactly now is no future row, and older ones of its profile give way to it; one changed later is left alone."""
    place.fill("('ada@example.com', 1, '2026-01-02 08:10')", f"('ada@example.com', 2, '{changed}')")
    report = place.report("2026-01-02-08:00")
    result = report.results["2026-01-02-08:00"]
    assert (result.imported, result.superseded, report.future) == (imported, superseded, future)


def test_what_is_read_for_good_ends_an_overlap_before_the_window(place: RunPlace) -> None:
    """With an overlap of half an hour a window is the last to read the half hour before it, and the next one reads its last half hour."""
    times = ("07:29", "07:30", "07:45", "08:00", "08:29", "08:30", "08:59", "09:29", "09:30")
    place.fill(*(f"('p{number}@example.com', 1, '2026-01-02 {time}')" for number, time in enumerate(times)))
    alone = place.report("2026-01-02-08:00", overlap="30m").results["2026-01-02-08:00"]
    assert (alone.read, alone.read_for_good) == (6, 4)
    both = place.report("2026-01-02-08:00", "2026-01-02-09:00", overlap="30m").results
    assert [both[key].read_for_good for key in both] == [4, 3]
