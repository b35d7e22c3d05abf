"""The sieve: which identifiers occur more than once, in memory that does not grow.

Two bit fields per identifier: what was seen, and what was seen again. Identifiers go in as 64-bit fingerprints, three bits
each within one word. Different identifiers may meet in the same bits; then a row is looked at more closely for nothing
(about one in a thousand at 2 million rows), but no identifier that occurs twice is ever missed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

WORDS = 2**20  # of 64 bits: 8 MiB a field
SHIFTS = tuple(np.uint64(shift) for shift in (20, 26, 32))
Fingerprints = npt.NDArray[np.uint64]


class BitField:
    """A set of fingerprints that may hold a few more than were put in."""

    def __init__(self) -> None:
        self.words = np.zeros(WORDS, np.uint64)

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

    def holds(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints are in it, or look as if they were."""
        words, bits = self.places(prints)
        return (self.words[words] & bits) == bits


class Sieve:
    """Tells the fingerprints that were noticed more than once."""

    def __init__(self) -> None:
        self.seen = BitField()
        self.again = BitField()

    def notice(self, prints: Fingerprints) -> None:
        """Takes note of fingerprints, one for each row that has one."""
        repeated = self.seen.holds(prints) | pd.Series(prints).duplicated(keep="first").to_numpy()
        self.again.add(prints[repeated])
        self.seen.add(prints)

    def close(self) -> None:
        """Ends the noticing, and gives back the memory that only it needs."""
        del self.seen

    def repeated(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints were noticed more than once, or look as if they were."""
        return self.again.holds(prints)
