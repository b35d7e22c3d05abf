"""What docs/consent.md says of people whom Klaviyo suppressed, erased or merged, who leave the warehouse, or who ask to be erased."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve

DAY, NEXT = "2026-01-02", "2026-01-03"
NOW = datetime(2026, 1, 10, tzinfo=UTC)
ANN = "ann@example.com"
TABLE = "CREATE TABLE members (id VARCHAR, email VARCHAR, tier VARCHAR, word VARCHAR, said_at TIMESTAMPTZ, changed TIMESTAMPTZ)"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"external_id": "id", "email": "email"},
    "properties": {"Tier": "tier"},
    "consent": {"email_marketing": {"column": "word", "timestamp": "said_at"}},
    "stop_above": {"rejected": None, "unsubscribes": None},
}


@pytest.fixture
def served() -> Iterator[ExitStack]:
    """What is served until the end of the test."""
    with ExitStack() as running:
        yield running


def placed(folder: Path, served: ExitStack, table: str = TABLE) -> RunPlace:
    """A place whose Klaviyo knows nobody yet, without limits."""
    box = Sandbox(clock=NOW.timestamp, limits=False, job_seconds=0.0, consent_seconds=0.0, opt_in_process="single_opt_in")
    return RunPlace(folder, box, served.enter_context(serve(box)).url, sync=SYNC, table=table, now=NOW)


def ann(place: RunPlace) -> dict[str, Any]:
    """What Klaviyo holds of her."""
    number = place.box.profiles.find("email", ANN)
    assert number is not None
    return place.box.profiles.attributes(number)


@pytest.mark.parametrize("reason", ["USER_SUPPRESSED", "SPAM_REPORT", "HARD_BOUNCE"])
@pytest.mark.parametrize("said_at", ["NULL", "'2025-01-01'"], ids=["undated", "older"])
def test_a_suppressed_person_is_updated_and_stays_suppressed(tmp_path: Path, served: ExitStack, reason: str, said_at: str) -> None:
    """The profile gets what the row says; the suppression and the consent stay as they are."""
    place = placed(tmp_path, served)
    place.box.suppress(ANN, reason, datetime(2025, 6, 1, tzinfo=UTC))
    place.fill(f"('C1', '{ANN}', 'gold', 'Subscribe', {said_at}, '2026-01-02 10:00Z')")
    place.report(DAY)
    assert ann(place)["properties"] == {"Tier": "gold"}
    assert list(place.box.consent(ANN).suppressions) == [reason]
    assert place.box.consent(ANN).status("email_marketing") == "NEVER_SUBSCRIBED"


def test_an_erased_person_comes_back_as_long_as_the_warehouse_has_them(tmp_path: Path, served: ExitStack) -> None:
    """To a Klaviyo that erased somebody they are unknown: their row brings them back when it is read, and nothing does without it."""
    place = placed(tmp_path, served)
    place.fill(f"('C1', '{ANN}', 'gold', 'Subscribe', NULL, '2026-01-02 10:00Z')")
    erased = placed(tmp_path, served, "SELECT 1")
    erased.report(DAY)
    assert erased.box.consent(ANN).status("email_marketing") == "SUBSCRIBED"
    gone = placed(tmp_path, served, "DELETE FROM members")
    assert gone.report(DAY).results[DAY].read == 0
    assert len(gone.box.profiles) == 0


def test_a_row_reaches_who_is_left_of_a_merge(tmp_path: Path, served: ExitStack) -> None:
    """A person whom Klaviyo merged into another profile is updated there, and no second profile is made."""
    place = placed(tmp_path, served)
    place.fill(f"('C1', '{ANN}', 'silver', NULL, NULL, '2026-01-02 10:00Z')")
    place.report(DAY)
    place.box.profiles.upsert(None, {"email": "reed@example.com"}, NOW.timestamp())
    place.box.profiles.upsert(None, {"external_id": "C1", "email": "reed@example.com"}, NOW.timestamp())
    before = len(place.box.profiles)
    place.fill("('C1', 'reed@example.com', 'gold', 'Unsubscribed', NULL, '2026-01-03 10:00Z')")
    place.report(NEXT)
    assert len(place.box.profiles) == before
    number = place.box.profiles.find("external_id", "C1")
    assert number is not None
    assert place.box.profiles.attributes(number)["properties"] == {"Tier": "gold"}
    assert place.box.consent("reed@example.com").status("email_marketing") == "UNSUBSCRIBED"


def test_a_deleted_row_is_not_seen(tmp_path: Path, served: ExitStack) -> None:
    """Whoever leaves the warehouse stays in Klaviyo as they are."""
    place = placed(tmp_path, served)
    place.fill(f"('C1', '{ANN}', 'gold', 'Subscribe', NULL, '2026-01-02 10:00Z')")
    place.report(DAY)
    place.write("DELETE FROM members")
    place.report(DAY, NEXT)
    assert ann(place)["properties"] == {"Tier": "gold"}
    assert place.box.consent(ANN).status("email_marketing") == "SUBSCRIBED"


def test_rejects_files_can_be_deleted(tmp_path: Path, served: ExitStack) -> None:
    """Nothing reads them: a window runs without them as before, and writes its own anew, without the people who are gone."""
    place = placed(tmp_path, served)
    place.fill(
        "(NULL, NULL, 'her whole life', 'Unsubscribed', NULL, '2026-01-02 10:00Z')",
        f"('C2', '{ANN}', 'x', 'maybe', NULL, '2026-01-02 10:00Z')",
    )
    first = place.report(DAY).results[DAY]
    assert any("her whole life" in line["cells"] for line in place.rejected(DAY)), "a row without identifiers is written with all its cells"
    shutil.rmtree(tmp_path / "rejects")
    assert place.report(DAY).results[DAY].rejected == first.rejected == 1
    place.write("DELETE FROM members WHERE id IS NULL")
    place.report(DAY)
    assert [line["row"] for line in place.rejected(DAY)] == ["external_id=C2"]
