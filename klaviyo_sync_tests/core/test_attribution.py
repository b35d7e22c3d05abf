"""Attribution: every row of an import job has one fate, and none is called imported that may have failed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klaviyo_sync.core.result import FATES, Outcome, Reason
from klaviyo_sync.klaviyo.answers import ApiError
from klaviyo_sync.klaviyo.attribution import Attribution, attribute

PEOPLE = [
    {"email": "Ada@shop.example", "phone_number": None, "external_id": "c0", "id": None},
    {"email": "bob@shop.example", "phone_number": "+15005550006", "external_id": "c1", "id": None},
    {"email": None, "phone_number": "+15005550007", "external_id": "c2", "id": None},
    {"email": None, "phone_number": None, "external_id": "c3", "id": "01GDDKASAP8TKDDA2GRZDSVP4H"},
]
ROWS = pa.table({name: pa.array([person[name] for person in PEOPLE], pa.string()) for name in PEOPLE[0]})


def error(pointer: str = "/data", payload: dict[str, Any] | None = None, detail: str = "No.") -> ApiError:
    """An error of an import job."""
    return ApiError("invalid", "Invalid input.", detail, pointer, payload)


def named(row: int) -> ApiError:
    """An error that names a row by its place."""
    return error(f"/data/attributes/profiles/data/{row}/attributes/email")


def fates(outcome: Outcome) -> list[str]:
    """The fates in words."""
    return [FATES[fate] for fate in outcome.fates]


def after(*errors: ApiError, rows: pa.Table = ROWS, **counts: int) -> Outcome:
    """What became of the rows of a job that counts as many failures as there are errors, and the other rows as completed; or `counts`."""
    attribution = Attribution(rows)
    attribution.add(errors)
    failed = counts.get("failed_count", len(errors))
    return attribution.outcome({"total_count": len(rows), "completed_count": len(rows) - failed, "failed_count": failed, **counts})


@pytest.mark.parametrize(
    ("payload", "row"),
    [
        ({"email": "ada@SHOP.example"}, 0),
        ({"attributes": {"email": "Ada@shop.example"}}, 0),
        ({"attributes": {"phone_number": "+15005550007"}}, 2),
        ({"external_id": "c1", "email": "bob@shop.example"}, 1),
        ({"id": "01GDDKASAP8TKDDA2GRZDSVP4H", "attributes": {"first_name": "Dan"}}, 3),
        ({"email": "nobody@shop.example", "external_id": "c2"}, 2),
    ],
)
def test_copies_of_the_profile_name_the_row(payload: dict[str, Any], row: int) -> None:
    """An identifier beside or inside `attributes` finds the row; e-mail addresses without regard to case."""
    outcome = after(error(payload=payload))
    assert [position for position, fate in enumerate(fates(outcome)) if fate == "failed"] == [row]
    assert fates(outcome).count("imported") == 3


@pytest.mark.parametrize(
    "stranger",
    [
        error(),
        error(payload={"email": "nobody@shop.example"}),
        error(payload={"email": "ada@shop.example", "external_id": "c1"}),
        error("/data/attributes/profiles/data/99/attributes/email"),
        error(payload={"email": ["ada@shop.example"], "attributes": "none"}),
    ],
)
def test_an_error_that_names_no_row_leaves_the_others_unknown(stranger: ApiError) -> None:
    """If any row may be the one that failed, none of them counts as imported; those that are named have failed."""
    assert fates(after(stranger, named(2))) == ["unknown", "unknown", "failed", "unknown"]


def test_a_copy_overrules_a_place() -> None:
    """Where the copy of the profile and the place disagree, the copy is right: it is what failed."""
    assert fates(after(error("/data/attributes/profiles/data/1/attributes/email", {"external_id": "c2"})))[2] == "failed"


def test_several_errors_of_one_row_count_once() -> None:
    """One row with two errors is one failure; its first error is the reason."""
    outcome = after(named(1), error(payload={"external_id": "c1"}, detail="Second."), failed_count=1)
    assert fates(outcome) == ["imported", "failed", "imported", "imported"]
    assert outcome.reasons == {1: Reason("import_failed", "email", "No.")}


def test_two_errors_of_one_row_do_not_explain_two_failures() -> None:
    """When the job counts two failures and only one row is named, any other row may be the second."""
    assert fates(after(named(1), named(1), failed_count=2)) == ["unknown", "failed", "unknown", "unknown"]


@pytest.mark.parametrize("counts", [{"total_count": 3}, {"total_count": 4, "completed_count": 2}, {"failed_count": 2}])
def test_counts_that_do_not_add_up_leave_rows_unknown(counts: dict[str, int]) -> None:
    """A job that took, completed or failed other numbers than its errors explain proves nothing about the rest."""
    assert fates(after(named(0), **{"failed_count": 1, **counts})) == ["failed", "unknown", "unknown", "unknown"]


def test_an_ambiguous_copy_names_no_row() -> None:
    """A phone number that two rows share does not tell which of them failed."""
    rows = pa.table({"phone_number": ["+15005550006", "+15005550006"], "external_id": ["a", "b"]})
    assert fates(after(error(payload={"phone_number": "+15005550006"}), rows=rows)) == ["unknown", "unknown"]
    assert fates(after(error(payload={"phone_number": "+15005550006", "external_id": "b"}), rows=rows)) == ["imported", "failed"]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("/data/attributes/profiles/data/17/attributes/phone_number", "phone_number"),
        ("/data/attributes/profiles/data/17/attributes/location/latitude", "location.latitude"),
        ("/data/attributes/profiles/data/17/attributes/properties/Loyalty Balance", "properties.Loyalty Balance"),
        ("/data/attributes/profiles/data/17/id", "id"),
        ("/data/attributes/profiles/data/17", None),
        ("/data/attributes/profiles/data", None),
        ("/data/attributes/email", "email"),
        ("/data/attributes", None),
        ("/data", None),
        ("", None),
        ("/data/attributes/ada@shop.example", None),
        ("/data/attributes/properties/+1 500 555 0006", None),
    ],
)
def test_attributes_in_pointers(pointer: str, expected: str | None) -> None:
    """The end of a pointer is the attribute; one that looks like personal data is not taken for a name."""
    assert attribute(pointer) == expected


PAYLOADS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(["email", "external_id", "attributes"]), st.sampled_from([None, "c0", "c1", "ada@shop.example", 7, {}])
    ),
)
POINTERS = st.one_of(st.integers(0, 6).map(lambda row: f"/data/attributes/profiles/data/{row}/attributes/email"), st.just("/data"))
COUNTS = st.dictionaries(
    st.sampled_from(["failed_count", "total_count", "completed_count"]), st.one_of(st.none(), st.integers(-1, 6), st.just("2"))
)


@settings(deadline=None)
@given(st.lists(st.builds(error, POINTERS, PAYLOADS), max_size=8), COUNTS)
def test_every_row_has_one_fate_and_every_loss_a_reason(errors: list[ApiError], counts: dict[str, Any]) -> None:
    """Whatever the errors and counts are, fates add up to the rows, and rows have reasons unless they were imported."""
    attribution = Attribution(ROWS)
    attribution.add(errors)
    outcome = attribution.outcome(counts)
    numbers = Counter(fates(outcome))
    assert numbers.total() == len(ROWS)
    assert set(outcome.reasons) == {row for row, fate in enumerate(fates(outcome)) if fate != "imported"}
    failed = counts.get("failed_count")
    if numbers["imported"] and isinstance(failed, int):
        assert numbers["failed"] >= failed
