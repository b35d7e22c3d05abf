"""`shared: ask` in a run as a whole: a number beside a stronger identifier goes out only if no other profile in Klaviyo has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.errors import Unavailable
from klaviyo_sync.core.result import IssueKind, Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.holders import MOST_PAGES, MOST_REFUSED
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.preview_window import preview_window
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
KEY = "2026-06-09"
PHONE = "+4915112345678"
OTHER_PHONE = "+4915112345679"
LEFT_OUT = IssueKind("phone", "shared_phone")
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"id": "klaviyo_id", "external_id": "id", "email": "email", "phone_number": "phone"},
    "stop_above": {"rejected": None, "unsubscribes": None},
}
CONSENT = {"email_marketing": "mails", "sms_marketing": "texts"}
TABLE = """
CREATE TABLE members (
    klaviyo_id VARCHAR, id VARCHAR, email VARCHAR, phone VARCHAR, mails VARCHAR, texts VARCHAR, updated_at TIMESTAMPTZ DEFAULT '2026-06-09'
)
"""


class Place(RunPlace):
    """A place whose sync maps every identifier."""

    def row(self, **cells: str | None) -> None:
        """Adds a row."""
        written = ", ".join("NULL" if value is None else f"'{value}'" for value in cells.values())
        self.write(f"INSERT INTO members ({', '.join(cells)}) VALUES ({written})")

    def rows(self, count: int) -> None:
        """Adds so many people, each with a number of their own."""
        self.write(
            "INSERT INTO members (id, email, phone) "
            f"SELECT 'C' || n, 'p' || n || '@shop.example', '+49151' || (10000000 + n) FROM range({count}) numbered(n)"
        )

    def holds(self, **attributes: str) -> str:
        """Puts a profile into Klaviyo; its id."""
        number, _ = self.box.profiles.upsert(None, attributes, NOW.timestamp())
        return self.box.profiles.id(number)

    def profile(self, path: str, value: str) -> dict[str, Any]:
        """The profile that Klaviyo finds by an identifier."""
        number = self.box.profiles.find(path, value)
        assert number is not None
        return self.box.profiles.attributes(number)

    def result(self, **changes: Any) -> Result:
        """The result of a run of the window, which all rows survive."""
        result = self.report(KEY, **changes).results[KEY]
        assert result.imported == result.read
        return result


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in", clock=NOW.timestamp)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize(
    "holder",
    [
        {"external_id": "anna"},
        {"email": "anna@shop.example"},
        {"external_id": "anna", "email": "anna@shop.example"},
        {"external_id": "BERT"},
    ],
    ids=lambda holder: "+".join(holder.values()),
)
def test_a_number_of_somebody_else_stays_there(place: Place, holder: dict[str, str]) -> None:
    """The row goes out without the number, is listed, and the profile that has the number is as before."""
    place.holds(**holder, phone_number=PHONE)
    place.row(id="bert", email="bert@shop.example", phone=PHONE)
    result = place.result()
    assert result.issues == {LEFT_OUT: 1}
    assert place.lines(KEY) == [("external_id=bert", "phone", "shared_phone", "sent without this cell")]
    assert place.profile("phone_number", PHONE) == {**holder, "phone_number": PHONE}
    assert place.profile("external_id", "bert") == {"external_id": "bert", "email": "bert@shop.example"}


@pytest.mark.parametrize(
    "holder",
    [
        {"external_id": "bert"},
        {"email": "BERT@Shop.example"},
        {"external_id": "bert", "email": "old@shop.example"},
        {"external_id": "old", "email": "bert@shop.example"},
        {},
    ],
    ids=lambda holder: "+".join(holder.values()) or "number alone",
)
def test_a_number_of_ones_own_goes_out(place: Place, holder: dict[str, str]) -> None:
    """It is the row's own where the profile has any of its identifiers, in any case of an e-mail address, or nothing but the number."""
    place.holds(**holder, phone_number=PHONE)
    place.row(id="bert", email="bert@shop.example", phone=PHONE)
    assert place.result().issues == {}
    assert place.profile("phone_number", PHONE) == {"external_id": "bert", "email": "bert@shop.example", "phone_number": PHONE}
    assert len(place.box.profiles) == 1


@pytest.mark.parametrize("own", [True, False])
def test_a_profile_known_by_klaviyos_id(place: Place, *, own: bool) -> None:
    """Klaviyo's id says as well whose number it is."""
    anna, bert = place.holds(email="anna@shop.example", phone_number=PHONE), place.holds(email="bert@shop.example")
    place.row(klaviyo_id=anna if own else bert, phone=PHONE)
    assert place.result().issues == ({} if own else {LEFT_OUT: 1})
    assert place.profile("phone_number", PHONE)["email"] == "anna@shop.example"


