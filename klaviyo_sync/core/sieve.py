"""The sieve: which identifiers occur more than once, in bounded memory.

Bit fields: what was seen, for each kind of identifier, and what was seen again. Identifiers go in as 64-bit fingerprints, three
bits each within one word. Different identifiers may meet in the same bits; then a row is looked at more closely for nothing
(about one in a thousand at 2 million rows, one in forty at 10 million), but no identifier that occurs twice is ever missed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

WORDS = 2**20  # of 64 bits: 8 MiB a field
ENTRIES = 5_000_000  # with more, too many meet
MOST_FIELDS = 4  # of one kind: 20 million rows go in without getting in each other's way
SHIFTS = tuple(np.uint64(shift) for shift in (20, 26, 32))
Fingerprints = npt.NDArray[np.uint64]


class BitField:
    """A set of fingerprints that may hold a few more than were put in."""

    def __init__(self) -> None:
        self.words = np.zeros(WORDS, np.uint64)
        self.entries = 0

    def places(self, prints: Fingerprints) -> tuple[npt.NDArray[np.int64], Fingerprints]:
        """The word of each fingerprint, and its three bits."""
        one = np.uint64(1)
        bits = np.zeros(len(prints), np.uint64)
        for shift in SHIFTS:
            bits |= one << ((prints >> shift) & np.uint64(63))
        return (prints & np.uint64(WORDS - 1)).astype(np.int64), bits

    def add(self, prints: Fingerprints) -> None:
        """Puts fingerprints in."""
        words, bits = self.places(prints)
        np.bitwise_or.at(self.words, words, bits)
        self.entries += len(prints)

    def holds(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints are in it, or look as if they were."""
        words, bits = self.places(prints)
        return (self.words[words] & bits) == bits


class GrowingField:
    """The same, in as many fields as it takes to keep fingerprints apart, up to MOST_FIELDS."""

    def __init__(self) -> None:
        self.fields = [BitField()]

    def add(self, prints: Fingerprints) -> None:
        """Puts fingerprints in."""
        if self.fields[-1].entries >= ENTRIES and len(self.fields) < MOST_FIELDS:
            self.fields.append(BitField())
        self.fields[-1].add(prints)

    def holds(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints are in it, or look as if they were."""
        return np.logical_or.reduce([field.holds(prints) for field in self.fields])


class Sieve:
    """Tells the fingerprints that were noticed more than once, of identifiers of several kinds.

    Each kind has its own fields of what was seen. What was seen again is so much less that one field does for all; so two kinds must
    not give one value the same fingerprint.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.seen = {kind: GrowingField() for kind in kinds}
        self.again = BitField()

    def notice(self, kind: str, prints: Fingerprints) -> None:
        """Takes note of fingerprints, one for each row that has one."""
        seen = self.seen[kind]
        repeated = seen.holds(prints) | pd.Series(prints).duplicated(keep="first").to_numpy()
        self.again.add(prints[repeated])
        seen.add(prints)

    def close(self) -> None:
        """Ends the noticing, and gives back the memory that only it needs."""
        self.seen.clear()

    def repeated(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints were noticed more than once, or look as if they were."""
        return self.again.holds(prints)
