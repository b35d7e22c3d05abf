"""Rows whose modified_at lies after now: their opt-outs count at once, the rest of them waits until their window has closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = "2026-06-09"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "mail"},
    "consent": {"email_marketing": {"column": "word", "timestamp": "said"}},
    "stop_above": {"unsubscribes": None},
}
TABLE = "CREATE TABLE members (id VARCHAR, mail VARCHAR, word VARCHAR, said TIMESTAMPTZ, changed TIMESTAMPTZ)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place with consent."""
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize("future", ["2026-06-10 14:00Z", "9999-12-31", "infinity"])
def test_an_opt_out_of_the_future_holds_subscribes_back(place: RunPlace, future: str) -> None:
    """Nobody is subscribed against an opt-out in a row that is ahead of now; the row that is not goes out all the same."""
    place.fill(
        f"('1', 'ada@shop.example', 'Subscribe', NULL, '{DAY} 09:00Z')",
        f"('1', 'ada@shop.example', 'Unsubscribed', NULL, '{future}')",
        f"('2', 'bo@shop.example', 'Subscribe', NULL, '{DAY} 09:00Z')",
    )
    report = place.report(DAY)
    assert (report.results[DAY].imported, report.future) == (2, 1)
    assert place.box.consent("ada@shop.example").status("email_marketing") == "NEVER_SUBSCRIBED"
    assert place.box.consent("bo@shop.example").status("email_marketing") == "SUBSCRIBED"


def test_a_row_of_the_future_takes_no_opt_out_away(place: RunPlace) -> None:
    """An opt-out of the window goes out, whatever a row states that is ahead of now: later opt-out, later subscribe."""
    place.fill(
        f"('1', 'ada@shop.example', 'Unsubscribed', NULL, '{DAY} 09:00Z')",
        "('1', 'ada@shop.example', 'Unsubscribed', NULL, '9999-12-31')",
        f"('2', 'bo@shop.example', 'Unsubscribed', NULL, '{DAY} 09:00Z')",
        "('2', 'bo@shop.example', 'Subscribe', '2026-06-10 08:00Z', '9999-12-31')",
    )
    result = place.report(DAY).results[DAY]
    assert (result.imported, result.consent["email_marketing"].unsubscribed) == (2, 2)


def test_a_day_in_the_future_is_no_later_row(place: RunPlace) -> None:
    """The same holds where modified_at is a day, and an infinite one."""
    place.write("CREATE TABLE days AS SELECT * REPLACE (changed::DATE AS changed) FROM members")
    for word, day in (("Subscribe", DAY), ("Unsubscribed", "infinity")):
        place.write(f"INSERT INTO days VALUES ('1', 'ada@shop.example', '{word}', NULL, '{day}')")
    assert place.report(DAY, dataset="days").results[DAY].imported == 1
    assert place.box.consent("ada@shop.example").status("email_marketing") == "NEVER_SUBSCRIBED"
