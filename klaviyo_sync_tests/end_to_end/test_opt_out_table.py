"""The truth table of opt-outs: what becomes of the row x what the import does x the channel. Each is sent, and counted once.

A line gives the calls that write, in their order: `out` unsubscribes, `import` imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from run_place import RunPlace

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sandbox.answers import Answer

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=60)
KEY = "2026-06-09"
NAMES = {"bulk_import_profiles": "import", "bulk_unsubscribe_profiles": "out"}
COLUMNS: dict[Channel, str] = {"email_marketing": "mails", "sms_marketing": "texts"}
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-06-01",
    "profile": {"external_id": "id", "email": "email", "phone_number": {"column": "phone", "shared": "newest"}},
    "properties": {"Notes": "notes"},
    "stop_above": {"rejected": None, "unsubscribes": None},
    "consent": COLUMNS,
}
TABLE = """CREATE TABLE members (
    id VARCHAR, email VARCHAR, phone VARCHAR, notes VARCHAR, mails VARCHAR, texts VARCHAR, changed TIMESTAMPTZ)"""
MAIL, NUMBER = "ada@shop.example", "+4915110000001"
ROW = {"external_id": "C1", "email": MAIL, "phone_number": NUMBER}

# What Klaviyo has before, by what the import of the row then does.
HELD: dict[str, list[dict[str, str]]] = {
    "created": [],
    "updated": [ROW],
    "moved": [{"external_id": "C1", "email": "ada.old@shop.example", "phone_number": "+4915110000009"}],
    "merged": [{"external_id": "C1"}, {"email": MAIL, "phone_number": NUMBER}],
}

# kind of row: the calls where the import creates, updates, moves an address, merges.
CALLS: dict[str, dict[str, str]] = {
    "goes out": {"created": "out import out", "updated": "out import", "moved": "import out", "merged": "out import out"},
    "superseded": {"created": "out import out", "updated": "out import", "moved": "import out", "merged": "out import out"},
    "rejected": {"created": "out", "updated": "out", "moved": "out", "merged": "out"},
    "refused": {"created": "out import", "updated": "out import", "moved": "import out", "merged": "out import"},
    "failed": {"created": "out import", "updated": "out import", "moved": "import out", "merged": "out import"},
}


class Case(NamedTuple):
    """One line of the table for one channel."""

    kind: str
    does: str
    channel: Channel

    def __str__(self) -> str:
        return f"{self.kind}, {self.does}, {self.channel}"


CASES = [Case(kind, does, channel) for channel in COLUMNS for kind, line in CALLS.items() for does in line]


class Watched(Sandbox):
    """A local Klaviyo that writes down the order of the calls that write."""

    def count(self, operation: str, answer: Answer) -> None:
        """Notes one answered request."""
        super().count(operation, answer)
        if operation in NAMES:
            self.order.append(NAMES[operation])

    def reset(self) -> None:
        """Back to the account as it was made."""
        super().reset()
        self.order: list[str] = []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[RunPlace]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Watched(limits=False, job_seconds=0.0, consent_seconds=0.0, clock=NOW.timestamp)
    with serve(box) as server:
        yield RunPlace(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=str(case), marks=[pytest.mark.long] if case.channel == "sms_marketing" else []) for case in CASES]
)
def test_an_opt_out(place: RunPlace, case: Case) -> None:
    """It is sent before the import unless that would make a second profile, again where the address may have moved, and counted once."""
    box = place.box
    assert isinstance(box, Watched)
    for identifiers in HELD[case.does]:
        box.profiles.upsert(None, identifiers, BEFORE.timestamp())
    address = MAIL if case.channel == "email_marketing" else NUMBER
    if any(address in identifiers.values() for identifiers in HELD[case.does]):
        box.opt_in(address, case.channel, BEFORE)
    mails, texts = ("'Unsubscribed'" if COLUMNS[case.channel] == column else "NULL" for column in ("mails", "texts"))
    notes = "repeat('x', 101000)" if case.kind == "rejected" else "NULL"
    place.fill(f"('C1', '{MAIL}', '{NUMBER}', {notes}, {mails}, {texts}, '{KEY} 10:00Z')")
    if case.kind == "superseded":
        place.fill(f"('C1', '{MAIL}', '{NUMBER}', NULL, NULL, NULL, '{KEY} 11:00Z')")
    if case.kind in ("refused", "failed"):
        box.faults.add("row", containing="C1", early=case.kind == "refused")
    counts = place.report(KEY).results[KEY].consent
    assert counts[case.channel] == ConsentCounts(stated=1, sent=1, unsubscribed=1)
    assert all(other.stated == 0 for channel, other in counts.items() if channel != case.channel)
    assert box.consent(address).status(case.channel) == "UNSUBSCRIBED"
    assert " ".join(box.order) == CALLS[case.kind][case.does]
