"""What is read before consent is sent, under every reading of what Klaviyo leaves open about searches and unknown people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
BEFORE, SINCE = NOW - timedelta(days=60), NOW - timedelta(days=10)
KEY = "2026-06-09"
MAIL = "email_marketing"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": {MAIL: {"column": "mails", "timestamp": "mails_at"}, "sms_marketing": "texts"},
}
TABLE = """CREATE TABLE members (
    id VARCHAR, email VARCHAR, phone VARCHAR, mails VARCHAR, mails_at TIMESTAMPTZ, texts VARCHAR,
    changed TIMESTAMPTZ DEFAULT '2026-06-09 10:00Z')"""
READINGS = [
    {"email_search": search, "unknown_opt_out": unknown}
    for search in ("any_case", "as_written")
    for unknown in ("profile", "nothing", "refused")
]


@pytest.fixture(params=READINGS, ids=lambda reading: ", ".join(reading.values()))
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunPlace]:
    """A place whose Klaviyo is read in one way."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    box.readings = box.readings.changed(request.param)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def test_letter_case(place: RunPlace) -> None:
    """Who is held in other letters than the row's opts out, and stays out where Klaviyo has an opt-out, however a search works."""
    held_as = {"Ada@Shop.example": place.box.opt_in, "BO@shop.example": place.box.opt_out, "cy@shop.example": place.box.opt_out}
    for held, act in held_as.items():
        place.box.profiles.upsert(None, {"email": held}, BEFORE.timestamp())
        act(held, MAIL, BEFORE)
    place.fill(
        "('1', 'Ada@Shop.example', NULL, 'Unsubscribed', NULL, NULL, '2026-06-09 10:00Z')",
        "('2', 'BO@shop.example', NULL, 'Subscribe', NULL, NULL, '2026-06-09 10:00Z')",
        "('3', 'Cy@Shop.example', NULL, 'Subscribe', NULL, NULL, '2026-06-09 10:00Z')",
    )
    result = place.report(KEY).results[KEY]
    assert result.proven
    statuses = [place.box.consent(mail).status(MAIL) for mail in ("ada@shop.example", "bo@shop.example", "cy@shop.example")]
    assert statuses == ["UNSUBSCRIBED"] * 3


def test_a_newer_subscribe_is_left_alone(place: RunPlace) -> None:
    """A dated opt-out gives way to a subscribe that is newer."""
    place.box.profiles.upsert(None, {"external_id": "1", "email": "ada@shop.example"}, BEFORE.timestamp())
    place.box.opt_in("ada@shop.example", MAIL, SINCE)
    place.fill(f"('1', 'ada@shop.example', NULL, 'Unsubscribed', '{BEFORE.isoformat()}', NULL, '2026-06-09 10:00Z')")
    assert place.report(KEY).results[KEY].consent[MAIL].skipped == 1
    assert place.box.consent("ada@shop.example").status(MAIL) == "SUBSCRIBED"


def test_somebody_unknown(place: RunPlace) -> None:
    """Who opts out and is new to Klaviyo is unsubscribed once the profile is there, as one profile, whatever an earlier call did."""
    place.fill("('1', 'Ada@Shop.example', '+4915110000001', 'Unsubscribed', NULL, 'Unsubscribed', '2026-06-09 10:00Z')")
    result = place.report(KEY).results[KEY]
    assert [(counts.stated, counts.sent) for counts in result.consent.values()] == [(1, 1), (1, 1)]
    assert place.box.consent("ada@shop.example").status(MAIL) == "UNSUBSCRIBED"
    assert place.box.consent("+4915110000001").status("sms_marketing") == "UNSUBSCRIBED"
    assert len(place.box.profiles) == 1
