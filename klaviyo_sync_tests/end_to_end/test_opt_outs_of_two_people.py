"""An opt-out of a row whose address and number are two people's in Klaviyo: both opt out, and nobody becomes somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
KEY = "2026-06-09"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "properties": {"Notes": "notes"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": {"email_marketing": {"column": "mails", "timestamp": "mails_at"}, "sms_marketing": "texts"},
}
TABLE = """CREATE TABLE members (
    id VARCHAR, email VARCHAR, phone VARCHAR, notes VARCHAR, mails VARCHAR, mails_at TIMESTAMPTZ, texts VARCHAR,
    changed TIMESTAMPTZ DEFAULT '2026-06-09 10:00Z')"""
MAIL, NUMBER = "cy@shop.example", "+4915110000001"
BO = {"external_id": "C9", "email": "bo@shop.example", "phone_number": NUMBER}
HELD = {
    "the number at somebody else": [BO],
    "the number at a customer without address": [{"external_id": "C9", "phone_number": NUMBER}],
    "both, at two people": [BO, {"email": MAIL}],
    "the address with another number": [{"email": MAIL, "phone_number": "+4915110000002"}],
}
WAYS = {"stays behind": "repeat('x', 101000)", "refused": "NULL", "superseded": "NULL"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize("reading", ["apart", "merged"])
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("way", WAYS)
def test_both_opt_out_and_nobody_is_merged(place: RunPlace, held: str, way: str, reading: str) -> None:
    """However Klaviyo reads a call with identifiers of two profiles, none is sent, and both addresses opt out."""
    place.box.readings = place.box.readings.changed({"consent_conflict": reading})
    for identifiers in HELD[held]:
        place.box.profiles.upsert(None, identifiers, (NOW - timedelta(days=60)).timestamp())
    profiles = len(place.box.profiles)
    place.fill(f"('C1', '{MAIL}', '{NUMBER}', {WAYS[way]}, 'Unsubscribed', NULL, 'Unsubscribed', '2026-06-09 10:00Z')")
    if way == "superseded":
        place.fill("('C1', NULL, NULL, NULL, NULL, NULL, NULL, '2026-06-09 11:00Z')")
    if way == "refused":
        place.box.faults.add("row", containing=MAIL, early=True)
    result = place.report(KEY).results[KEY]
    assert [counts.sent for counts in result.consent.values()] == [1, 1]
    assert place.box.consent(MAIL).status("email_marketing") == "UNSUBSCRIBED"
    assert place.box.consent(NUMBER).status("sms_marketing") == "UNSUBSCRIBED"
    for identifiers in HELD[held]:
        for name, value in identifiers.items():
            held_by = place.box.profiles.find(name, value)
            assert held_by is not None
            shown = place.box.profiles.attributes(held_by)
            assert {key: shown.get(key) for key in identifiers} == identifiers, "nobody lost or got an identifier"
    assert len(place.box.profiles) >= profiles
