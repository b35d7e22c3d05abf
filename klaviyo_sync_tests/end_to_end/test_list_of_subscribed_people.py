"""Who is subscribed already joins the consent list, by membership alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.errors import Refused
from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=60)
KEY = "2026-06-09"
LIST = "VRgFBd"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"email": "email", "phone_number": "phone"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": {"email_marketing": "mail", "sms_marketing": "sms", "list": LIST},
}
TABLE = "CREATE TABLE members (email VARCHAR, phone VARCHAR, mail VARCHAR, sms VARCHAR, changed TIMESTAMPTZ DEFAULT '2026-06-09 10:00Z')"
IN, OUT = "'Subscribe'", "'Unsubscribed'"


class Place(RunPlace):
    """The place of these tests."""

    def add(self, email: str, mail: str, phone: str = "NULL", sms: str = "NULL") -> None:
        """Adds a row."""
        self.write(f"INSERT INTO members (email, phone, mail, sms) VALUES ('{email}', {phone}, {mail}, {sms})")

    def members(self) -> set[str]:
        """The e-mail addresses on the list."""
        return {self.box.profiles.attributes(number)["email"] for number in self.box.lists[LIST].members}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def test_subscribed_people_join_by_membership(place: Place) -> None:
    """Who is subscribed already is added to the list without a subscribe call; who opted out, in any channel of the row, is not."""
    for name in ("ada", "bob", "cleo"):
        place.box.opt_in(f"{name}@shop.example", "email_marketing", BEFORE)
    place.box.opt_out("dan@shop.example", "email_marketing", BEFORE)
    place.add("ada@shop.example", IN)
    place.add("bob@shop.example", "NULL")
    place.add("cleo@shop.example", IN, "'+4915110000001'", OUT)
    place.add("dan@shop.example", IN)
    counts = place.report(KEY).results[KEY].consent["email_marketing"]
    assert (counts.already, counts.guarded, place.members()) == (2, 1, {"ada@shop.example"})
    assert not place.box.requests["bulk_subscribe_profiles", 202]
    assert place.box.requests["add_profiles_to_list", 204] == 1


def test_a_thousand_a_call(place: Place) -> None:
    """A call adds a thousand people; a run again adds nobody twice."""
    people = [f"p{number}@shop.example" for number in range(1_001)]
    for email in people:
        place.box.opt_in(email, "email_marketing", BEFORE)
    place.fill(f"SELECT 'p' || n || '@shop.example', NULL, {IN}, NULL, TIMESTAMPTZ '2026-06-09 10:00Z' FROM range(1001) AS _(n)")
    place.report(KEY)
    assert place.box.requests["add_profiles_to_list", 204] == 2
    assert place.members() == set(people)
    place.report(KEY)
    assert len(place.box.lists[LIST].members) == 1_001


def test_a_refusal_names_only_whom_it_concerns(place: Place) -> None:
    """When Klaviyo refuses a call, the rest of it is added; who is left out has a line in the rejects file."""
    for name in ("ada", "bob", "cleo"):
        place.box.opt_in(f"{name}@shop.example", "email_marketing", BEFORE)
        place.add(f"{name}@shop.example", IN)
    number = place.box.profiles.find("email", "bob@shop.example")
    assert number is not None
    place.box.faults.add("400", endpoint="add_profiles_to_list", times=0, containing=place.box.profiles.id(number))
    result = place.report(KEY).results[KEY]
    assert place.members() == {"ada@shop.example", "cleo@shop.example"}
    assert place.lines(KEY) == [("email=bob@shop.example", "mail", "list_not_joined", "email_marketing already")]
    assert result.consent["email_marketing"].already == 3


def test_a_list_that_is_gone(place: Place) -> None:
    """A list that is gone by then breaks the run with a text that names it."""
    place.box.opt_in("ada@shop.example", "email_marketing", BEFORE)
    place.add("ada@shop.example", IN)
    place.box.faults.add("lists_gone", endpoint="add_profiles_to_list")
    with pytest.raises(Refused, match=LIST):
        place.report(KEY)
