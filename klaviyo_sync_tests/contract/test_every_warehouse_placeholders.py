"""`check --connect` counts placeholders over the whole dataset, on every warehouse alike, and prints lines that `check` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from backend_duckdb import DuckDBBackend
from backends import Logical, Place, Row, make_table
from warehouse_reads import NOW, sync_of

from klaviyo_sync.cli.connect import Finding, ask_dataset
from klaviyo_sync.cli.placeholder_lines import placeholder_lines
from klaviyo_sync.config import load
from klaviyo_sync.core.placeholder_query import MOST_LISTED
from klaviyo_sync.core.placeholders import MOST_BESIDE
from klaviyo_sync.warehouses import connect

COLUMNS: dict[str, Logical] = {"id": "integer", "email": "text", "phone": "text", "changed": "instant"}
PROFILE = {"external_id": "id", "email": "email", "phone_number": "phone"}
OLD, NEW = "2020-01-02 03:04:05", "2026-01-02 03:04:05"
PROJECT = "klaviyo: {api_key: {env: KLAVIYO_API_KEY}}\nconnections: {warehouse: {type: duckdb, path: warehouse.duckdb}}\n"
FILE = "connection: warehouse\ndataset: people\nmodified_at: changed\nfrequency: daily\nstart: 2026-01-01\nprofile: {email: email}\n"


def counted(place: Place, name: str, rows: list[Row], **changes: Any) -> Finding:
    """What the check says about the placeholders of a table of these rows."""
    sync = sync_of(make_table(place, name, COLUMNS, rows), profile=PROFILE)
    warehouse = connect(place.connection, "klaviyo-sync check")
    try:
        found = list(ask_dataset("warehouse", sync.model_copy(update=changes), NOW, warehouse))
    finally:
        warehouse.close()
    assert all(finding.good for finding in found)
    [one] = [finding for finding in found if finding.about == "people: placeholders"]
    return one


def beside(value: str, many: int, first: int, changed: str = OLD) -> list[Row]:
    """Rows of so many customers with one phone number, which is written in several ways."""
    return [(str(first + n), f"p{first + n}@example.com", f"{' ' * (n % 2)}{value}", changed) for n in range(many)]


def test_placeholders_of_a_whole_dataset(place: Place, people: str) -> None:
    """A value beside more than MOST_BESIDE different values of another identifier is one, in rows of every age, however it is spaced."""
    rows = [
        *beside("030 901820", MOST_BESIDE, 100),
        *beside("030 901820", 1, 200, NEW),
        *beside("030 901821", MOST_BESIDE, 300),
        *beside("unknown", MOST_BESIDE + 1, 400),
        *beside("none", MOST_BESIDE + 1, 500),
        *[(str(600 + n), "Info@Shop.example" if n % 2 else "info@shop.example", None, OLD) for n in range(MOST_BESIDE + 2)],
        *[("17", f"same{n}@example.com", None, OLD) for n in range(MOST_BESIDE + 3)],
        *[("18", "one@example.com", "030 1", OLD)] * (MOST_BESIDE + 4),
        *[(str(700 + n), " ", "", OLD) for n in range(MOST_BESIDE + 4)],
    ]
    found = counted(place, people, rows)
    assert [(one.value, one.column, one.different, one.beside) for one in found.placeholders] == [
        ("info@shop.example", "email", MOST_BESIDE + 2, "id"),
        ("030 901820", "phone", MOST_BESIDE + 1, "email"),
        ("17", "id", MOST_BESIDE + 3, "email"),
    ]
    assert f"in {len(rows)} rows" in found.said


def test_the_worst_are_listed_and_known_ones_are_not(place: Place, people: str) -> None:
    """At most MOST_LISTED values of an identifier are listed, those beside the most others first; those of the configuration are known."""
    rows = [row for n in range(MOST_LISTED + 2) for row in beside(f"0301{n:02}", MOST_BESIDE + 1 + (n == 9), 100 * n)]
    found = counted(place, people, rows, placeholders=("030100",))
    assert [one.value for one in found.placeholders] == ["030109", *(f"0301{n:02}" for n in range(1, MOST_LISTED + 1) if n != 9)]


@pytest.mark.parametrize(("kind", "written", "value"), [("json", '"shop"', "shop"), ("float", "17", "17"), ("decimal", "17.50", "17.5")])
def test_values_of_every_type(place: Place, people: str, kind: Logical, written: str, value: str) -> None:
    """A value is printed as a run reads it, so that the line leaves it out."""
    columns: dict[str, Logical] = {"id": kind, "email": "text", "changed": "instant"}
    table = make_table(place, people, columns, [(written, f"p{n}@example.com", OLD) for n in range(MOST_BESIDE + 1)])
    sync = sync_of(None, query=f"SELECT * FROM {table}", profile={"external_id": "id", "email": "email"})
    warehouse = connect(place.connection, "klaviyo-sync check")
    try:
        found = [one for finding in ask_dataset("warehouse", sync, NOW, warehouse) for one in finding.placeholders]
    finally:
        warehouse.close()
    assert [one.value for one in found] == [value]


def test_nobody_is_a_placeholder(place: Place, people: str) -> None:
    """A clean dataset has none, and nothing is printed."""
    found = counted(place, people, beside("030 901820", MOST_BESIDE, 100))
    assert "no value" in found.said
    assert list(placeholder_lines((), found.placeholders)) == []


def test_the_lines_are_taken(people: str, tmp_path: Path) -> None:
    """What is printed can be written into klaviyo_sync.yaml as it is, whatever the values hold, and then nothing is left to print."""
    awkward = ['say "hi" # no: comment', "it's {a}: [b]", "\u00fc\U0001f33b\u200bx", "back\\slash", "- dash"]
    rows = [row for n, value in enumerate(awkward) for row in beside(value, MOST_BESIDE + 1, 100 * n)]
    with DuckDBBackend().opened() as place:
        found = counted(place, people, rows, placeholders=("mine",))
    lines = list(placeholder_lines(("mine",), found.placeholders))
    (tmp_path / "syncs").mkdir()
    (tmp_path / "syncs" / "people.yaml").write_text(FILE, encoding="utf-8")
    (tmp_path / "klaviyo_sync.yaml").write_text("\n".join((PROJECT, *lines[1:])), encoding="utf-8")
    [sync] = load(tmp_path / "klaviyo_sync.yaml", {}, NOW).syncs
    assert sync.placeholders[0] == "mine"
    assert sorted(sync.placeholders[1:]) == sorted(awkward)
    with DuckDBBackend().opened() as place:
        assert counted(place, people, rows, placeholders=sync.placeholders).placeholders == ()
