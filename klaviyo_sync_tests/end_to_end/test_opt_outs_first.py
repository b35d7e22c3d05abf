"""Opt-outs go out before the imports, whatever becomes of those, and again after them where an import may have moved the address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.errors import NoSuchListError, Refused, Unavailable
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sandbox.answers import Answer

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=60)
KEY = "2026-06-09"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": {"email_marketing": {"column": "mail", "timestamp": "mail_at"}, "sms_marketing": "sms"},
}
TABLE = """CREATE TABLE members (
    id VARCHAR, email VARCHAR, phone VARCHAR, mail VARCHAR, mail_at TIMESTAMPTZ, sms VARCHAR,
    changed TIMESTAMPTZ DEFAULT '2026-06-09 10:00Z')"""
OUT = "'Unsubscribed', NULL, NULL"
OUT_OF_BOTH = "'Unsubscribed', NULL, 'Unsubscribed'"
IMPORT, UNSUBSCRIBE = "bulk_import_profiles", "bulk_unsubscribe_profiles"
MAIL, TEXTS = "email_marketing", "sms_marketing"


class Watched(Sandbox):
    """A local Klaviyo that writes down the order of the calls that write."""

    def count(self, operation: str, answer: Answer) -> None:
        """Notes one answered request."""
        super().count(operation, answer)
        if operation in (IMPORT, UNSUBSCRIBE):
            self.order.append(operation)

    def reset(self) -> None:
        """Back to the account as it was made."""
        super().reset()
        self.order: list[str] = []


class Place(RunPlace):
    """The place of these tests."""

    def add(self, id_: str, email: str | None, phone: str | None, said: str) -> None:
        """Adds a row."""
        cells = ", ".join("NULL" if cell is None else f"'{cell}'" for cell in (id_, email, phone))
        self.write(f"INSERT INTO members (id, email, phone, mail, mail_at, sms) VALUES ({cells}, {said})")

    def status(self, person: str) -> str:
        """What Klaviyo holds for the e-mails or the texts of a person."""
        return self.box.consent(person).status(MAIL if "@" in person else TEXTS)

    def has(self, **identifiers: str) -> int:
        """Makes a profile in Klaviyo."""
        return self.box.profiles.upsert(None, identifiers, BEFORE.timestamp())[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Watched(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def order(place: Place) -> list[str]:
    """The calls so far."""
    assert isinstance(place.box, Watched)
    return place.box.order


def test_before_the_import_and_once(place: Place) -> None:
    """Who is in Klaviyo with all identifiers of the row is unsubscribed before the import, and no second time."""
    place.has(external_id="C1", email="ada@shop.example")
    place.box.opt_in("ada@shop.example", MAIL, BEFORE)
    place.add("C1", "ada@shop.example", None, OUT)
    counts = place.report(KEY).results[KEY].consent[MAIL]
    assert order(place) == [UNSUBSCRIBE, IMPORT]
    assert (counts.sent, counts.unsubscribed, counts.confirmed) == (1, 1, 1)


def test_again_after_an_import_that_may_have_moved_the_address(place: Place) -> None:
    """Where the profile with the address lacks an identifier of the row, the opt-out goes out before the import and after it."""
    place.box.opt_in("ada@shop.example", MAIL, BEFORE)
    place.add("C1", "ada@shop.example", None, OUT)
    counts = place.report(KEY).results[KEY].consent[MAIL]
    assert order(place) == [UNSUBSCRIBE, IMPORT, UNSUBSCRIBE]
    assert (counts.stated, counts.sent, counts.confirmed) == (1, 1, 1)


def test_a_newcomer_is_one_profile(place: Place) -> None:
    """An opt-out that goes out before its profile exists names e-mail address and number in one call: one profile comes of row and call."""
    place.add("C1", "ada@shop.example", "+4915110000001", OUT_OF_BOTH)
    place.add("C2", "bob@shop.example", "+4915110000002", OUT)
    place.report(KEY)
    assert order(place) == [UNSUBSCRIBE, IMPORT, UNSUBSCRIBE]
    assert len(place.box.profiles) == 2
    found = place.box.profiles
    for number in (1, 2):
        assert found.find("external_id", f"C{number}") == found.find("phone_number", f"+491511000000{number}")
    assert [place.status(one) for one in ("ada@shop.example", "+4915110000001", "bob@shop.example")] == ["UNSUBSCRIBED"] * 3
    assert place.status("+4915110000002") == "NEVER_SUBSCRIBED"


def test_a_new_address_of_somebody_known_makes_no_second_profile(place: Place) -> None:
    """Who is in Klaviyo under an old address is unsubscribed once the import gave them the new one."""
    person = place.has(external_id="C1", email="old@shop.example")
    place.box.opt_in("old@shop.example", MAIL, BEFORE)
    place.add("C1", "new@shop.example", None, OUT)
    result = place.report(KEY).results[KEY]
    assert order(place) == [IMPORT, UNSUBSCRIBE]
    assert (result.imported, len(place.box.profiles), place.box.profiles.find("email", "new@shop.example")) == (1, 1, person)
    assert place.status("new@shop.example") == "UNSUBSCRIBED"


@pytest.mark.parametrize("most", [1, 2, 100])
def test_no_import_at_all(place: Place, most: int) -> None:
    """When no import can be made, all opt-outs of the run are sent all the same: of known people, newcomers, and of new addresses."""
    for number in range(3):
        place.has(external_id=f"K{number}", email=f"known{number}@shop.example")
        place.box.opt_in(f"known{number}@shop.example", MAIL, BEFORE)
        place.has(external_id=f"M{number}", email=f"old{number}@shop.example")
        place.add(f"K{number}", f"known{number}@shop.example", None, OUT)
        place.add(f"N{number}", f"new{number}@shop.example", f"+49151100000{number:02}", OUT_OF_BOTH)
        place.add(f"M{number}", f"moved{number}@shop.example", None, OUT)
        place.add(f"S{number}", f"joins{number}@shop.example", None, "'Subscribe', NULL, NULL")
    place.box.faults.add("403", endpoint=IMPORT, times=0)
    with pytest.raises(Refused):
        place.report(KEY, most=most)
    assert not place.box.requests[IMPORT, 202]
    for number in range(3):
        people = (f"known{number}@shop.example", f"new{number}@shop.example", f"+49151100000{number:02}", f"moved{number}@shop.example")
        assert [place.status(one) for one in people] == ["UNSUBSCRIBED"] * 4
        assert place.status(f"joins{number}@shop.example") == "NEVER_SUBSCRIBED"


@pytest.mark.parametrize("fault", ["deleted", "hidden"])
def test_a_list_that_is_not_there_keeps_no_opt_out_back(place: Place, fault: str) -> None:
    """When a list was deleted, or the key may not read lists, nothing is imported, and all opt-outs are sent before the run says so."""
    place.has(external_id="K", email="known@shop.example")
    place.has(external_id="M", email="old@shop.example")
    place.add("K", "known@shop.example", None, OUT)
    place.add("M", "moved@shop.example", None, OUT)
    place.add("N", "new@shop.example", None, OUT)
    place.add("S", "joins@shop.example", None, "'Subscribe', NULL, NULL")
    place.write("INSERT INTO members (email, mail) VALUES ('behind@shop.example' || chr(8203), 'Unsubscribed')")  # its row stays behind
    if fault == "hidden":
        place.box.faults.add("403", endpoint="get_list", times=0)
    with pytest.raises(Refused if fault == "hidden" else NoSuchListError):
        place.report(KEY, list="VRgFBd" if fault == "hidden" else "Gone00")
    assert not place.box.requests[IMPORT, 202]
    assert {place.status(f"{name}@shop.example") for name in ("known", "moved", "new", "behind")} == {"UNSUBSCRIBED"}
    assert place.status("joins@shop.example") == "NEVER_SUBSCRIBED"


def test_a_run_that_breaks_half_way_can_be_run_again(place: Place) -> None:
    """After a run that broke the next one sends what is missing, and nobody becomes two profiles."""
    for number in range(6):
        place.add(f"C{number}", f"p{number}@shop.example", f"+4915110000{number:03}", OUT_OF_BOTH)
    place.box.faults.add("403", endpoint=IMPORT, times=0, skip=1)
    with pytest.raises(Refused):
        place.report(KEY, most=2)
    assert {place.status(f"p{number}@shop.example") for number in range(6)} == {"UNSUBSCRIBED"}
    place.box.faults.clear()
    result = place.report(KEY, most=2).results[KEY]
    assert (result.imported, len(place.box.profiles)) == (6, 6)
    assert {place.status(f"+4915110000{number:03}") for number in range(6)} == {"UNSUBSCRIBED"}


def test_the_original_error_is_told(place: Place) -> None:
    """Where Klaviyo does not take the opt-outs that are left either, the first error is the one that is told."""
    for number in range(4):
        place.has(external_id=f"C{number}", email=f"old{number}@shop.example")
        place.add(f"C{number}", f"p{number}@shop.example", None, OUT)
    place.box.faults.add("403", endpoint=IMPORT, times=0)
    place.box.faults.add("401", endpoint=UNSUBSCRIBE, times=0)
    with pytest.raises((Refused, Unavailable), match="bulk-import"):
        place.report(KEY, most=2)


def test_a_newer_subscribe_in_klaviyo_is_skipped_before_the_import(place: Place) -> None:
    """A dated opt-out that is older than what Klaviyo has is not sent, neither before the import nor after it."""
    place.has(external_id="C1", email="ada@shop.example")
    place.box.opt_in("ada@shop.example", MAIL, NOW - timedelta(days=1))
    place.add("C1", "ada@shop.example", None, "'Unsubscribed', '2026-05-01 10:00Z', NULL")
    counts = place.report(KEY).results[KEY].consent[MAIL]
    assert (counts.skipped, order(place)) == (1, [IMPORT])
    assert place.lines(KEY) == [("external_id=C1", "mail", "consent_older", "email_marketing skipped")]


def test_what_klaviyo_refuses_before_is_tried_after(place: Place) -> None:
    """A refusal before the import is not the last word: the opt-out has the fate that it meets after the import."""
    place.box.opt_in("ada@shop.example", MAIL, BEFORE)
    place.add("C1", "ada@shop.example", None, OUT)
    place.box.faults.add("400", endpoint=UNSUBSCRIBE, times=1)
    counts = place.report(KEY).results[KEY].consent[MAIL]
    assert (counts.sent, counts.refused, place.status("ada@shop.example")) == (1, 0, "UNSUBSCRIBED")


def test_letter_case_of_addresses(place: Place) -> None:
    """An address in other letters than Klaviyo's is the same address."""
    place.has(external_id="C1", email="Ada@Shop.example")
    place.box.opt_in("ada@shop.example", MAIL, BEFORE)
    place.add("C1", "ADA@shop.example", None, OUT)
    counts = place.report(KEY).results[KEY].consent[MAIL]
    assert (order(place), counts.confirmed, len(place.box.profiles)) == ([UNSUBSCRIBE, IMPORT], 1, 1)
