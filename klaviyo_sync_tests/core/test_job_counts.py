"""Job counts: a row counts as imported only when the counts of its complete job prove it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from klaviyo_sync.core.result import FATES
from klaviyo_sync.klaviyo.answers import ApiError
from klaviyo_sync.klaviyo.attribution import Attribution

SENT = 3
NAMES = ("total_count", "completed_count", "failed_count")


def fates(counts: dict[str, Any], *errors: ApiError) -> list[str]:
    """The fates of SENT rows, given a complete job's counts and its errors."""
    attribution = Attribution(pa.table({"email": [f"person{row}@shop.example" for row in range(SENT)]}))
    attribution.add(errors)
    return [FATES[fate] for fate in attribution.outcome(counts).fates]


def counts_of(total: Any, completed: Any, failed: Any) -> dict[str, Any]:
    """A job's attributes with these counts."""
    return dict(zip(NAMES, (total, completed, failed), strict=True))


def about(place: int) -> ApiError:
    """An error that names the row at this place of the request, which may have none."""
    return ApiError("invalid", "Invalid input.", "No.", f"/data/attributes/profiles/data/{place}/attributes/email")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-SENT, 2 * SENT) | st.sampled_from([3.0, 0.0, "3", "0", "", 2**70]) | st.floats(),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=2), inside, max_size=2),
    max_leaves=3,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON)))
@example(counts_of(3, 3, 0))
@example(counts_of(3.0, 3.0, 0.0))
@example(counts_of("3", "3", "0"))
@example({**counts_of(3, 3, 0), "failed_count": False})
@example(counts_of(3, 4, -1))
@example({})
def test_only_exact_counts_prove_an_import(counts: dict[str, Any]) -> None:
    """Without import errors rows are imported when the job counts all of them as completed and none as failed, in JSON integers."""
    proven = counts == counts_of(SENT, SENT, 0) and all(type(count) is int for count in counts.values())
    assert fates(counts) == ["imported" if proven else "unknown"] * SENT


@given(JSON, JSON, JSON)
@example(3, 2, 1)
@example(3, 3, 0)
def test_a_named_row_has_failed_whatever_is_counted(total: Any, completed: Any, failed: Any) -> None:
    """A row that an error names has failed; the others are imported only if the counts are exact and explain no further failure."""
    exact = all(type(count) is int for count in (total, completed, failed)) and total == SENT and completed + failed == total
    others = "imported" if exact and failed in (0, 1) else "unknown"
    assert fates(counts_of(total, completed, failed), about(1)) == [others, "failed", others]


@pytest.mark.parametrize(
    ("counts", "errors"),
    [(counts_of(3, 3, 0), [about(7)]), (counts_of(3, 2, 1), [about(1), about(7)])],
    ids=["nothing counted as failed", "another row counted as failed"],
)
def test_an_error_that_names_no_row_is_never_ignored(counts: dict[str, Any], errors: list[ApiError]) -> None:
    """An error that names no row leaves every row that is not named unknown, also when the counts leave no failure unexplained."""
    assert set(fates(counts, *errors)) <= {"unknown", "failed"}
