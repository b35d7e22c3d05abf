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

WORDS = 2**20  # of 64 bits: 8 MiB a part
ENTRIES = 5_000_000  # with more in one part, too many meet
MOST_PARTS = 4  # 20 million rows go in without getting in each other's way
SHIFTS = tuple(np.uint64(shift) for shift in (20, 26, 32))
Fingerprints = npt.NDArray[np.uint64]


class BitField:
    """A set of fingerprints that may hold a few more than were put in, in as many parts as keep them apart, up to MOST_PARTS."""

    def __init__(self) -> None:
        self.parts = [np.zeros(WORDS, np.uint64)]
        self.entries = 0  # of the last part

    def places(self, prints: Fingerprints) -> tuple[npt.NDArray[np.int64], Fingerprints]:
        """The word of each fingerprint, and its three bits."""
        one = np.uint64(1)
        bits = np.zeros(len(prints), np.uint64)
        for shift in SHIFTS:
            bits |= one << ((prints >> shift) & np.uint64(63))
        return (prints & np.uint64(WORDS - 1)).astype(np.int64), bits

    def add(self, prints: Fingerprints) -> None:
        """Puts fingerprints in."""
        if self.entries >= ENTRIES and len(self.parts) < MOST_PARTS:
            self.parts.append(np.zeros(WORDS, np.uint64))
            self.entries = 0
        words, bits = self.places(prints)
        np.bitwise_or.at(self.parts[-1], words, bits)
        self.entries += len(prints)

    def holds(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints are in it, or look as if they were."""
        words, bits = self.places(prints)
        found = np.zeros(len(prints), dtype=bool)
        for part in self.parts:
            found |= (part[words] & bits) == bits
        return found


class Sieve:
    """Tells the fingerprints that were noticed more than once, of identifiers of several kinds.

    Each kind has its own field of what was seen. What was seen again is so much less that one field does for all; so two kinds must
    not give one value the same fingerprint.
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        self.seen = {kind: BitField() for kind in kinds}
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