def test_a_number_that_nobody_has_goes_out(place: Place) -> None:
    """A new person brings the number along; run again, it is the person's own."""
    place.row(id="bert", email="bert@shop.example", phone=PHONE)
    for _ in range(2):
        assert place.result().issues == {}
        assert place.profile("external_id", "bert")["phone_number"] == PHONE


def test_a_couple_over_two_days(place: Place) -> None:
    """Who comes a day later with the number of the one before is a person apart, also when both days are run again."""
    place.write("INSERT INTO members (id, email, phone, updated_at) VALUES ('anna', 'anna@shop.example', '+4915112345678', '2026-06-08')")
    place.report("2026-06-08")
    place.row(id="bert", email="bert@shop.example", phone=PHONE)
    for _ in range(2):
        place.result()
        place.report("2026-06-08")
        assert place.profile("external_id", "anna") == {"external_id": "anna", "email": "anna@shop.example", "phone_number": PHONE}
        assert place.profile("external_id", "bert") == {"external_id": "bert", "email": "bert@shop.example"}
    assert len(place.box.profiles) == 2


def test_a_number_that_is_handed_on(place: Place) -> None:
    """Whoever has the number when a run asks keeps it in that run, though it gets another one there; the next run gives it on."""
    place.holds(external_id="anna", phone_number=PHONE)
    place.row(id="anna", phone=OTHER_PHONE)
    place.row(id="bert", phone=PHONE)
    assert place.result().issues == {LEFT_OUT: 1}
    assert place.profile("external_id", "anna")["phone_number"] == OTHER_PHONE
    assert "phone_number" not in place.profile("external_id", "bert")
    for _ in range(2):
        assert place.result().issues == {}
        assert place.profile("phone_number", PHONE)["external_id"] == "bert"
        assert place.profile("phone_number", OTHER_PHONE)["external_id"] == "anna"


def test_numbers_that_are_swapped_stay(place: Place) -> None:
    """Two people who swap their numbers keep them in Klaviyo, in every run: one at a time, each would take the other's."""
    place.holds(external_id="anna", phone_number=PHONE)
    place.holds(external_id="bert", phone_number=OTHER_PHONE)
    place.row(id="anna", phone=OTHER_PHONE)
    place.row(id="bert", phone=PHONE)
    for _ in range(2):
        assert place.result().issues == {LEFT_OUT: 2}
        assert place.profile("phone_number", PHONE)["external_id"] == "anna"


@pytest.mark.parametrize(("word", "status"), [("Unsubscribed", "UNSUBSCRIBED"), ("Subscribe", "NEVER_SUBSCRIBED")])
def test_a_number_left_out_takes_opt_outs_alone(place: Place, word: str, status: str) -> None:
    """The opt-out goes to the number, by itself; a subscribe is listed, since another profile would be subscribed by it."""
    place.holds(external_id="anna", phone_number=PHONE)
    place.row(id="bert", email="bert@shop.example", phone=PHONE, mails=word, texts=word)
    result = place.result(consent=CONSENT)
    opt_out = word == "Unsubscribed"
    assert result.consent["email_marketing"] == ConsentCounts(stated=1, sent=1, unsubscribed=int(opt_out))
    assert result.consent["sms_marketing"] == ConsentCounts(stated=1, sent=opt_out, unsubscribed=opt_out, rejected=not opt_out)
    assert place.box.consent(PHONE).status("sms_marketing") == status
    assert place.box.consent("bert@shop.example").status("email_marketing") == ("UNSUBSCRIBED" if opt_out else "SUBSCRIBED")
    assert place.profile("phone_number", PHONE) == {"external_id": "anna", "phone_number": PHONE}
    codes = [line[2] for line in place.lines(KEY)]
    assert codes == (["shared_phone"] if opt_out else ["shared_phone", "consent_without_identifier"])


@pytest.mark.parametrize(("people", "reads"), [(1, 1), (100, 1), (101, 2), (250, 3)])
def test_requests_are_counted(place: Place, people: int, reads: int) -> None:
    """A hundred numbers take one request, and the result counts them."""
    place.rows(people)
    assert place.result().phone_requests == reads == place.box.requests["get_profiles", 200]


@pytest.mark.parametrize(
    ("cells", "changes"),
    [
        ({"id": "bert", "email": "bert@shop.example"}, {}),
        ({"phone": PHONE}, {}),
        ({"id": "bert", "phone": "junk"}, {}),
        ({"id": "bert", "phone": PHONE}, {"profile": {"external_id": "id", "phone_number": {"column": "phone", "shared": "newest"}}}),
        ({"id": "bert", "phone": PHONE}, {"profile": {"external_id": "id", "phone_number": {"column": "phone", "shared": "property"}}}),
        ({"phone": PHONE}, {"profile": {"phone_number": "phone"}}),
    ],
    ids=["no number", "number alone", "no number that exists", "newest", "property", "only numbers mapped"],
)
def test_nothing_is_asked_without_need(place: Place, cells: dict[str, str], changes: dict[str, Any]) -> None:
    """Klaviyo is asked about numbers beside a stronger identifier, and only with `shared: ask`."""
    place.row(**cells)
    assert place.result(**changes).phone_requests == 0
    assert ("get_profiles", 200) not in place.box.requests


