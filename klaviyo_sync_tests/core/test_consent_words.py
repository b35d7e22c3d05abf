"""Words of consent: Klaviyo's in any spelling, a sync's own exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, ConsentTarget, state, word_counts
from klaviyo_sync.core.consent_words import Meaning, klaviyo_meaning, meaning_of, nearest_word, own_word
from klaviyo_sync.core.frames import frame_with, true_at
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.core.visible import BLANKS

UTC_ZONE = ZoneInfo("UTC")
SEPARATORS = st.text(" _-\t\N{NO-BREAK SPACE}", max_size=2)
AROUND = st.text(" \t\n\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}", max_size=2)
# As they stand in exports, or as people type them.
ODD = [
    "-1",
    "+1",
    "1.0",
    "01",
    "y",
    "yes!",
    "(yes)",
    "unsub",
    "unsubs",
    "Opted-In",
    "opted_out",
    "opt-out",
    "DND",
    "STOP",
    "cleaned",
    "pending",
    "nonsubscribed",
    "not_subscribed",
    "never",
    "archived",
    "bounced",
    "suppressed",
    "complained",
    "Abonniert",
    "Suscrito",
    "désabonné",
    "-subscribe",
    "_subscribe_",
    "subscribe?",
    "subscribe/unsubscribe",
    "👍",
    "🚫",
    "✔️",
    "[]",
    "{}",
    '["email"]',
    "NULL",
    "-",
    "?",
]


@given(words=st.lists(st.text(max_size=6), max_size=4, unique_by=own_word), cell=st.text(max_size=8))
def test_a_cell_means_what_one_word_says(words: list[str], cell: str) -> None:
    """An own word that a text equals, but for case and outer white space, decides its meaning; else one of Klaviyo's words does."""
    own: dict[str, Meaning] = {own_word(word): "unsubscribe" for word in words}
    equals = [word for word in words if word.strip(BLANKS).casefold() == cell.strip(BLANKS).casefold()]
    assert meaning_of(own)(cell) == ("unsubscribe" if equals else klaviyo_meaning(cell))


@given(parts=st.tuples(AROUND, SEPARATORS, AROUND), upper=st.booleans())
def test_klaviyo_words_in_any_spelling(parts: tuple[str, str, str], upper: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
    """Case, white space around and spaces, hyphens and underscores inside do not count in Klaviyo's words."""
    word = f"{parts[0]}never{parts[1]}subscribed{parts[2]}"
    assert klaviyo_meaning(word.upper() if upper else word) == "nothing"


@pytest.mark.parametrize("word", ODD)
def test_odd_words_mean_what_the_sync_says(word: str) -> None:
    """No such word means anything by itself; each can be given any meaning, and then it alone has it."""
    assert klaviyo_meaning(word) is None
    for meaning in get_args(Meaning):
        own: dict[str, Meaning] = {own_word(word): meaning}
        assert meaning_of(own)(f" {word.upper()}\t") == meaning
        assert [other for other in ODD if meaning_of(own)(other)] == [other for other in ODD if own_word(other) == own_word(word)]


@pytest.mark.parametrize("channel", CHANNELS)
def test_odd_words_in_every_channel(channel: Channel) -> None:
    """In every channel a column of odd words states what the sync's own say, each counted; the rest is unknown, and holds its row."""
    frame = frame_with({"word": pa.array([*ODD, "'Unsubscribed", '="unsub"', "'", "", None, " \u200b"])})
    own: dict[str, Meaning] = {"-1": "unsubscribe", "👍": "subscribe", "unsub": "unsubscribe"}
    target = ConsentTarget(channel, "word", "text", None, "instant", UTC_ZONE, words=own, holds=True)
    addresses = {path: pa.repeat("x", len(frame)) for path in CHANNEL_IDENTIFIER.values()}
    stated = state(target, frame, addresses, datetime(2026, 1, 1, tzinfo=UTC), UTC_ZONE)
    known = {number: meaning for number, meaning in enumerate(stated.meaning.to_pylist()) if meaning}
    size = len(ODD)
    assert known == {
        ODD.index("-1"): "unsubscribe",
        ODD.index("unsub"): "unsubscribe",
        ODD.index("👍"): "subscribe",
        size: "unsubscribe",
        size + 1: "unsubscribe",
    }
    flagged = {flag.code: np.flatnonzero(true_at(flag.where)).tolist() for _, flag in stated.flags if pc.any(flag.where).as_py()}
    assert flagged["unknown_consent_word"] == flagged["held_for_consent"] == sorted({*range(size)} - {*known})
    assert flagged["spreadsheet_marks"] == [size, size + 1, size + 2]
    counted = word_counts(target, frame, UTC_ZONE)
    assert counted == {("-1", "unsubscribe"): 1, ("👍", "subscribe"): 1, ("unsub", "unsubscribe"): 2}


@pytest.mark.parametrize(("cell", "near"), [("Subscribd", 'Did you mean "Subscribed"?'), ("opt-in", ""), ("yess", 'Did you mean "yes"?')])
def test_the_nearest_word_is_named(cell: str, near: str) -> None:
    """A word that is nearly a known one is told which."""
    assert nearest_word(cell, {"yes": "subscribe"}) == near
