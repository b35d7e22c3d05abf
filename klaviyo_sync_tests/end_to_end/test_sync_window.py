"""One run, from a DuckDB file into a local Klaviyo over HTTP, with nothing stood in for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.sync_window import Report

NOW = datetime(2026, 1, 10, tzinfo=UTC)
DAY = "2026-01-02"
PARTS = ("read", "imported", "superseded", "rejected", "refused", "failed", "unknown")
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "crm.members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email", "external_id": "id", "phone_number": "phone"},
    "properties": {"Balance": "balance"},
}
TABLE = """
CREATE SCHEMA crm;
CREATE TABLE crm.members (id VARCHAR, email VARCHAR, phone VARCHAR, balance DECIMAL(9, 2), updated_at TIMESTAMP);
"""


class Place(RunPlace):
    """A place with a table in a schema."""

    def fill(self, *rows: str) -> None:
        """Adds rows (id, email, phone, balance, updated_at) to the table."""
        self.write(f"INSERT INTO crm.members {', '.join(rows)}")

    def profiles(self) -> dict[str, dict[str, Any]]:
        """The attributes of every profile, by the first identifier that it has."""
        found = (self.box.profiles.attributes(number) for number in range(len(self.box.profiles)))
        return {next(profile[name] for name in ("external_id", "email", "phone_number") if name in profile): profile for profile in found}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def counts(report: Report, keys: Sequence[str] = (DAY,)) -> list[list[int]]:
    """PARTS of each window; every row is accounted for."""
    assert all(result.balanced for result in report.results.values())
    return [[getattr(report.results[key], part) for part in PARTS] for key in keys]


def people(count: int, at: str = f"{DAY} 10:00") -> str:
    """A SELECT of so many rows."""
    return (
        f"SELECT 'c' || n, 'person' || n || '@shop.example', '+49151' || (10000000 + n), n / 4, TIMESTAMP '{at}' + to_seconds(n)"
        f" FROM range({count}) AS _(n)"
    )


def test_rows_become_profiles(place: Place) -> None:
    """Every row of a window is a profile afterwards, with the cells of its row, and the result says so."""
    place.fill(people(2_500))
    report = place.report(DAY)
    assert counts(report) == [[2_500, 2_500, 0, 0, 0, 0, 0]]
    assert report.results[DAY].requests == 1
    assert len(report.results[DAY].jobs) == 1
    assert len(place.box.profiles) == 2_500
    assert place.profiles()["c6"] == {
        "email": "person6@shop.example",
        "external_id": "c6",
        "phone_number": "+4915110000006",
        "properties": {"Balance": 1.5},
    }


def test_more_than_one_request(place: Place) -> None:
    """Rows beyond 10,000 go with the next request, and none is lost between two batches of the warehouse."""
    place.fill(people(25_001))
    report = place.report(DAY)
    assert counts(report) == [[25_001, 25_001, 0, 0, 0, 0, 0]]
    assert report.results[DAY].requests == 3
    assert len(place.box.profiles) == 25_001


def test_the_same_window_twice(place: Place) -> None:
    """A window that is run again leaves the same profiles, and counts the same."""
    place.fill(people(300))
    first, held = place.report(DAY), place.profiles()
    again = place.report(DAY)
    assert counts(again) == counts(first)
    assert place.profiles() == held


def test_an_old_window_never_overwrites(place: Place) -> None:
    """A window that is run after a later one leaves the profiles that changed since as they are: by any identifier, in any case."""
    place.fill(people(10, "2026-01-02 10:00"))
    place.fill(
        """VALUES
        ('c0', 'new@shop.example', NULL, 100, '2026-01-05 10:00'),
        (NULL, 'Person1@SHOP.example', NULL, 101, '2026-01-05 10:00'),
        (NULL, NULL, '+49 151 10000002', 102, '2026-01-05 10:00'),
        (NULL, NULL, NULL, 103, '2026-01-05 10:00')"""
    )
    place.fill(people(10, "2026-01-01 10:00"))
    place.report("2026-01-05")
    assert counts(place.report(DAY)) == [[10, 8, 2, 0, 0, 0, 0]]
    assert counts(place.report("2026-01-01"), ["2026-01-01"]) == [[10, 0, 10, 0, 0, 0, 0]]
    assert place.profiles()["c0"]["properties"] == {"Balance": 100}
    assert place.profiles()["c0"]["email"] == "new@shop.example"
    assert place.profiles()["c3"]["properties"] == {"Balance": 0.75}
    assert "c1" not in place.profiles()
    assert "phone_number" not in place.profiles()["c2"], "a newer row, about nobody known but by the number, has it"


def test_a_row_after_now_supersedes_nothing(place: Place) -> None:
    """A row dated in the future goes with its own window: until then the present one goes out."""
    place.fill(people(1))
    place.fill("VALUES ('c0', 'person0@shop.example', NULL, 9, '2026-02-01 10:00'), ('x', NULL, NULL, 9, NULL)")
    report = place.report(DAY)
    assert counts(report) == [[1, 1, 0, 0, 0, 0, 0]]
    assert (report.undated, report.future) == (1, 1)


def test_several_windows_at_once(place: Place) -> None:
    """Windows of one run are packed together and counted each for itself; the first one takes the history."""
    place.fill(people(5, "2019-06-01 10:00").replace("'c'", "'old'").replace("'person'", "'old'").replace("10000000", "20000000"))
    place.fill(people(4, "2026-01-01 10:00"))
    place.fill(people(2, "2026-01-02 10:00"))
    place.fill("VALUES (NULL, 'nobody', NULL, 1, '2026-01-02 11:00')")
    place.fill(people(3, "2026-01-04 00:00").replace("'c'", "'later'").replace("'person'", "'later'").replace("10000000", "30000000"))
    keys = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
    report = place.report(*keys)
    assert counts(report, keys) == [[9, 7, 2, 0, 0, 0, 0], [3, 2, 0, 1, 0, 0, 0], [0] * 7, [3, 3, 0, 0, 0, 0, 0]]
    assert sum(result.requests for result in report.results.values()) == 1
    assert len(place.box.profiles) == 12


def test_history_can_be_skipped(place: Place) -> None:
    """With history: skip, rows from before the first window stay where they are."""
    place.fill(people(5, "2019-06-01 10:00"))
    assert counts(place.report("2026-01-01", history="skip"), ["2026-01-01"]) == [[0] * 7]


def test_overlap_reads_again(place: Place) -> None:
    """With an overlap, rows from shortly before the window go with it as well."""
    place.fill(people(3, "2026-01-01 23:50"))
    assert counts(place.report(DAY, overlap="15m")) == [[3, 3, 0, 0, 0, 0, 0]]
    assert counts(place.report(DAY, overlap="5m")) == [[0] * 7]


def test_rows_that_fail_late(place: Place) -> None:
    """What the import job reports is failed, told in the rejects file, and everything else is imported."""
    place.fill(people(50))
    place.box.faults.add("row", containing="person7@")
    report = place.report(DAY)
    assert counts(report) == [[50, 49, 0, 0, 0, 1, 0]]
    [line] = place.rejected(DAY)
    assert (line["row"], line["code"], line["outcome"]) == ("external_id=c7", "import_failed", "failed")


def test_a_cancelled_job_proves_nothing(place: Place) -> None:
    """The rows of a cancelled job are unknown; run again, they are imported and the rejects file is gone."""
    place.fill(people(20))
    place.box.faults.add("job_cancelled")
    assert counts(place.report(DAY)) == [[20, 0, 0, 0, 0, 0, 20]]
    assert {line["code"] for line in place.rejected(DAY)} == {"outcome_unknown"}
    assert counts(place.report(DAY)) == [[20, 20, 0, 0, 0, 0, 0]]
    assert not Path(place.rejects.address("members", DAY)).exists()


@pytest.mark.parametrize("rows", ["VALUES (NULL, NULL, NULL, 1, TIMESTAMP '2026-01-02 10:00')", None])
def test_nothing_to_send_asks_for_the_account_alone(place: Place, rows: str | None) -> None:
    """A window without a row to send asks Klaviyo whose key it is, since its result counts for that account, and nothing else."""
    if rows:
        place.fill(rows)
    report = place.report(DAY)
    assert counts(report) == [[1, 0, 0, 1, 0, 0, 0] if rows else [0] * 7]
    assert report.account is not None
    assert report.account.id == place.box.account
    assert dict(place.box.requests) == {("get_accounts", 200): 1}


def test_one_row_in_twenty_is_dirty(place: Place) -> None:
    """Every dirty row is in the rejects file with its reason, those without another identifier stay behind, the rest goes out."""
    place.fill(people(2_000))
    place.write("UPDATE crm.members SET email = 'not an address' WHERE balance * 4 % 40 = 0")
    place.write("UPDATE crm.members SET id = NULL, email = NULL, phone = 'junk' WHERE balance * 4 % 40 = 1")
    report = place.report(DAY)
    assert counts(report) == [[2_000, 1_950, 0, 50, 0, 0, 0]]
    found = {(code.column, code.code): number for code, number in report.results[DAY].issues.items()}
    assert found == {
        ("email", "invalid_email"): 50,
        ("phone", "phone_without_country"): 50,
        ("email, id, phone", "missing_identifier"): 50,
    }
    lines = place.rejected(DAY)
    assert len(lines) == 150
    assert {line["row"] for line in lines if line["code"] == "invalid_email"} == {f"external_id=c{n}" for n in range(0, 2_000, 40)}
    assert {line["outcome"] for line in lines if line["code"] == "invalid_email"} == {"sent without this cell"}
    assert sum(line["outcome"] == "rejected" for line in lines) == 100


def test_the_window_has_no_closed_end_yet(place: Place) -> None:
    """A window that is still open takes the rows that are there, and a later run takes the rest."""
    place.fill(people(3))
    assert counts(place.report(DAY, now=NOW - timedelta(days=8, hours=12))) == [[3, 3, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("born", ["infinity", "20211-01-01", "0044-03-15 (BC)"])
def test_dates_beyond_the_calendar(place: Place, born: str) -> None:
    """A date that no calendar of Python's reaches breaks no run, not even in a row that stays behind and is written down."""
    place.write(f"ALTER TABLE crm.members ADD COLUMN born DATE DEFAULT '{born}'; ALTER TABLE crm.members ADD COLUMN seen TIMESTAMP")
    place.write(f"INSERT INTO crm.members VALUES ('c1', NULL, NULL, 1, '{DAY}', '{born}', 'infinity')")
    place.write(f"INSERT INTO crm.members VALUES (NULL, 'junk', NULL, 1, '{DAY}', '{born}', NULL)")
    report = place.report(DAY, properties={"Born": "born", "Seen": "seen"})
    assert counts(report) == [[2, 1, 0, 1, 0, 0, 0]]
    assert {"not_a_date", "not_a_datetime", "invalid_email", "missing_identifier"} == {line["code"] for line in place.rejected(DAY)}
