"""The nearest valid word, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: object, words: Iterable[str]) -> str:
    """`; did you mean "email"?` for `emial`, or an empty text when no word is near."""
    by_folded = {known.casefold(): known for known in words}
    near = get_close_matches(str(word).casefold(), by_folded, n=1, cutoff=0.6)
    return f'; did you mean "{by_folded[near[0]]}"?' if near else ""
