"""`on_null: clear` in a run as a whole: NULLs of rows that went out empty their fields in Klaviyo, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from run_place import RunPlace

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.errors import HaltedError, Refused
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import window
from klaviyo_sync.preview_window import preview_window
from klaviyo_sync.sandbox import Sandbox, serve
from klaviyo_sync.warehouses.duckdb import DuckDBWarehouse

NOW = datetime(2026, 1, 10, tzinfo=UTC)
FIRST, SECOND = "2026-01-01", "2026-01-02"
SYNC: dict[str, Any] = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "updated_at",
    "frequency": "daily",
    "start": FIRST,
    "profile": {"external_id": "id", "email": "email", "title": "title", "location.city": "city", "location.ip": "ip"},
    "properties": {"Points": {"column": "points", "type": "number"}, "Plan.Name": "plan", "Vip": {"column": "vip", "type": "boolean"}},
    "on_null": "clear",
}
TABLE = """
CREATE TABLE members (
    id VARCHAR, email VARCHAR, title VARCHAR, city VARCHAR, ip VARCHAR, points VARCHAR, plan VARCHAR, vip VARCHAR, updated_at TIMESTAMPTZ
)
"""
FULL = {
    "title": "Dr",
    "location": {"city": "Bonn", "ip": "127.0.0.1", "zip": "53111"},
    "properties": {"Points": 7, "Plan.Name": "gold", "Vip": True, "Other": "stays"},
}


class Place(RunPlace):
    """A place whose sync clears."""

    def hold(self, id_: str, **attributes: Any) -> None:
        """Puts a profile into Klaviyo."""
        self.box.profiles.upsert(None, {"external_id": id_, "email": f"{id_}@example.com", **attributes}, NOW.timestamp())

    def held(self, id_: str) -> dict[str, Any]:
        """What Klaviyo holds of a profile, without its identifiers."""
        number = self.box.profiles.find("external_id", id_)
        assert number is not None
        return {name: value for name, value in self.box.profiles.attributes(number).items() if name not in ("external_id", "email")}

    def run(self, *keys: str, most: int = 10_000, **changes: Any) -> list[Result]:
        """Runs the windows of these keys together."""
        report = self.report(*keys, most=most, **changes)
        return [report.results[key] for key in keys]

    def writes(self) -> int:
        """How many requests to the single-profile endpoint Klaviyo has answered."""
        return sum(count for (operation, _), count in self.box.requests.items() if operation == "create_or_update_profile")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without limits whose jobs take no time."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve(box) as server:
        yield Place(tmp_path, box, server.url, sync=SYNC, table=TABLE, now=NOW)


def row(id_: str, cells: str = "NULL, NULL, NULL, NULL, NULL, NULL", at: str = f"{FIRST} 10:00Z") -> str:
    """A row whose cells are NULL if nothing else is said."""
    return f"('{id_}', '{id_}@example.com', {cells}, '{at}')"


def test_nulls_clear_and_only_them(place: Place) -> None:
    """Attributes, places and properties are emptied; what is not mapped stays, and so do both identifiers."""
    place.hold("a", **FULL)
    place.fill(row("a"))
    (result,) = place.run(FIRST)
    assert result.clears == ClearCounts(to_clear=1, cleared=1)
    assert (result.clear_requests, place.writes()) == (2, 1)
    assert place.held("a") == {"location": {"zip": "53111"}, "properties": {"Other": "stays"}}
    assert place.box.profiles.find("email", "a@example.com") is not None


def test_values_are_no_nulls(place: Place) -> None:
    """Zero, false, an empty text and a blank one for a number clear nothing; the first three are written."""
    place.hold("a", **FULL)
    place.fill(row("a", "'', 'Köln', '127.0.0.1', '0', '', 'false'"), row("b", "'x', 'y', '127.0.0.1', ' ', 'z', ' '"))
    (result,) = place.run(FIRST)
    assert (result.clears, result.clear_requests) == (ClearCounts(), 0)
    held = place.held("a")
    assert (held["title"], held["properties"]) == ("", {"Points": 0, "Plan.Name": "", "Vip": False, "Other": "stays"})


def test_a_bad_cell_does_not_clear(place: Place) -> None:
    """A cell that cannot be read is left out and told; what Klaviyo holds stays."""
    place.hold("a", **FULL)
    place.fill(row("a", "'Dr', 'Bonn', 'nowhere', 'many', 'gold', 'perhaps'"))
    (result,) = place.run(FIRST)
    assert result.clears == ClearCounts()
    assert {kind.code for kind in result.issues} == {"invalid_ip", "not_a_number", "not_a_boolean"}
    assert place.held("a") == FULL


def test_a_bad_cell_beside_a_null(place: Place) -> None:
    """Of one row the NULL clears and the bad cell does not."""
    place.hold("a", **FULL)
    place.fill(row("a", "NULL, 'Bonn', 'nowhere', 'many', NULL, 'true'"))
    (result,) = place.run(FIRST)
    assert result.clears == ClearCounts(to_clear=1, cleared=1)
    held = place.held("a")
    assert "title" not in held
    assert held["location"] == FULL["location"]
    assert held["properties"] == {"Points": 7, "Vip": True, "Other": "stays"}


def test_only_the_newest_row_speaks(place: Place) -> None:
    """NULLs of superseded rows do nothing, neither in the same window nor when an older window runs again."""
    place.hold("a", **FULL)
    full = "'Dr', 'Bonn', '127.0.0.1', '7', 'gold', 'true'"
    place.fill(row("a"), row("a", at=f"{FIRST} 11:00Z"), row("a", full, f"{SECOND} 10:00Z"))
    both = place.run(FIRST, SECOND)
    again = place.run(FIRST)
    assert [result.clears for result in (*both, *again)] == [ClearCounts()] * 3
    assert place.held("a") == FULL
    assert place.writes() == 0


def test_running_again_costs_no_writes(place: Place) -> None:
    """The second run reads that all is empty, and sends nothing."""
    place.hold("a", **FULL)
    place.fill(row("a"), row("new"))
    (first,) = place.run(FIRST)
    (second,) = place.run(FIRST)
    assert first.clears == ClearCounts(to_clear=2, cleared=1, already_empty=1)
    assert second.clears == ClearCounts(to_clear=2, already_empty=2)
    assert (place.writes(), second.clear_requests) == (1, 1)
    assert second.proven


def test_a_field_may_keep_and_a_field_may_clear(place: Place) -> None:
    """`on_null` of a field overrides the sync's, both ways."""
    place.hold("a", **FULL)
    place.fill(row("a"))
    place.run(FIRST, on_null="keep", profile={**SYNC["profile"], "title": {"column": "title", "on_null": "clear"}})
    assert place.held("a") == {name: value for name, value in FULL.items() if name != "title"}
    place.run(FIRST, properties={"Points": {"column": "points", "on_null": "keep"}})
    assert place.held("a") == {"location": {"zip": "53111"}, "properties": FULL["properties"]}


