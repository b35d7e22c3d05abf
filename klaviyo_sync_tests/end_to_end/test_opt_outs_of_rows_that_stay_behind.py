"""Opt-outs of rows that stay behind: each goes out without its row, whatever the reason, and is counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from run_place import RunPlace

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.sync import CHANNELS, Channel, Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.limits import LIMITS
from klaviyo_sync.orchestration.checks import consent as consent_check
from klaviyo_sync.preview_window import preview_window
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
KEY = "2026-06-09"
CHANGED = "2026-06-09 10:00Z"
SAID = NOW - timedelta(days=30)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "properties": {"Notes": "notes"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": {channel: {"column": channel, "timestamp": f"{channel}_at"} for channel in CHANNELS},
}
COLUMNS = ", ".join(f"{channel} VARCHAR, {channel}_at TIMESTAMPTZ" for channel in CHANNELS)
TABLE = f"CREATE TABLE members (id VARCHAR, email VARCHAR, phone VARCHAR, notes VARCHAR, updated_at TIMESTAMPTZ, {COLUMNS})"

# What becomes of the row, and with it of its subscribes.
REASONS = {"rejected": "rejected", "refused": "refused", "failed": "refused", "unknown": "unknown"}
TOO_LARGE = "repeat('x', 101000)"


def email(number: int) -> str:
    """The e-mail address of a person."""
    return f"p{number}@shop.example"


def phone(number: int) -> str:
    """The phone number of a person."""
    return f"+49151{10_000_000 + number}"


class Place(RunPlace):
    """A place with everybody's consent for every channel."""

    def person(self, number: int, *, notes: str = "NULL", **said: tuple[str, datetime | None]) -> None:
        """Adds the row of a person, with the word and the date that it says for each channel."""
        names = ["id", "email", "phone", "notes", "updated_at"]
        cells = [f"'C{number}'", f"'{email(number)}'", f"'{phone(number)}'", notes, f"'{CHANGED}'"]
        for channel, (word, at) in said.items():
            names += [channel, f"{channel}_at"]
            cells += [f"'{word}'", "NULL" if at is None else f"'{at.isoformat()}'"]
        self.write(f"INSERT INTO members ({', '.join(names)}) VALUES ({', '.join(cells)})")

    def status(self, number: int, channel: Channel) -> str:
        """What Klaviyo holds of a person for a channel."""
        return self.box.consent(email(number) if channel == "email_marketing" else phone(number)).status(channel)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


class Case(NamedTuple):
    """One person who opts out of a channel, when they say so, and what Klaviyo holds: a status and its day as seen from that date."""

    number: int
    channel: Channel
    dated: bool
    held: str | None
    day: int

    @property
    def other(self) -> Channel:
        """Another channel, with another identifier, to which the same row subscribes."""
        return "sms_marketing" if self.channel == "email_marketing" else "email_marketing"

    def fate(self) -> str:
        """What must become of the opt-out: the newest statement wins, on a tie and in doubt the opt-out."""
        if self.dated and self.held == "SUBSCRIBED" and self.day > 0 and not self.channel.startswith("whatsapp"):
            return "skipped"  # WhatsApp's consent does not say whether its date is the person's own
        if self.dated and self.held == "UNSUBSCRIBED" and self.day >= 0:
            return "already"
        return "sent"

    def status(self) -> str:
        """What Klaviyo must hold afterwards."""
        return "SUBSCRIBED" if self.fate() == "skipped" else "UNSUBSCRIBED"


HELD = [(None, 0), *product(("SUBSCRIBED", "UNSUBSCRIBED"), (-5, 0, 5))]
CASES = [
    Case(number, channel, dated, held, day) for number, (channel, dated, (held, day)) in enumerate(product(CHANNELS, (True, False), HELD))
]


