"""The sieve: no identifier that occurs twice is missed, and few others are held."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from how_many import examples
from klaviyo_sync.core.sieve import ENTRIES, RUN, BitField, Sieve


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


def test_the_sieve_lets_go_of_all_that_occurs_once() -> None:
    """Of two million identifiers that occur once, none is looked at more closely; nor are most of them where some occur twice."""
    prints = np.random.default_rng(1).integers(0, 2**64 - 1, 2_000_000, np.uint64)
    for twice, most in ((0, 0.0), (20_000, 0.011)):
        sieve = Sieve(["email"])
        for part in np.array_split(np.append(prints, prints[:twice]), 100):
            sieve.notice("email", part)
        assert sieve.repeated(prints[:twice]).all()
        assert sieve.repeated(prints).mean() <= most


def test_more_than_one_part_holds() -> None:
    """What went into a full part of the field is known beside the next one, and few others look as if they were in it."""
    prints = np.random.default_rng(2).integers(0, 2**64 - 1, ENTRIES + 500_000, np.uint64)
    field = BitField()
    for part in np.array_split(prints, 50):
        field.add(part)
    assert len(field.parts) == 2
    assert field.holds(prints[:1_000]).all()
    assert field.holds(prints[-1_000:]).all()
    assert field.holds(np.random.default_rng(3).integers(0, 2**64 - 1, 100_000, np.uint64)).mean() < 0.05


def test_what_waits_takes_no_more_memory_the_more_it_is() -> None:
    """Of a million fingerprints at most a run is in memory while they are noticed, and a small part of them while they are compared."""
    sieve = Sieve(["email"])
    prints = np.arange(1_000_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    tracemalloc.start()
    for part in np.array_split(prints, 50):
        sieve.notice("email", part.copy())
    sieve.close()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6 * RUN * 8 < prints.nbytes
    assert not sieve.repeated(prints).any()


def test_kinds_are_kept_apart() -> None:
    """A fingerprint that was noticed once as each of two kinds is not repeated."""
    sieve = Sieve(["email", "external_id"])
    prints = np.arange(1_000, dtype=np.uint64)
    sieve.notice("email", prints)
    sieve.notice("external_id", prints)
    assert not sieve.repeated(prints).any()
