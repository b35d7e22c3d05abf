"""A shop's own number, typed for every customer, makes nobody one person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

DAY = "2026-01-02"
SYNC = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "consent": {"email_marketing": "mail_consent", "sms_marketing": "text_consent"},
    "stop_above": {"rejected": None, "unsubscribes": None, "subscribes": None},
}
TABLE = "CREATE TABLE members (id VARCHAR, email VARCHAR, phone VARCHAR, mail_consent VARCHAR, text_consent VARCHAR, changed TIMESTAMP)"
SHOP, INFO = "+4930901820", "info@shop.example"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=datetime(2026, 1, 10, tzinfo=UTC))


def test_a_shops_number_is_left_out(place: RunPlace) -> None:
    """Customers beside one number all go out without it, their own addresses opt out, and nobody is texted or opted out by it."""
    place.fill(
        f"SELECT i::VARCHAR, 'p' || i || '@example.com', '{SHOP}', 'Unsubscribe', 'Unsubscribe', '2026-01-02 10:00' FROM range(8) t(i)"
    )
    result = place.report(DAY).results[DAY]
    assert (result.read, result.imported, result.superseded, result.rejected) == (8, 8, 0, 0)
    assert {kind.code for kind in result.issues} == {"placeholder_identifier", "opt_out_without_identifier"}
    assert result.consent["email_marketing"].sent == 8
    assert (result.consent["sms_marketing"].sent, result.consent["sms_marketing"].rejected) == (0, 8)
    assert len(place.box.profiles) == 8
    assert place.box.profiles.find("phone_number", SHOP) is None


def test_a_row_with_nothing_else_stays_behind(place: RunPlace) -> None:
    """A row that has a shop's address and nothing else is rejected, and counted as that; later rows show that it is nobody's, too."""
    place.fill(f"SELECT i::VARCHAR, '{INFO}', NULL, NULL, NULL, '2026-01-05 10:00' FROM range(6) t(i)")
    place.fill(f"(NULL, '{INFO}', NULL, 'Subscribe', NULL, '2026-01-02 10:00')", f"('77', '{INFO}', NULL, NULL, NULL, '2026-01-02 11:00')")
    result = place.report(DAY).results[DAY]
    assert (result.read, result.imported, result.superseded, result.rejected) == (2, 1, 0, 1)
    assert result.consent["email_marketing"].rejected == 1
    assert "missing_identifier" in {code for _, _, code, _ in place.lines(DAY)}