@pytest.mark.parametrize("why", REASONS)
def test_every_combination(place: Place, why: str) -> None:
    """Whatever keeps the row back, the opt-out has the fate of any other, its row's subscribe is not sent, and all of it adds up."""
    for case in CASES:
        key = email(case.number) if case.channel == "email_marketing" else phone(case.number)
        if case.held is not None:
            act = place.box.opt_in if case.held == "SUBSCRIBED" else place.box.opt_out
            act(key, case.channel, SAID + timedelta(days=case.day))
        said = {case.channel: ("Unsubscribed", SAID if case.dated else None), case.other: ("Subscribe", None)}
        place.person(case.number, notes=TOO_LARGE if why == "rejected" else "NULL", **said)
    fault: dict[str, Any] = {"kind": "job_cancelled"} if why == "unknown" else {"kind": "row", "every": 1, "early": why == "refused"}
    place.box.faults.add(**fault)
    [result] = place.report(KEY).results.values()
    assert getattr(result, why) == result.read == len(CASES)
    for channel in CHANNELS:
        leaving = Counter(case.fate() for case in CASES if case.channel == channel)
        joining = sum(case.other == channel for case in CASES)
        fates = leaving + Counter({REASONS[why]: joining})
        counts = ConsentCounts(stated=fates.total(), **fates, unsubscribed=leaving["sent"])
        assert result.consent[channel] == counts, channel
        assert counts.balanced
    for case in CASES:
        assert place.status(case.number, case.channel) == case.status(), case
        assert place.status(case.number, case.other) == "NEVER_SUBSCRIBED", case
    assert result.proven == (why != "unknown")


def test_one_call_for_all_channels_of_a_row(place: Place) -> None:
    """A row that stays behind is one person in one call: by e-mail address and number together, and by nothing else of it."""
    place.person(1, notes=TOO_LARGE, **dict.fromkeys(CHANNELS, ("Unsubscribed", None)))
    place.person(2, notes=TOO_LARGE, email_marketing=("Unsubscribed", None))
    place.report(KEY)
    assert place.box.requests["bulk_unsubscribe_profiles", 202] == 1
    reads = ("who has their numbers", "by address", "by number: whether one profile has both", "read back")
    assert place.box.requests["get_profiles", 200] == len(reads)
    assert [place.status(1, channel) for channel in CHANNELS] == ["UNSUBSCRIBED"] * len(CHANNELS)
    found = place.box.profiles
    assert len(found) == 2
    assert found.find("email", email(1)) == found.find("phone_number", phone(1)) is not None
    assert (found.find("phone_number", phone(2)), found.find("external_id", "C1")) == (None, None)


def test_a_row_held_for_an_unknown_word(place: Place) -> None:
    """A word that nobody understands holds the row back, and not what the row says for other channels against being written to."""
    place.person(1, email_marketing=("perhaps", None), sms_marketing=("Unsubscribed", SAID), whatsapp_marketing=("Subscribe", None))
    held = {"email_marketing": {"column": "email_marketing", "unknown": "hold"}}
    result = place.report(KEY, consent={**SYNC["consent"], **held}).results[KEY]
    assert (result.rejected, result.imported) == (1, 0)
    assert {channel: counts for channel, counts in result.consent.items() if counts.stated} == {
        "email_marketing": ConsentCounts(stated=1, rejected=1),
        "sms_marketing": ConsentCounts(stated=1, sent=1, unsubscribed=1),
        "whatsapp_marketing": ConsentCounts(stated=1, rejected=1),
    }
    assert (place.status(1, "sms_marketing"), place.status(1, "whatsapp_marketing")) == ("UNSUBSCRIBED", "NEVER_SUBSCRIBED")


@pytest.mark.parametrize("fault", [None, {"early": True}, {}], ids=["rejected", "refused", "failed"])
def test_a_run_again_leaves_a_newer_subscribe_alone(place: Place, fault: dict[str, Any] | None) -> None:
    """Who subscribes in Klaviyo after the date of the opt-out stays subscribed, however often the window runs."""
    place.person(1, notes="NULL" if fault is not None else TOO_LARGE, email_marketing=("Unsubscribed", SAID))
    if fault is not None:
        place.box.faults.add("row", containing="p1@", **fault)
    assert place.report(KEY).results[KEY].consent["email_marketing"] == ConsentCounts(stated=1, sent=1, unsubscribed=1)
    assert place.report(KEY).results[KEY].consent["email_marketing"] == ConsentCounts(stated=1, already=1)
    place.box.opt_in(email(1), "email_marketing", NOW - timedelta(days=1))
    assert place.report(KEY).results[KEY].consent["email_marketing"] == ConsentCounts(stated=1, skipped=1)
    assert place.status(1, "email_marketing") == "SUBSCRIBED"


