"""`check --connect` on every warehouse: what it finds when all is well, and when it is not."""

from __future__ import annotations

from backends import Logical, Place, located, make_table
from warehouse_reads import NOW, sync_of

from klaviyo_sync.cli.connect import Finding, ask_dataset
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.warehouses import connect

COLUMNS: dict[str, Logical] = {"id": "text", "score": "integer", "changed": "instant"}
ROWS = [("a", "1", "2026-01-02 03:04:05.5"), ("b", "2", "2026-01-03 00:00:00"), ("c", None, None)]


def asked(place: Place, sync: Sync) -> list[Finding]:
    """What a warehouse answers about a sync."""
    warehouse = connect(place.connection, "klaviyo-sync check")
    try:
        return list(ask_dataset("warehouse", sync, NOW, warehouse))
    finally:
        warehouse.close()


def test_all_is_well(place: Place, people: str) -> None:
    """Columns are found, rows counted, and the newest change told; nothing is wrong."""
    sync = sync_of(make_table(place, people, COLUMNS, ROWS), properties={"Score": "score"})
    found = asked(place, sync)
    assert all(finding.good for finding in found)
    assert "3 columns found, and rows can be read" in [finding.said for finding in found]
    [rows] = [finding.said for finding in found if finding.about == "people: rows"]
    assert "2026-01-03" in rows


def test_what_is_missing_is_told_together(place: Place, people: str) -> None:
    """Every missing column at once."""
    sync = sync_of(make_table(place, people, COLUMNS, ROWS), properties={"A": "nowhere", "B": "neither"})
    assert [(finding.good, finding.about) for finding in asked(place, sync)] == [(False, "people: nowhere"), (False, "people: neither")]


def test_a_dataset_that_is_not_there(place: Place, people: str) -> None:
    """It is one finding, and wrong."""
    assert [finding.good for finding in asked(place, sync_of(located(place, people)))] == [False]
