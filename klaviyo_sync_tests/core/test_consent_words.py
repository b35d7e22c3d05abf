"""Words of consent: Klaviyo's in any spelling, a sync's own exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.consent_words import Meaning, klaviyo_meaning, meaning_of, nearest_word, own_word

SEPARATORS = st.text(" _-\t\N{NO-BREAK SPACE}", max_size=2)


@given(words=st.lists(st.text(max_size=6), max_size=4, unique_by=own_word), cell=st.text(max_size=8))
def test_a_cell_means_what_one_word_says(words: list[str], cell: str) -> None:
    """An own word that a text equals, but for case and outer white space, decides its meaning; else one of Klaviyo's words does."""
    own: dict[str, Meaning] = {own_word(word): "unsubscribe" for word in words}
    equals = [word for word in words if word.strip().casefold() == cell.strip().casefold()]
    assert meaning_of(own)(cell) == ("unsubscribe" if equals else klaviyo_meaning(cell))


@given(parts=st.tuples(SEPARATORS, SEPARATORS, SEPARATORS), upper=st.booleans())
def test_klaviyo_words_in_any_spelling(parts: tuple[str, str, str], upper: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
    """Case, spaces, hyphens and underscores do not count in Klaviyo's words."""
    word = f"{parts[0]}never{parts[1]}subscribed{parts[2]}"
    assert klaviyo_meaning(word.upper() if upper else word) == "nothing"


@pytest.mark.parametrize(("cell", "near"), [("Subscribd", 'Did you mean "Subscribed"?'), ("opt-in", ""), ("yess", 'Did you mean "yes"?')])
def test_the_nearest_word_is_named(cell: str, near: str) -> None:
    """A word that is nearly a known one is told which."""
    assert nearest_word(cell, {"yes": "subscribe"}) == near
