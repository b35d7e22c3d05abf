"""An address that its profile gives up in the same run: the opt-out stays with the address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY, NEXT = "2026-06-09", "2026-06-10"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "mail"},
    "consent": {"email_marketing": "word"},
    "stop_above": {"unsubscribes": None},
}
TABLE = "CREATE TABLE members (id VARCHAR, mail VARCHAR, word VARCHAR, changed TIMESTAMPTZ)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place whose Klaviyo knows C0 by Ann's address."""
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    box.profiles.upsert(None, {"external_id": "C0", "email": "ann@shop.example"}, 0.0)
    box.opt_in("ann@shop.example", "email_marketing", NOW - timedelta(days=90))
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize("most", [10_000, 1])
@pytest.mark.parametrize("first", ["bea", "ann"])
def test_an_opt_out_stays_with_an_address_that_moves(place: RunPlace, first: str, most: int) -> None:
    """C0 gets Bea's address, and Ann opts out by hers: in whatever order rows and batches go, nobody subscribes Ann afterwards."""
    rows = [f"('C0', 'bea@shop.example', NULL, '{DAY} 10:00Z')", f"(NULL, 'ann@shop.example', 'Unsubscribed', '{DAY} 10:00Z')"]
    place.fill(*(rows if first == "bea" else rows[::-1]))
    counts = place.report(DAY, most=most).results[DAY].consent["email_marketing"]
    assert (counts.sent, counts.confirmed) == (1, 1)
    assert place.box.consent("ann@shop.example").status("email_marketing") == "UNSUBSCRIBED"
    place.fill(f"('C1', 'ann@shop.example', 'Subscribe', '{NEXT} 10:00Z')")
    place.report(NEXT, now=NOW + timedelta(days=1))
    assert place.box.consent("ann@shop.example").status("email_marketing") == "UNSUBSCRIBED"


def test_an_opt_out_follows_an_address_that_a_later_batch_moves(place: RunPlace) -> None:
    """So does one whose batch is long imported when another batch takes the address away."""
    others = [f"('F{number}', 'f{number}@shop.example', NULL, '{DAY} 10:00Z')" for number in range(30)]
    place.fill(f"(NULL, 'ann@shop.example', 'Unsubscribed', '{DAY} 10:00Z')", *others, f"('C0', 'bea@shop.example', NULL, '{DAY} 10:00Z')")
    place.report(DAY, most=1)
    assert place.box.consent("ann@shop.example").status("email_marketing") == "UNSUBSCRIBED"
