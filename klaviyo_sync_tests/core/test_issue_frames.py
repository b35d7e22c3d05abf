"""Issue frames: types never depend on how many issues there are, nor on which frames come together."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import klaviyo_sync
from klaviyo_sync.core.issue_frames import ISSUE_TYPES, issue_frame, joined_issues
from klaviyo_sync.core.issues import CODES

PARTS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 2**40), max_size=3).map(lambda rows: np.array(rows, np.int64)),
        st.sampled_from(["", "mail", "phone"]),
        st.sampled_from(sorted(CODES)),
    ),
    max_size=3,
)


@given(st.lists(PARTS, max_size=4))
def test_frames_of_any_size_join_with_their_types(several: list[list[tuple[np.ndarray, str, str]]]) -> None:
    """Any issue frames, empty ones among them, join into one that has every issue in order and the types of ISSUE_TYPES."""
    joined = joined_issues(*map(issue_frame, several))
    assert dict(joined.dtypes.astype(str)) == ISSUE_TYPES
    assert joined.index.tolist() == list(range(len(joined)))
    expected = [(row, column, code, CODES[code].message) for parts in several for rows, column, code in parts for row in rows.tolist()]
    assert list(joined.itertuples(index=False, name=None)) == expected


def test_no_other_place_joins_or_spells_frames() -> None:
    """Pandas guesses the types of empty frames: `pd.concat` and `pd.DataFrame(` stand only where types are given."""
    package = Path(klaviyo_sync.__file__).parent
    places = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if re.search(r"\bpd\.(concat|DataFrame)\(", file.read_text(encoding="utf-8"))
    }
    assert places == {"core/frames.py", "core/issue_frames.py"}