def test_many_profiles_over_many_batches_and_windows(place: Place) -> None:
    """Each window counts its own; only profiles that hold something cost a request, reading goes by the hundred."""
    for number in range(0, 600, 3):
        place.hold(f"p{number}", **FULL)
    place.fill(*(row(f"p{n}", at=f"{FIRST if n < 250 else SECOND} 10:00Z") for n in range(600)))
    first, second = place.run(FIRST, SECOND, most=200)
    assert first.clears == ClearCounts(to_clear=250, cleared=84, already_empty=166)
    assert second.clears == ClearCounts(to_clear=350, cleared=116, already_empty=234)
    assert (place.writes(), first.clear_requests + second.clear_requests) == (200, 206)
    assert all(place.held(f"p{n}").get("properties", {}) in ({}, {"Other": "stays"}) for n in range(600))


def test_refusals_belong_to_their_rows(place: Place) -> None:
    """Whom Klaviyo does not clear is told with Klaviyo's words; the others are cleared, and the window is done."""
    for id_ in ("a", "b", "c"):
        place.hold(id_, **FULL)
    place.box.faults.add("400", endpoint="create_or_update_profile", containing="b@example.com", times=0)
    place.fill(row("a"), row("b", "NULL, 'Bonn', '127.0.0.1', NULL, 'gold', 'true'"), row("c"))
    (result,) = place.run(FIRST)
    assert result.clears == ClearCounts(to_clear=3, cleared=2, refused=1)
    assert (result.imported, result.proven) == (3, True)
    assert place.lines(FIRST) == [("external_id=b", "title, points", "clear_refused", "clear refused")]
    assert place.held("b") == FULL


