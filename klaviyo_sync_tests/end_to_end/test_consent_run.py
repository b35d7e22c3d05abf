"""Consent in a run as a whole: after the profiles, counted by window, with a line in the rejects file for each that was not carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.errors import ConfigError, HaltedError
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report

NOW = datetime(2026, 1, 10, tzinfo=UTC)
FIRST, SECOND = "2026-01-01", "2026-01-02"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": FIRST,
    "profile": {"external_id": "id", "email": "email", "phone_number": "phone"},
}
CONSENT: dict[str, Any] = {"email_marketing": {"column": "word", "timestamp": "said_at"}, "sms_marketing": "texts", "list": "VRgFBd"}
TABLE = """
CREATE TABLE members (
    id VARCHAR, email VARCHAR, phone VARCHAR, word VARCHAR, said_at TIMESTAMPTZ, texts VARCHAR, updated_at TIMESTAMPTZ
)
"""


class Place(RunPlace):
    """A place whose sync maps consent."""

    def run(self, *keys: str, stop_above: Mapping[str, Any] | None = None, **consent: Any) -> Report:
        """Runs the windows of these keys together."""
        return self.report(*keys, stop_above=stop_above or {}, consent={**CONSENT, **consent})


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time, and where consent shows at once."""
    box = Sandbox(limits=False, job_seconds=0.0, consent_seconds=0.0)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def test_counts_by_window_and_reasons_in_the_file(place: Place) -> None:
    """Every window counts its own statements, and its rejects file has a line for each that was not carried out."""
    place.box.opt_out("gone@example.com", "email_marketing")
    place.fill(
        f"('1', 'new@example.com', '+4915112345671', 'Subscribe', NULL, 'Subscribe', '{FIRST} 10:00Z')",
        f"('2', 'gone@example.com', NULL, 'Subscribe', NULL, NULL, '{FIRST} 10:00Z')",
        f"('3', 'leaving@example.com', NULL, 'Unsubscribed', NULL, NULL, '{SECOND} 10:00Z')",
        f"('4', 'odd@example.com', NULL, 'yes', NULL, 'Subscribe', '{SECOND} 10:00Z')",
    )
    report = place.run(FIRST, SECOND)
    assert all(result.balanced and result.proven for result in report.results.values())
    assert report.results[FIRST].consent == {
        "email_marketing": ConsentCounts(stated=2, sent=1, guarded=1),
        "sms_marketing": ConsentCounts(stated=1, sent=1),
    }
    assert report.results[SECOND].consent == {
        "email_marketing": ConsentCounts(stated=2, sent=1, rejected=1, unsubscribed=1),
        "sms_marketing": ConsentCounts(stated=1, rejected=1),
    }
    assert place.lines(FIRST) == [("external_id=2", "word", "consent_guarded", "email_marketing guarded")]
    assert place.lines(SECOND) == [
        ("external_id=4", "texts", "consent_without_identifier", "sent without this cell"),
        ("external_id=4", "word", "unknown_consent_word", "sent without this cell"),
    ]
    assert place.box.consent("gone@example.com").status("email_marketing") == "UNSUBSCRIBED"
    assert place.box.consent("new@example.com").status("sms_marketing") == "SUBSCRIBED"


def test_what_undated_subscribes_go_through(place: Place) -> None:
    """The opt-in process of the list is read once and told; without a list it is the account's, which cannot be read."""
    place.fill(f"('1', 'new@example.com', NULL, 'Subscribe', NULL, NULL, '{FIRST} 10:00Z')")
    assert place.run(FIRST).opt_in == "single_opt_in"
    assert place.run(FIRST, list="Y6nRLr").opt_in == "double_opt_in"
    assert place.run(FIRST, list=None).opt_in == "account default, unknown"
    assert place.run(SECOND).opt_in is None


def test_a_consent_list_that_is_not_there(place: Place) -> None:
    """Before anything is sent, the run says that the list of the consent does not exist."""
    place.fill(f"('1', 'new@example.com', NULL, 'Subscribe', NULL, NULL, '{FIRST} 10:00Z')")
    with pytest.raises(ConfigError, match="no list 'NOPE01'"):
        place.run(FIRST, list="NOPE01")
    assert len(place.box.profiles) == 0


def test_a_column_that_unsubscribes_everybody(place: Place) -> None:
    """When most rows say Unsubscribed, the run stops itself before anything is sent, unless the sync allows it."""
    people = f"SELECT n, 'p' || n || '@example.com', NULL, 'Unsubscribed', NULL, NULL, '{FIRST} 10:00Z' FROM range(1_500) AS _(n)"
    place.fill(people)
    with pytest.raises(HaltedError, match=r"1,500 of 1,500 rows newly unsubscribe for email_marketing, and stop_above.unsubscribes is 50%"):
        place.run(FIRST)
    assert len(place.box.profiles) == 0
    report = place.run(FIRST, stop_above={"unsubscribes": None})
    assert report.results[FIRST].consent["email_marketing"].unsubscribed == 1_500


def test_consent_waits_for_its_profile(place: Place) -> None:
    """Who was not imported is not subscribed: the statement is refused with its row, not lost."""
    place.box.faults.add("row", containing="new@example.com", detail="No.")
    place.fill(
        f"('1', 'new@example.com', NULL, 'Subscribe', '2025-01-01 00:00Z', NULL, '{FIRST} 10:00Z')",
        f"('2', 'fine@example.com', NULL, 'Subscribe', '2025-01-01 00:00Z', NULL, '{FIRST} 10:00Z')",
    )
    result = place.run(FIRST).results[FIRST]
    assert (result.imported, result.failed) == (1, 1)
    assert result.consent["email_marketing"] == ConsentCounts(stated=2, sent=1, refused=1)
    assert place.box.consent("new@example.com").status("email_marketing") == "NEVER_SUBSCRIBED"
    assert ("external_id=1", "word", "consent_without_profile", "email_marketing refused") in place.lines(FIRST)


def test_a_job_without_an_end_leaves_consent_unknown(place: Place) -> None:
    """When nothing proves that the profiles arrived, their consent is unknown too, and the window is not done."""
    place.box.faults.add("job_cancelled")
    place.fill(f"('1', 'new@example.com', NULL, 'Subscribe', '2025-01-01 00:00Z', NULL, '{FIRST} 10:00Z')")
    result = place.run(FIRST).results[FIRST]
    assert (result.unknown, result.unknown_statements, result.balanced, result.proven) == (1, 1, True, False)
    assert place.box.consent("new@example.com").status("email_marketing") == "NEVER_SUBSCRIBED"
