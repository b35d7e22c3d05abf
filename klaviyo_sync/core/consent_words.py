"""Words of consent: what a cell of a consent column means. Never a guess.

The words are those of Klaviyo's file uploads (https://help.klaviyo.com/hc/en-us/articles/115005251128 for e-mail,
https://help.klaviyo.com/hc/en-us/articles/360035428731 for text messages) and of its API and exports. Klaviyo publishes no rule on
their spelling (unverified), so case, spaces around them, and spaces, hyphens and underscores between letters do not count. Booleans are
refused there too (https://help.klaviyo.com/hc/en-us/articles/8557592023451): a sync that has them says under `words` what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.visible import BLANKS

Meaning = Literal["subscribe", "unsubscribe", "nothing"]

WORDS: dict[str, Meaning] = {
    "subscribe": "subscribe",
    "subscribed": "subscribe",
    "unsubscribe": "unsubscribe",
    "unsubscribed": "unsubscribe",
    "neversubscribed": "nothing",
}
SPELLED = ("Subscribe", "Subscribed", "Unsubscribe", "Unsubscribed", "Never Subscribed")
# Only between letters: what a hyphen before a word says is anybody's guess.
SEPARATORS = re.compile(r"(?<=[a-z])[\s_-]+(?=[a-z])")


def klaviyo_meaning(word: str) -> Meaning | None:
    """What one of Klaviyo's words means, whatever its case and spacing; None for any other word."""
    return WORDS.get(SEPARATORS.sub("", word.strip(BLANKS).lower()))


def own_word(word: str) -> str:
    """A word of the sync's own as it is compared: exact but for case and outer white space, so that `-1` is not `1`."""
    return word.strip(BLANKS).casefold()


def meaning_of(own: Mapping[str, Meaning]) -> Callable[[str], Meaning | None]:
    """A function from a cell's text to its meaning, None for an unknown word. `own` are the sync's own words, as compared."""
    return lambda text: own.get(own_word(text)) or klaviyo_meaning(text)


def nearest_word(text: object, own: Mapping[str, Meaning]) -> str:
    """`Did you mean "Subscribed"?` for a word that is near a known one, else an empty text."""
    return did_you_mean(text, (*SPELLED, *own)).replace("; did", "Did")


def faults_of_words(words: Mapping[Meaning, tuple[object, ...]]) -> Iterator[tuple[Meaning, str]]:
    """What is wrong with a sync's own words: (the list that it stands in, what to say)."""
    seen: dict[str, Meaning] = {}
    for meaning, listed in words.items():
        for word in (word for word in listed if isinstance(word, str)):
            ours = klaviyo_meaning(word)
            if ours is not None and ours != meaning:
                yield meaning, f"{word!r} is a word of Klaviyo's and means {ours}: take it out"
            elif seen.setdefault(own_word(word), meaning) != meaning:
                yield meaning, f"{word!r} stands under {seen[own_word(word)]} too: a word has one meaning"