def test_who_is_not_imported_is_not_cleared(place: Place) -> None:
    """Failed rows keep what Klaviyo holds; their clears are refused with them."""
    place.hold("a", **FULL)
    place.box.faults.add("row", containing="a@example.com", detail="No.")
    place.fill(row("a"), row("b"))
    (result,) = place.run(FIRST)
    assert (result.imported, result.failed) == (1, 1)
    assert result.clears == ClearCounts(to_clear=2, already_empty=1, refused=1)
    assert "clear_without_profile" in {code for _, _, code, _ in place.lines(FIRST)}
    assert place.held("a") == FULL


def test_a_job_without_an_end_leaves_clears_unknown(place: Place) -> None:
    """When nothing proves that the profiles arrived, nothing is cleared, and the window is not done."""
    place.hold("a", **FULL)
    place.box.faults.add("job_cancelled")
    place.fill(row("a"))
    (result,) = place.run(FIRST)
    assert result.clears == ClearCounts(to_clear=1, unknown=1)
    assert not result.proven
    assert place.held("a") == FULL


def test_a_run_that_breaks_while_clearing(place: Place) -> None:
    """Half of the clears went out when the key lost its rights; the same window run again does the rest, and nothing twice."""
    for number in range(40):
        place.hold(f"p{number}", **FULL)
    place.fill(*(row(f"p{number}") for number in range(40)))
    place.box.faults.add("403", endpoint="create_or_update_profile", skip=20, times=0)
    with pytest.raises(Refused, match="POST /api/profile-import"):
        place.run(FIRST, stop_above={"clears": None})
    assert place.box.requests["create_or_update_profile", 200] == 20
    place.box.faults.clear()
    (result,) = place.run(FIRST, stop_above={"clears": None})
    assert result.clears == ClearCounts(to_clear=40, cleared=20, already_empty=20)
    assert all(place.held(f"p{number}") == {"location": {"zip": "53111"}, "properties": {"Other": "stays"}} for number in range(40))


def test_a_column_that_wipes_a_field(place: Place) -> None:
    """When most profiles would lose a value, the run stops itself before any does; empty fields and letting it through stop nothing."""
    place.fill(
        f"SELECT 'c' || n, 'p' || n || '@example.com', NULL, 'Bonn', NULL, '1', 'gold', 'true', '{FIRST} 10:00Z' FROM range(1200) AS _(n)"
    )
    for number in range(700):
        place.hold(f"c{number}", title="Dr")
    with pytest.raises(HaltedError, match=r"values of 700 of the first 1,200 profiles, and stop_above.clears is 50%"):
        place.run(FIRST)
    assert place.writes() == 0
    assert place.held("c0")["title"] == "Dr"
    (result,) = place.run(FIRST, stop_above={"clears": None})
    assert result.clears == ClearCounts(to_clear=1_200, cleared=700, already_empty=500)
    assert place.run(FIRST)[0].clears == ClearCounts(to_clear=1_200, already_empty=1_200)


def test_preview_says_how_many(place: Place) -> None:
    """A preview counts the profiles that may be cleared, and clears none."""
    place.hold("a", **FULL)
    place.fill(row("a"), row("b"), row("c", "'Dr', 'Bonn', '127.0.0.1', '7', 'gold', 'true'"))
    sync = Sync.model_validate(SYNC)
    with closing(DuckDBWarehouse(place.file)) as warehouse:
        previewed = preview_window(sync, window(sync, FIRST), warehouse, now=NOW, seen=lambda _: None)
    assert previewed.result.clears.to_clear == 2
    assert place.held("a") == FULL
