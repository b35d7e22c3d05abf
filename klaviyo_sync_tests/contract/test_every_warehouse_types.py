"""Every type to the same profile: the JSON that is sent does not tell which warehouse a row came from."""

from __future__ import annotations

from typing import Any

import pytest
from backends import Logical, Place, make_table
from warehouse_reads import sent, sync_of

KEY = "2026-01-02"
COLUMNS: dict[str, Logical] = {
    "id": "text", "changed": "instant", "text": "text", "integer": "integer", "decimal": "decimal", "float": "float", "boolean": "boolean",
    "day": "date", "moment": "instant", "wall": "wall", "clock": "time", "items": "list", "json": "json", "object": "object",
}  # fmt: skip
PROPERTIES = [name for name in COLUMNS if name not in ("id", "changed")]
CHANGED = "2026-01-02 12:00:00"

FULL = {
    "text": 'é🎉 "quoted" \\ back', "integer": "9007199254740991", "decimal": "1234567890.25", "float": "0.1", "boolean": "true",
    "day": "2026-02-28", "moment": "2026-01-02 03:04:05.123456", "wall": "1969-12-31 23:59:59.999999", "clock": "23:59:59.5",
    "items": '["a", "b \\"c\\"", ""]', "json": '{"n": [1, 2.5, null], "s": "x", "t": true}', "object": '{"a": 1, "b": "x"}',
}  # fmt: skip
SENT = {
    "text": 'é🎉 "quoted" \\ back', "integer": 9007199254740991, "decimal": 1234567890.25, "float": 0.1, "boolean": True,
    "day": "2026-02-28", "moment": "2026-01-02T03:04:05.123456Z", "wall": "1969-12-31T23:59:59.999999Z", "clock": "23:59:59.5",
    "items": ["a", 'b "c"', ""], "json": {"n": [1, 2.5, None], "s": "x", "t": True}, "object": {"a": 1, "b": "x"},
}  # fmt: skip
EMPTY = {"text": "", "integer": "0", "decimal": "0", "float": "0", "boolean": "false", "items": "[]", "json": "0"}
SENT_EMPTY = {"text": "", "integer": 0, "decimal": 0, "float": 0, "boolean": False, "items": [], "json": 0}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(FULL, SENT, id="full"),
        pytest.param(EMPTY, SENT_EMPTY, id="zeros"),
        pytest.param({}, {}, id="null"),
        pytest.param(
            {
                "integer": "-9223372036854775808", "decimal": "-0.01", "float": "-1.5e300", "day": "1900-01-02",
                "moment": "1900-01-02 00:00:00",
            },
            {
                "integer": -9223372036854775808, "decimal": -0.01, "float": -1.5e300, "day": "1900-01-02",
                "moment": "1900-01-02T00:00:00Z",
            },
            id="least",
        ),
    ],
)  # fmt: skip
def test_every_type(place: Place, people: str, cells: dict[str, str], expected: dict[str, Any]) -> None:
    """Numbers stay numbers, lists lists, objects objects, moments have an offset; NULL is left out, zero and "" are not."""
    row = ["x", CHANGED, *(cells.get(name) for name in PROPERTIES)]
    dataset = make_table(place, people, COLUMNS, [row])
    sync = sync_of(dataset, properties={name: name for name in PROPERTIES})
    found = sent(place, sync, KEY)
    # BigQuery stores a NULL array as an empty one: https://docs.cloud.google.com/bigquery/docs/arrays#arrays_and_nulls
    lists = {"items": []} if place.dialect == "bigquery" and "items" not in cells else {}
    properties = {**expected, **lists}
    assert found == [{"external_id": "x", **({"properties": properties} if properties else {})}]


def test_rows_of_every_size_in_one_window(place: Place, people: str) -> None:
    """Numbers small and large come through one after the other, however a warehouse packs them."""
    numbers = [str(10**exponent) for exponent in range(19)]
    rows = [(f"c{position:02}", CHANGED, number, f"{position}.25") for position, number in enumerate(numbers)]
    dataset = make_table(place, people, {"id": "text", "changed": "instant", "n": "integer", "d": "decimal"}, rows)
    found = sent(place, sync_of(dataset, properties={"N": "n", "D": "d"}), KEY)
    assert [one["properties"] for one in found] == [{"N": int(number), "D": position + 0.25} for position, number in enumerate(numbers)]


def test_identifiers_of_other_types(place: Place, people: str) -> None:
    """A whole number as an identifier is written without a point, and compared as what it is."""
    rows = [("7", "2026-01-02 12:00:00"), ("7", "2026-01-02 13:00:00"), ("12345678901", CHANGED)]
    dataset = make_table(place, people, {"id": "integer", "changed": "instant"}, rows)
    assert sent(place, sync_of(dataset), KEY) == [{"external_id": "12345678901"}, {"external_id": "7"}]
