"""Cells that only Klaviyo refuses, from the warehouse to the rejects file: what becomes of their rows and of the consent in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from run_place import RunPlace

from klaviyo_sync.core.result import IssueKind
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.checks import delivery
from klaviyo_sync.sandbox import Readings, Sandbox, serve

DAY = "2026-01-02"
TABLE = """
    CREATE TABLE members (
        id VARCHAR, email VARCHAR, phone VARCHAR, title VARCHAR, town VARCHAR, points INTEGER, word VARCHAR, sms VARCHAR, changed TIMESTAMP)
"""
SYNC = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone", "title": "title", "location.city": "town"},
    "properties": {"Points": "points"},
    "consent": {"email_marketing": {"column": "word"}, "sms_marketing": {"column": "sms"}},
    "stop_above": {"rejected": None, "unsubscribes": None},
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A warehouse, and a Klaviyo that refuses identifiers of two profiles."""
    readings = Readings("refused", "refused")
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in", readings=readings)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=datetime(2026, 1, 10, tzinfo=UTC))


def member(number: int, word: str = "", sms: str = "", *, email: str | None = None) -> str:
    """A row of the table."""
    address = email or f"p{number}@example.com"
    return f"('c{number}', '{address}', '+1202555010{number}', 'Dr', 'Bonn', {number}, '{word}', '{sms}', TIMESTAMP '2026-01-02 10:00')"


@pytest.mark.parametrize("early", [True, False])
def test_a_refused_cell_is_counted_and_listed(place: RunPlace, *, early: bool) -> None:
    """The row is imported without it; the cell is an issue by its name, a line of the rejects file by its column, and a warning."""
    place.fill(*map(member, range(1, 6)))
    place.box.faults.add("row", cell="properties.Points", containing="c3", early=early, detail="Out of range.")
    place.box.faults.add("row", cell="location.city", containing="c4", early=early)
    result = place.report(DAY).results[DAY]

    assert (result.read, result.imported, result.refused, result.failed) == (5, 5, 0, 0)
    assert result.issues == {IssueKind("properties.Points", "refused_cell"): 1, IssueKind("location.city", "refused_cell"): 1}
    assert place.lines(DAY) == [
        ("external_id=c3", "points", "refused_cell", "sent without this cell"),
        ("external_id=c4", "town", "refused_cell", "sent without this cell"),
    ]
    assert {line["message"].partition("again without it. ")[2] for line in place.rejected(DAY)} == {
        "invalid: Out of range.",
        "invalid: The profile could not be imported.",
    }
    verdict = delivery(Sync.model_validate(SYNC), result)
    assert (verdict.lost, verdict.grave) == (2, False)
    assert "refused 2 cells" in verdict.words


def test_consent_goes_with_the_second_attempt(place: RunPlace) -> None:
    """Subscribes wait for the profile that goes again, and opt-outs are not lost."""
    place.fill(member(1, "Subscribe", "Subscribe"), member(2, "Unsubscribed"))
    place.box.faults.add("row", cell="title")
    result = place.report(DAY).results[DAY]

    assert result.imported == 2
    assert [place.box.consent(f"p{number}@example.com").status("email_marketing") for number in (1, 2)] == ["SUBSCRIBED", "UNSUBSCRIBED"]
    assert place.box.consent("+12025550101").status("sms_marketing") == "SUBSCRIBED"


def test_consent_for_an_identifier_that_was_left_out(place: RunPlace) -> None:
    """Nobody is subscribed by a number that is somebody else's; an opt-out for it reaches its owner, in a call that names nobody else."""
    for number, sms in ((1, "Subscribe"), (2, "Unsubscribed")):
        place.box.profiles.upsert(None, {"external_id": f"c{number}"}, 0.0)
        place.box.profiles.upsert(None, {"external_id": f"owner{number}", "phone_number": f"+1202555010{number}"}, 0.0)
        place.fill(member(number, "Unsubscribed", sms))
    place.box.opt_in("+12025550102", "sms_marketing", 1.0)
    place.box.readings = Readings("refused", "refused", consent_conflict="merged")
    phone = {"column": "phone", "shared": "newest"}  # else Klaviyo is asked who has the numbers, and they are left out before
    result = place.report(DAY, profile={**SYNC["profile"], "phone_number": phone}).results[DAY]

    assert (result.imported, result.failed) == (2, 0)
    assert place.box.consent("+12025550101").status("sms_marketing") == "NEVER_SUBSCRIBED"
    assert place.box.consent("+12025550102").status("sms_marketing") == "UNSUBSCRIBED"
    assert {place.box.consent(f"p{number}@example.com").status("email_marketing") for number in (1, 2)} == {"UNSUBSCRIBED"}
    assert len(place.box.profiles) == 4
    assert ("external_id=c1", "sms", "consent_without_address", "sms_marketing refused") in place.lines(DAY)


def test_an_address_that_only_klaviyo_finds_malformed(place: RunPlace) -> None:
    """The profile goes out by its external id, its subscribe is refused, and its opt-out is sent all the same."""
    place.fill(member(1, "Subscribe"), member(2, "Unsubscribed"), member(3, "Subscribe"))
    place.box.faults.add("row", cell="email", containing="p1@", early=True, detail="Invalid email address")
    place.box.faults.add("row", cell="email", containing="p2@", detail="Invalid email address")
    result = place.report(DAY).results[DAY]

    assert (result.imported, result.refused, result.failed) == (3, 0, 0)
    consent = result.consent["email_marketing"]
    assert (consent.sent, consent.unsubscribed, consent.refused, consent.opt_outs_refused) == (2, 1, 1, 0)
    assert place.box.consent("p1@example.com").status("email_marketing") == "NEVER_SUBSCRIBED"
    assert place.box.consent("p2@example.com").status("email_marketing") == "UNSUBSCRIBED"
    assert ("external_id=c1", "email", "refused_cell", "sent without this cell") in place.lines(DAY)


def test_run_again_after_it_broke(place: RunPlace) -> None:
    """A run that broke between the two attempts is run again: everything arrives, once."""
    place.fill(*map(member, range(1, 6)))
    place.box.faults.add("row", cell="title")
    place.box.faults.add("403", endpoint="bulk_import_profiles", skip=1)
    with pytest.raises(Exception, match="403"):
        place.report(DAY)
    result = place.report(DAY).results[DAY]

    assert (result.read, result.imported, len(place.box.profiles)) == (5, 5, 5)
    assert result.issues == {IssueKind("title", "refused_cell"): 5}
