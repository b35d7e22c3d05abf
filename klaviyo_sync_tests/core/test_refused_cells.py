"""Profiles without the cells that Klaviyo refused: what may be taken out, and that the rest stays to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.refused_cells import RANK, RefusedCell, trimmed

FULL = (
    '{"type":"profile","id":"01","attributes":{"external_id":"7","email":"a/b@example.com","phone_number":"+12025550123","title":"Dr",'
    '"location":{"city":"K\\u00f6ln","zip":"1"},"properties":{"a":1.50,"a/b":[1],"x~y":12345678901234567890,"p.q":"}"}}},'
)


def without(text: str, *pointers: str, unfit: bool = True) -> str | None:
    """The text without the cells at these pointers."""
    found = trimmed(text, [RefusedCell(pointer, unfit, "invalid: No.") for pointer in pointers])
    return found.text if found else None


@pytest.mark.parametrize(
    ("pointers", "gone"),
    [
        (["title"], '"title":"Dr",'),
        (["location/city"], '"city":"K\\u00f6ln",'),
        (["location"], '"location":{"city":"K\\u00f6ln","zip":"1"},'),
        (["location/city", "location/zip"], '"location":{"city":"K\\u00f6ln","zip":"1"},'),
        (["properties/a"], '"a":1.50,'),
        (["properties/a/b"], '"a/b":[1],'),
        (["properties/a~1b/0"], '"a/b":[1],'),
        (["properties/x~0y"], '"x~y":12345678901234567890,'),
        (["properties/p.q", "properties/p.q"], ',"p.q":"}"'),
        (["phone_number"], '"phone_number":"+12025550123",'),
        (["email"], '"email":"a/b@example.com",'),
        (["external_id", "email", "phone_number"], '"external_id":"7","email":"a/b@example.com","phone_number":"+12025550123",'),
    ],
)
def test_the_rest_stays_to_the_byte(pointers: list[str], gone: str) -> None:
    """Numbers keep their spelling, texts their escapes, and names with slashes, tildes and dots are told apart."""
    assert without(FULL, *pointers) == FULL.replace(gone, "")


@pytest.mark.parametrize(
    "pointers", [["id"], ["image"], ["location/region"], ["properties/c"], ["title", "image"], [""], ["attributes"], []]
)
def test_cells_that_are_not_there_and_the_strongest_identifier_stay(pointers: list[str]) -> None:
    """A profile goes again only without cells that it has; its strongest identifier is never taken away."""
    assert without(FULL, *pointers) is None


def test_the_names_of_cells() -> None:
    """Each cell is told by its name in the mapping, once, with Klaviyo's first words."""
    cells = [
        RefusedCell("properties/a/b/0", unfit=False, detail="invalid: Long."),
        RefusedCell("properties/a/b", unfit=False, detail="invalid: No."),
    ]
    found = trimmed(FULL, cells)
    assert found is not None
    assert found.cells == {"properties.a/b": "invalid: Long."}


def test_a_property_whose_name_begins_like_another() -> None:
    """Taking out `a` leaves `a/b` alone, and taking out the last property leaves no empty object."""
    assert without('{"type":"profile","attributes":{"email":"a@b.co","properties":{"a":1}}},', "properties/a") == (
        '{"type":"profile","attributes":{"email":"a@b.co"}},'
    )


@given(
    held=st.sets(st.sampled_from(RANK), min_size=1),
    named=st.sets(st.sampled_from([*RANK, "title"]), min_size=1),
    unfit=st.booleans(),
)
def test_identifiers_are_taken_away_only_beside_stronger_ones(held: set[str], named: set[str], *, unfit: bool) -> None:
    """Unfit ones alone, never the strongest, and never down to a phone number."""
    attributes = {name: name for name in RANK if name in held and name != "id"} | {"title": "Dr"}
    profile = {"type": "profile", **({"id": "id"} if "id" in held else {}), "attributes": attributes}
    found = without(f"{json.dumps(profile)},", *sorted(named), unfit=unfit)

    gone = named - {"title"}
    strongest = next((name for name in RANK if name in held - gone), None)
    fine = gone <= held and (
        not gone or (unfit and strongest is not None and all(RANK.index(strongest) < RANK.index(name) for name in gone))
    )
    assert (found is not None) == fine
    if found is not None:
        left = json.loads(found[:-1])
        assert {name for name in RANK if name in left or name in left["attributes"]} == held - gone
        assert "title" in left["attributes"] or "title" in named
