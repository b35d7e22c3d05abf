"""People who share identifiers, from the warehouse into the sandbox: nobody disappears, and no opt-out does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.errors import HaltedError
from klaviyo_sync.core.result import IssueKind
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.preview_window import preview_window
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
KEY = "2026-06-09"
BEFORE = datetime(2026, 5, 1, tzinfo=UTC)
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "consent": {"email_marketing": "email_word", "sms_marketing": "sms_word"},
}
TABLE = "CREATE TABLE members (id VARCHAR, email VARCHAR, phone VARCHAR, email_word VARCHAR, sms_word VARCHAR, updated_at TIMESTAMPTZ)"
PHONE = "+4915112345678"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def row(hour: int, *cells: str | None) -> str:
    """A row of 9 June: id, email, phone, email_word, sms_word."""
    written = [*cells, *[None] * (5 - len(cells))]
    return f"({', '.join('NULL' if cell is None else repr(cell) for cell in written)}, '2026-06-09 {hour:02}:00Z')"


def sent(place: RunPlace, external_id: str) -> dict[str, Any]:
    """What Klaviyo holds of somebody."""
    number = place.box.profiles.find("external_id", external_id)
    assert number is not None
    return place.box.profiles.attributes(number)


@pytest.mark.parametrize("shared", ["ask", "newest"])
def test_a_household(place: RunPlace, shared: str) -> None:
    """Two people with one phone stay two: the older one's e-mail opt-out arrives, and the number stays with the newer one."""
    place.box.opt_in("ann@example.com", "email_marketing", BEFORE)
    place.fill(row(8, "C1", "ann@example.com", PHONE, "Unsubscribed"), row(9, "C2", "bob@example.com", PHONE))
    profile = {**SYNC["profile"], "phone_number": {"column": "phone", "shared": shared}}
    result = place.report(KEY, profile=profile).results[KEY]
    assert (result.imported, result.superseded, result.merged) == (2, 0, 0)
    assert place.box.consent("ann@example.com").status("email_marketing") == "UNSUBSCRIBED"
    assert "phone_number" not in sent(place, "C1")
    assert sent(place, "C2")["phone_number"] == PHONE
    assert place.lines(KEY) == [("external_id=C1", "phone", "shared_phone", "sent without this cell")]


def test_consent_for_a_number_that_is_left_out(place: RunPlace) -> None:
    """An opt-out by text message arrives at a number that its row goes out without; a subscribe for it does not."""
    place.box.opt_in(PHONE, "sms_marketing", BEFORE)
    place.fill(row(8, "C1", "ann@example.com", PHONE, None, "Unsubscribed"), row(9, "C2", "bob@example.com", PHONE))
    result = place.report(KEY).results[KEY]
    assert result.imported == 2
    assert place.box.consent(PHONE).status("sms_marketing") == "UNSUBSCRIBED"
    assert result.consent["sms_marketing"].unsubscribed == 1

    other = "+4915112345679"
    place.fill(row(8, "C3", "cy@example.com", other, None, "Subscribe"), row(9, "C4", "di@example.com", other))
    result = place.report(KEY).results[KEY]
    assert place.box.consent(other).status("sms_marketing") != "SUBSCRIBED"
    assert result.issues[IssueKind("sms_marketing", "consent_superseded")] == 1
    assert result.consent["sms_marketing"].skipped == 1


def test_numbers_as_a_property(place: RunPlace) -> None:
    """With `shared: property` numbers beside a stronger identifier are a custom property; opt-outs for them arrive all the same."""
    place.box.opt_in(PHONE, "sms_marketing", BEFORE)
    place.fill(row(8, "C1", "ann@example.com", PHONE, None, "Unsubscribed"), row(9, None, None, "+4915112345679"))
    result = place.report(KEY, profile={**SYNC["profile"], "phone_number": {"column": "phone", "shared": "property"}}).results[KEY]
    assert (result.imported, dict(result.issues)) == (2, {})
    held = sent(place, "C1")
    assert "phone_number" not in held
    assert held["properties"] == {"Contact Phone Number": PHONE}
    assert place.box.consent(PHONE).status("sms_marketing") == "UNSUBSCRIBED"
    assert place.box.profiles.find("phone_number", "+4915112345679") is not None


def test_two_customers_with_one_address(place: RunPlace) -> None:
    """By default they are one profile, and the superseded one is listed with the row in its place; match_on can keep them apart."""
    place.fill(row(8, "C1", "reed@example.com"), row(9, "C2", "Reed@example.com"))
    result = place.report(KEY).results[KEY]
    assert (result.imported, result.superseded, result.merged) == (1, 1, 1)
    [line] = place.rejected(KEY)
    assert (line["row"], line["column"], line["code"], line["outcome"]) == ("external_id=C1", "email", "same_email", "superseded")
    assert line["message"].endswith("That row is external_id=C2.")

    result = place.report(KEY, match_on=["external_id"]).results[KEY]
    assert (result.imported, result.superseded, result.merged) == (2, 0, 0)
    assert place.lines(KEY) == [("external_id=C1", "email", "shared_email", "sent without this cell")]


def test_a_change_log_reports_nothing(place: RunPlace) -> None:
    """Many versions of one person with the same identifiers are superseded in silence; of a changed address one row is listed."""
    place.fill(*(row(hour, "C1", "ann@example.com") for hour in range(8)))
    assert place.report(KEY).results[KEY].issues == {}
    place.fill(row(9, "C1", "reed@example.com"))
    result = place.report(KEY).results[KEY]
    assert (result.superseded, result.merged) == (8, 1)
    assert [line["modified_at"][11:13] for line in place.rejected(KEY)] == ["07"]


@pytest.mark.parametrize("rows", [40, 1_200])
def test_a_window_that_makes_one_person_of_many_stops(place: RunPlace, rows: int) -> None:
    """Four customers beside each address: the window stops itself, nobody of them is imported, and a preview says so."""
    address = "'shop' || n // 4 || '@example.com'"
    place.fill(f"SELECT 'C' || n, {address}, NULL, NULL, NULL, TIMESTAMPTZ '2026-06-09 10:00Z' FROM range({rows}) AS _(n)")
    merged = rows * 3 // 4
    expected = f"{merged:,} of {rows:,} rows are superseded by a row with another identifier, and stop_above.merged is 50%"
    with pytest.raises(HaltedError, match=expected):
        place.report(KEY)
    assert place.box.profiles.find("email", "shop0@example.com") is None
    sync = Sync.model_validate(SYNC)
    with closing(DuckDBWarehouse(place.file)) as warehouse:
        shown = preview_window(sync, window(sync, KEY), warehouse, None, ask=0, now=NOW, seen=lambda _: None)
    assert (shown.result.merged, shown.halts) == (merged, (expected,))
