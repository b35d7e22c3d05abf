"""Opt-outs whose address is not usable as it is written reach the address that was meant; nobody is subscribed or identified by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.result import Result
from klaviyo_sync.sandbox import Sandbox, serve

DAY = "2026-01-02"
ALL: dict[str, Any] = {"external_id": "id", "email": "email", "phone_number": "phone"}
MAIL: dict[str, Any] = {"email": "email"}
CONSENT = {"email_marketing": {"column": "word", "timestamp": "said_at"}, "sms_marketing": "text_word"}
SYNC = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": ALL,
    "consent": CONSENT,
    "stop_above": {"rejected": None, "unsubscribes": None},
}
COLUMNS = "id VARCHAR, email VARCHAR, phone VARCHAR, word VARCHAR, text_word VARCHAR, said_at TIMESTAMPTZ, changed TIMESTAMPTZ"
ANN, NUMBER = "ann@example.com", "+4915112345678"
BROKEN, BROKEN_NUMBER = "an\u200bn@example.com", "+4915112\u200b345678"
OUT, JOIN = "Unsubscribed", "Subscribe"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits, where two people are subscribed."""
    now = datetime(2026, 1, 10, tzinfo=UTC)
    box = Sandbox(clock=now.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    box.opt_in(ANN, "email_marketing", datetime(2024, 6, 1, tzinfo=UTC))
    box.opt_in(NUMBER, "sms_marketing", datetime(2024, 6, 1, tzinfo=UTC))
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=f"CREATE TABLE members ({COLUMNS})", now=now)


def row(hour: int, *cells: str | None, day: int = 2) -> str:
    """A row of 2 January: id, email, phone, word, text_word, said_at."""
    written = [*cells, *[None] * (6 - len(cells))]
    return f"({', '.join('NULL' if cell is None else f'{chr(39)}{cell}{chr(39)}' for cell in written)}, '2026-01-{day:02} {hour:02}:00Z')"


def run(place: RunPlace, *rows: str, **changes: Any) -> Result:
    """The result of the window."""
    place.fill(*rows)
    return place.report(DAY, **changes).results[DAY]


def test_opt_outs_reach_what_was_meant(place: RunPlace) -> None:
    """An opt-out for an address and a number with a character inside that nobody sees is sent without it, and both cells are listed."""
    result = run(place, row(10, "C1", BROKEN, BROKEN_NUMBER, OUT, OUT))
    assert place.box.consent(ANN).status("email_marketing") == "UNSUBSCRIBED"
    assert place.box.consent(NUMBER).status("sms_marketing") == "UNSUBSCRIBED"
    assert {channel: (counts.stated, counts.sent) for channel, counts in result.consent.items()} == {
        "email_marketing": (1, 1),
        "sms_marketing": (1, 1),
    }
    listed = [(column, code) for _, column, code, _ in place.lines(DAY)]
    assert listed == [
        ("email", "invalid_email"),
        ("email", "opt_out_repaired"),
        ("phone", "invalid_phone"),
        ("phone", "opt_out_repaired"),
    ]


def test_nobody_is_identified_by_it(place: RunPlace) -> None:
    """The person goes out without the address, and who has the address stays who they are."""
    run(place, row(10, "C1", BROKEN, BROKEN_NUMBER, OUT, OUT))
    holders = [place.box.profiles.attributes(number) for number in place.box.profiles.numbers()]
    assert sorted(holders, key=str) == [{"email": ANN}, {"external_id": "C1"}, {"phone_number": NUMBER}]


def test_nobody_is_subscribed_by_it(place: RunPlace) -> None:
    """A subscribe for such an address is an issue, as for any that is not usable."""
    result = run(place, row(10, "C1", "b\u200bob@example.com", None, JOIN))
    assert len(place.box.profiles) == 3
    assert (result.consent["email_marketing"].rejected, result.consent["email_marketing"].sent) == (1, 0)
    assert "opt_out_repaired" not in {kind.code for kind in result.issues}


def test_a_row_with_nothing_else(place: RunPlace) -> None:
    """A row that has no usable identifier is rejected, and opts out all the same."""
    result = run(place, row(10, None, BROKEN, None, OUT), profile=MAIL, consent={"email_marketing": "word"})
    assert (result.imported, result.rejected, result.consent["email_marketing"].sent) == (0, 1, 1)
    assert place.box.consent(ANN).status("email_marketing") == "UNSUBSCRIBED"


@pytest.mark.parametrize("profile", [ALL, MAIL], ids=["by id", "by nothing else"])
@pytest.mark.parametrize(
    ("said", "day", "status"), [("2020-01-01", 2, "SUBSCRIBED"), ("2025-02-01", 2, "UNSUBSCRIBED"), ("2020-01-01", 5, "SUBSCRIBED")]
)
def test_it_is_compared_with_what_others_state(place: RunPlace, profile: dict[str, Any], said: str, day: int, status: str) -> None:
    """A newer dated subscribe of the same address outweighs it, also in a row of a later window; an older one does not."""
    rows = [row(10, "C1", BROKEN, None, OUT, None, said), row(11, "C1", ANN, None, JOIN, None, "2025-01-01", day=day)]
    consent = CONSENT if profile is ALL else {"email_marketing": CONSENT["email_marketing"]}
    result = run(place, *rows, profile=profile, consent=consent)
    assert place.box.consent(ANN).status("email_marketing") == status
    assert result.consent["email_marketing"].stated == (2 if day == 2 else 1)


def test_it_reaches_the_newest_address(place: RunPlace) -> None:
    """Like any opt-out of an older row, it reaches the newest address of its person as well."""
    place.box.opt_in("new@example.com", "email_marketing", datetime(2024, 6, 1, tzinfo=UTC))
    result = run(place, row(10, "C1", BROKEN, None, OUT), row(11, "C1", "new@example.com"))
    assert result.superseded == 1
    assert ("email", "opt_out_repaired") in {(column, code) for _, column, code, _ in place.lines(DAY)}, "superseded rows are listed, too"
    assert [place.box.consent(address).status("email_marketing") for address in (ANN, "new@example.com")] == ["UNSUBSCRIBED"] * 2


def test_a_shops_address_opts_out_nobody(place: RunPlace) -> None:
    """An address that stands for nobody is not repaired: neither one of the configuration, nor one that shows among the rows."""
    place.fill(*(row(9, f"S{n}", "info@shop.example", "030 901820", None, OUT) for n in range(6)))
    phone = {**ALL, "phone_number": {"column": "phone", "default_country": "DE"}}
    result = run(place, row(10, "C1", "Shop <info@shop.example>", None, None, None), row(11, "C2", "no\u200bne", None, OUT), profile=phone)
    assert len(place.box.profiles) == 10
    assert (result.consent["sms_marketing"].sent, result.consent["email_marketing"].sent) == (0, 0)


def test_numbers_as_property_count_once(place: RunPlace) -> None:
    """With shared: property, several rows of one person that opt their number out count once each."""
    rows = [row(hour, "C1", "c1@example.com", NUMBER, None, OUT) for hour in (10, 11)]
    result = run(place, *rows, profile={**ALL, "phone_number": {"column": "phone", "shared": "property"}})
    counts = result.consent["sms_marketing"]
    assert (counts.stated, counts.sent, counts.skipped) == (2, 1, 1)
    assert place.box.consent(NUMBER).status("sms_marketing") == "UNSUBSCRIBED"
