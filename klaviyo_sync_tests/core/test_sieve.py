"""The sieve: no identifier that occurs twice is missed, and few others are held."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.sieve import ENTRIES, Sieve


@given(
    prints=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 5), max_size=60),
    size=st.integers(1, 20),
    more=st.lists(st.integers(0, 2**64 - 1), max_size=20),
)
@settings(deadline=None, max_examples=examples(30))
def test_the_sieve_misses_nothing(prints: list[int], size: int, more: list[int]) -> None:
    """Whatever was noticed twice is told, in one batch or in two; what was never noticed is hardly ever."""
    sieve = Sieve(["email"])
    for start in range(0, len(prints), size):
        sieve.notice("email", np.array(prints[start : start + size], np.uint64))
    sieve.close()
    asked = np.array([*prints, *more], np.uint64)
    counted = Counter(prints)
    for one, told in zip([*prints, *more], sieve.repeated(asked).tolist(), strict=True):
        assert told or counted[one] < 2


def test_the_sieve_lets_go_of_nearly_all() -> None:
    """Of two million identifiers that occur once, fewer than one in a hundred is held for nothing."""
    prints = np.random.default_rng(1).integers(0, 2**64 - 1, 2_000_000, np.uint64)
    sieve = Sieve(["email"])
    for part in np.array_split(prints, 100):
        sieve.notice("email", part)
    assert sieve.repeated(prints).mean() < 0.01


def test_more_than_one_part_holds() -> None:
    """What was noticed in a full part of the field is known in the next one: as many again, and none of the repeated is missed."""
    prints = np.random.default_rng(2).integers(0, 2**64 - 1, ENTRIES + 500_000, np.uint64)
    sieve = Sieve(["email"])
    for part in np.array_split(prints, 50):
        sieve.notice("email", part)
    assert len(sieve.seen["email"].parts) == 2
    early, late = prints[:1_000], prints[-1_000:]
    sieve.notice("email", np.concatenate([early, late]))
    assert sieve.repeated(early).all()
    assert sieve.repeated(late).all()
    assert sieve.repeated(prints).mean() < 0.05


def test_kinds_are_kept_apart() -> None:
    """A fingerprint that was noticed once as each of two kinds is not repeated."""
    sieve = Sieve(["email", "external_id"])
    prints = np.arange(1_000, dtype=np.uint64)
    sieve.notice("email", prints)
    sieve.notice("external_id", prints)
    assert not sieve.repeated(prints).any()