def test_newest_sends_the_number_of_somebody_else(place: Place) -> None:
    """With `shared: newest` the number is sent whoever has it, and what comes of it is Klaviyo's choice: here it fails the row."""
    place.holds(external_id="anna", phone_number=PHONE)
    place.row(id="bert", phone=PHONE)
    profile = {"external_id": "id", "phone_number": {"column": "phone", "shared": "newest"}}
    result = place.report(KEY, profile=profile).results[KEY]
    assert LEFT_OUT not in result.issues


def test_a_small_account_is_listed_once(place: Place) -> None:
    """The first load into an account of a few hundred profiles reads those, and asks about no number."""
    for number in range(150):
        place.holds(external_id=f"old{number}", **({"phone_number": f"+49151{10_000_000 + number}"} if number < 10 else {}))
    place.rows(1_500)
    result = place.result()
    assert result.phone_requests == 2 == place.box.requests["get_profiles", 200]
    assert result.issues == {LEFT_OUT: 10}


def test_a_large_account_is_asked(place: Place) -> None:
    """An account that takes too many pages to list is asked about the numbers; what was tried is counted."""
    for number in range(100 * MOST_PAGES + 1):
        place.holds(external_id=f"old{number}", **({"phone_number": f"+49151{10_000_000 + number}"} if number < 10 else {}))
    place.rows(1_500)
    result = place.result()
    assert result.phone_requests == MOST_PAGES + 15 == place.box.requests["get_profiles", 200]
    assert result.issues == {LEFT_OUT: 10}


@pytest.mark.parametrize("kind", ["429", "500", "503", "reset", "truncated", "garbage"])
def test_trouble_that_passes(place: Place, kind: str) -> None:
    """What goes wrong for a while changes nothing but the number of requests."""
    place.holds(external_id="anna", phone_number="+4915110000007")
    place.rows(250)
    place.box.faults.add(kind, endpoint="get_profiles", times=2, skip=1)
    result = place.result()
    assert result.issues == {LEFT_OUT: 1}
    assert result.phone_requests == 5


def test_no_answer_no_import(place: Place) -> None:
    """As long as Klaviyo does not say who has the numbers, nothing is sent, and the window is not done."""
    place.rows(5)
    place.box.faults.add("500", endpoint="get_profiles", times=0)
    with pytest.raises(Unavailable):
        place.report(KEY)
    assert len(place.box.profiles) == 0


def test_a_number_that_is_not_looked_up(place: Place) -> None:
    """A number that Klaviyo refuses to look up is left out, and no other one with it."""
    place.holds(external_id="anna", phone_number="+4915110000007")
    place.rows(12)
    place.box.faults.add("400", endpoint="get_profiles", times=2)  # all twelve, then the first half of them
    result = place.result()
    assert (result.issues, result.phone_requests) == ({LEFT_OUT: 1}, 5)
    place.write("DELETE FROM members WHERE id <> 'C3'")
    place.box.faults.add("400", endpoint="get_profiles")
    result = place.result()
    assert result.issues == {IssueKind("phone", "phone_not_looked_up"): 1}


def test_a_refusal_of_everything_is_no_fault_of_numbers(place: Place) -> None:
    """When Klaviyo looks up none of many numbers, the run breaks, says what to do, and names no number."""
    place.rows(MOST_REFUSED)
    place.box.faults.add("400", endpoint="get_profiles", times=0)
    with pytest.raises(Unavailable, match=f"none of {MOST_REFUSED} phone numbers .* shared: newest") as raised:
        place.report(KEY)
    assert "+49" not in str(raised.value)
    assert len(place.box.profiles) == 0


@pytest.mark.parametrize("ask", [0, 2, 100])
def test_a_preview(place: Place, ask: int) -> None:
    """A preview says how many numbers a run asks about, in how many requests, and how many of those it asked about are left out."""
    place.rows(150)
    place.holds(external_id="anna", phone_number="+4915110000001")
    place.holds(external_id="bert", phone_number="+4915110000140")
    sync = Sync.model_validate(SYNC)
    with closing(DuckDBWarehouse(place.file)) as warehouse, Klaviyo("pk_x", place.url, limits=LIMITS.scaled(1e6)) as klaviyo:
        asked = klaviyo if ask else None
        found = preview_window(sync, window(sync, KEY), warehouse, asked, ask=ask, now=NOW, seen=lambda _: None)
    assert (found.numbers, found.numbers_asked, found.reads) == (150, ask, 2)
    assert found.reading_minutes == pytest.approx(2 / 700)
    assert found.result.issues == ({LEFT_OUT: 1} if ask else {})
