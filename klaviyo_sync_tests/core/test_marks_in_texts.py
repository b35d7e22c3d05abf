"""Marks in texts: those that a text has too many of are told, by looking at the bytes of all texts at once."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.cleaning.nested import may_exceed

TEXTS = st.lists(st.none() | st.text(alphabet="[{a,é", max_size=12), max_size=12)


@given(TEXTS, st.integers(1, 5), st.sampled_from([pa.string(), pa.large_string()]), st.integers(0, 3))
def test_texts_with_too_many_marks_are_told(texts: list[str | None], most: int, type_: pa.DataType, skipped: int) -> None:
    """The texts with more brackets than `most` are told, whichever bracket it is, and nothing when there is none; slices alike."""
    cells = pa.array(texts, type_).slice(skipped)
    expected = [sum(text.count(mark) for mark in "[{") > most for text in (text or "" for text in texts[skipped:])]
    found = may_exceed(cells, ord("{"), most, ignoring=ord("{") - ord("["))
    assert (found.tolist() if found is not None else [False] * len(cells)) == expected
