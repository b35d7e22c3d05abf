"""The sieve: which identifiers occur more than once, in bounded memory.

Identifiers go in as 64-bit fingerprints. They wait in sorted runs, in a file once there are many; then the runs are merged, a range of
fingerprints at a time, and those that occur twice go into a bit field, three bits each within one word. Different identifiers may meet
in the same bits; then a row is looked at more closely for nothing, but no identifier that occurs twice is ever missed. Where none does,
no row is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt

WORDS = 2**20  # of 64 bits: 8 MiB a part
ENTRIES = 5_000_000  # with more in one part, too many meet
MOST_PARTS = 4  # 20 million identifiers that occur twice go in without getting in each other's way
SHIFTS = tuple(np.uint64(shift) for shift in (20, 26, 32))
RUN = 2**17  # fingerprints of a kind that wait in memory: 1 MiB
RANGES = 64  # of fingerprints, merged one after the other: of 10 million a range has 1.2 MB
LOWEST = np.arange(RANGES, dtype=np.uint64) << np.uint64(58)  # of each range
BYTES = 8  # of a fingerprint
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


class Runs:
    """Fingerprints of one kind: RUN of them at most in memory, the others in sorted runs in a file that `file` opens."""

    def __init__(self, file: Callable[[], IO[bytes]]) -> None:
        self._new_file = file
        self._file: IO[bytes] | None = None
        self._pending: list[Fingerprints] = []
        self._waiting = 0
        self._starts: list[npt.NDArray[np.int64]] = []  # of each run, where in the file its ranges start, and its end

    def add(self, prints: Fingerprints) -> None:
        """Puts fingerprints in."""
        self._pending.append(prints)
        self._waiting += len(prints)
        if self._waiting >= RUN:
            if self._file is None:
                self._file = self._new_file()
            run = self._taken()
            cuts = np.searchsorted(run, LOWEST)
            self._starts.append(np.append(cuts, len(run)) + self._file.tell() // BYTES)
            self._file.write(run.data)

    def _taken(self) -> Fingerprints:
        run = np.sort(np.concatenate([np.zeros(0, np.uint64), *self._pending]))
        self._pending, self._waiting = [], 0
        return run

    def merged(self) -> Iterator[Fingerprints]:
        """All fingerprints, sorted, a range at a time. There is nothing left then."""
        last = self._taken()
        if self._file is None:
            yield last
            return
        cuts = np.append(np.searchsorted(last, LOWEST), len(last))
        for number in range(RANGES):
            parts = [self._read(int(starts[number]), int(starts[number + 1])) for starts in self._starts]
            yield np.sort(np.concatenate([*parts, last[cuts[number] : cuts[number + 1]]]))
        self.close()

    def _read(self, start: int, end: int) -> Fingerprints:
        assert self._file is not None
        self._file.seek(start * BYTES)
        return np.frombuffer(self._file.read((end - start) * BYTES), np.uint64)

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()


class Sieve:
    """Tells the fingerprints that were noticed more than once, of identifiers of several kinds.

    What was noticed is kept apart by kind. What was noticed again is so much less that one field does for all; so two kinds must not give
    one value the same fingerprint.
    """

    def __init__(self, kinds: Iterable[str], file: Callable[[], IO[bytes]] = TemporaryFile) -> None:
        self.runs: dict[str, Runs] | None = {kind: Runs(file) for kind in kinds}
        self.again = BitField()

    def notice(self, kind: str, prints: Fingerprints) -> None:
        """Takes note of fingerprints, one for each row that has one, before any is asked about."""
        assert self.runs is not None
        self.runs[kind].add(prints)

    def close(self) -> None:
        """Ends the noticing."""
        for runs in (self.runs or {}).values():
            for prints in runs.merged():
                repeated = prints[1:][prints[1:] == prints[:-1]]
                self.again.add(np.unique(repeated))
        self.runs = None

    def any_repeated(self) -> bool:
        """Whether any fingerprint was noticed more than once. The first question ends the noticing."""
        self.close()
        return self.again.entries > 0

    def repeated(self, prints: Fingerprints) -> npt.NDArray[np.bool_]:
        """Which fingerprints were noticed more than once, or look as if they were. The first question ends the noticing."""
        self.close()
        return self.again.holds(prints)
