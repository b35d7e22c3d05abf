"""Opt-outs that cannot be sent, and words that nobody understands: an error whatever the tolerance, counted once, and listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.orchestration.checks import consent
from klaviyo_sync.sandbox import Sandbox, serve

DAY = "2026-01-02"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
    "consent": {"email_marketing": "mails", "sms_marketing": "texts"},
    "tolerance": {"rejected": "100%", "failed": "100%", "merged": "100%"},
    "stop_above": {"rejected": None, "unsubscribes": None, "merged": None},
}
TABLE = "CREATE TABLE members (id VARCHAR, email VARCHAR, phone VARCHAR, mails VARCHAR, texts VARCHAR, changed TIMESTAMP)"
BYSTANDERS = f"SELECT 'b' || i, 'b' || i || '@shop.example', NULL, NULL, NULL, '{DAY} 08:00' FROM range(300) t(i)"
WORDS = {"opt_out_without_identifier": "Unsubscribed", "unknown_consent_word": "perhaps"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time, with a window in which one row is far below any tolerance."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0)
    with serve(box) as server:
        made = RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=datetime(2026, 1, 10, tzinfo=UTC))
        made.fill(BYSTANDERS)
        yield made


def red(result: Result) -> bool:
    """Whether the check `consent` is an error."""
    verdict = consent(Sync.model_validate(SYNC), result)
    return not verdict.passed and verdict.grave


@pytest.mark.parametrize(("channel", "column"), [("email_marketing", "mails"), ("sms_marketing", "texts")])
@pytest.mark.parametrize("code", WORDS)
@pytest.mark.parametrize("address", ["sales/eu@shop.example", None], ids=["unusable", "missing"])
def test_one_among_hundreds_is_red(place: RunPlace, channel: str, column: str, code: str, address: str | None) -> None:
    """Whatever the sync tolerates, at every channel, whether the address is unusable or missing, the row goes out or is superseded."""
    cell = "NULL" if address is None else f"'{address}'"
    mails, texts = (f"'{WORDS[code]}'" if column == name else "NULL" for name in ("mails", "texts"))
    place.fill(
        f"('1', {cell}, {cell}, {mails}, {texts}, '{DAY} 10:00')",
        f"('2', {cell}, {cell}, {mails}, {texts}, '{DAY} 10:00')",
        f"('2', 'second@shop.example', NULL, NULL, NULL, '{DAY} 11:00')",
    )
    result = place.report(DAY).results[DAY]
    assert (result.imported, result.superseded) == (302, 1)
    assert result.consent[channel] == ConsentCounts(stated=2, rejected=2)  # type: ignore[index]
    listed = [line for line in place.lines(DAY) if line[2] == code]
    outcomes = ("sent without this cell", "superseded")
    assert listed == [(f"external_id={number}", column, code, outcome) for number, outcome in enumerate(outcomes, start=1)]
    assert result.open_opt_outs == (2 if code == "opt_out_without_identifier" else 0)
    assert red(result)


def test_a_shops_number_in_superseded_rows(place: RunPlace) -> None:
    """An opt-out for a number that turns out to be nobody's is not lost with its superseded row."""
    place.fill(
        f"SELECT 's' || i, NULL, '+4930901820', NULL, 'Unsubscribed', '{DAY} 10:00' FROM range(8) t(i)",
    )
    place.fill(f"SELECT 's' || i, 's' || i || '@shop.example', NULL, NULL, NULL, '{DAY} 11:00' FROM range(8) t(i)")
    result = place.report(DAY).results[DAY]
    assert (result.superseded, result.opt_outs_without_address) == (8, 8)
    assert result.consent["sms_marketing"] == ConsentCounts(stated=8, rejected=8)


def test_a_subscribe_without_address_is_tolerated(place: RunPlace) -> None:
    """Nobody is written to for want of a subscribe: the tolerance covers it, and it is no opt-out."""
    place.fill(f"('1', 'sales/eu@shop.example', NULL, 'Subscribe', NULL, '{DAY} 10:00')")
    result = place.report(DAY).results[DAY]
    verdict = consent(Sync.model_validate(SYNC), result)
    assert (verdict.passed, verdict.grave, result.open_opt_outs) == (False, False, 0)