def test_no_tolerance_covers_a_refused_opt_out(place: Place) -> None:
    """An opt-out that Klaviyo refuses is listed, and the check `consent` is an error however much the sync tolerates."""
    tolerance = {"rejected": "100%", "failed": "100%"}
    place.person(1, notes=TOO_LARGE, email_marketing=("Unsubscribed", None))
    place.person(2, email_marketing=("Unsubscribed", None))
    place.box.faults.add("400", endpoint="bulk_unsubscribe_profiles", times=0)
    result = place.report(KEY, tolerance=tolerance).results[KEY]
    assert result.consent["email_marketing"] == ConsentCounts(stated=2, refused=2, opt_outs_refused=2)
    assert [line for line in place.lines(KEY) if line[2] == "consent_refused"] == [
        (f"external_id=C{number}", "email_marketing", "consent_refused", "email_marketing refused") for number in (1, 2)
    ]
    verdict = consent_check(Sync.model_validate({**SYNC, "tolerance": tolerance}), result)
    assert (verdict.passed, verdict.grave) == (False, True)
    assert "Klaviyo refused 2 opt-outs" in verdict.words


def test_a_refused_subscribe_is_tolerated(place: Place) -> None:
    """What the tolerance covers is a warning as long as no opt-out is among it."""
    tolerance = {"rejected": "100%", "failed": "100%"}
    place.person(1, email_marketing=("Subscribe", None))
    place.box.faults.add("400", endpoint="bulk_subscribe_profiles", times=0)
    result = place.report(KEY, tolerance=tolerance).results[KEY]
    verdict = consent_check(Sync.model_validate({**SYNC, "tolerance": tolerance}), result)
    assert (verdict.passed, verdict.grave) == (False, False)


def test_they_count_towards_the_limit(place: Place) -> None:
    """A window that would unsubscribe too many holds their opt-outs back as well; let through, it sends them."""
    for number in range(30):
        place.person(number, notes=TOO_LARGE if number % 2 else "NULL", email_marketing=("Unsubscribed", None))
    with pytest.raises(HaltedError) as stopped:
        place.report(KEY, stop_above={"rejected": None, "unsubscribes": "90%"})
    assert (stopped.value.stopped[KEY].waiting, len(place.box.profiles)) == (30, 0)
    assert place.report(KEY).results[KEY].consent["email_marketing"].unsubscribed == 30


def test_a_window_that_stops_over_its_rejected_rows(place: Place) -> None:
    """The opt-outs of the very rows over which the window stops itself go out."""
    for number in range(30):
        place.person(number, notes=TOO_LARGE, email_marketing=("Unsubscribed", None))
    with pytest.raises(HaltedError) as stopped:
        place.report(KEY, stop_above={"rejected": "50%", "unsubscribes": None})
    stop = stopped.value.stopped[KEY]
    assert (stop.waiting, stop.opt_outs["email_marketing"]) == (0, ConsentCounts(stated=30, sent=30, unsubscribed=30))
    assert {place.status(number, "email_marketing") for number in range(30)} == {"UNSUBSCRIBED"}


def test_a_preview_foresees_them(place: Place) -> None:
    """A preview says what would become of the opt-outs of rows that stay behind, and writes nothing."""
    place.person(1, notes=TOO_LARGE, email_marketing=("Unsubscribed", None), sms_marketing=("Subscribe", None))
    place.person(2, notes=TOO_LARGE, email_marketing=("Unsubscribed", SAID))
    place.box.opt_in(email(2), "email_marketing", NOW - timedelta(days=1))
    sync = Sync.model_validate(SYNC)
    with closing(DuckDBWarehouse(place.file)) as warehouse, Klaviyo("pk_x", place.url, limits=LIMITS.scaled(1e6)) as klaviyo:
        found = preview_window(sync, window(sync, KEY), warehouse, klaviyo, ask=100, now=NOW, seen=lambda _: None)
    assert found.stated == {("email_marketing", "unsubscribe"): 2}
    assert found.result.consent["email_marketing"] == ConsentCounts(stated=2, sent=1, skipped=1, unsubscribed=1)
    assert found.result.consent["sms_marketing"] == ConsentCounts(stated=1, rejected=1)
    assert place.box.requests["bulk_unsubscribe_profiles", 202] == 0
