"""Results: the counts and issues of one window. Results add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from klaviyo_sync.core.attributes import IDENTIFIERS
from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.consent_counts import ConsentCounts, added
from klaviyo_sync.core.issues import CODES, OPT_OUT_WITHOUT_IDENTIFIER, UNKNOWN_WORD
from klaviyo_sync.core.sync import Channel

Fate = Literal["imported", "refused", "failed", "unknown"]
FATES: tuple[Fate, ...] = ("imported", "refused", "failed", "unknown")


class Reason(NamedTuple):
    """Why one profile did not arrive: a code of the catalogue, the attribute Klaviyo named (if any) and Klaviyo's own words."""

    code: str
    attribute: str | None
    detail: str


@dataclass(frozen=True)
class Outcome:
    """What became of one batch, or of a part of it.

    `fates[i]` is the position in FATES of what happened to row i of `rows` (the batch's rows); `reasons` has an
    entry for every row that was not imported, `without` one for every row that was imported without cells that Klaviyo refused: a reason
    for each. `jobs` are the import jobs that ran, `requests` and `bytes` what was sent.
    """

    rows: pa.Table
    fates: npt.NDArray[np.uint8]
    reasons: Mapping[int, Reason] = field(default_factory=dict)
    jobs: tuple[str, ...] = ()
    requests: int = 0
    bytes: int = 0
    without: Mapping[int, tuple[Reason, ...]] = field(default_factory=dict)

    def left_out(self, row: int) -> frozenset[str]:
        """The identifiers that a row was imported without."""
        return frozenset(reason.attribute for reason in self.without.get(row, ()) if reason.attribute in IDENTIFIERS)


class IssueKind(NamedTuple):
    """What issues are counted by."""

    column: str
    code: str


def merged_rows(issues: Mapping[IssueKind, int]) -> int:
    """How many of some issues are superseded rows with another identifier than the row that goes out in their place."""
    return sum(count for kind, count in issues.items() if kind.code in CODES and CODES[kind.code].effect == "superseded")


@dataclass(frozen=True)
class Result:
    """The counts of one window, and its issues by column and code. `read` is every row that the window holds.

    `phone_requests` are those that asked Klaviyo who has a phone number.
    `read_for_good` are the rows that no later window reads again: last changed in [start - overlap, end - overlap).
    `consent` counts the statements of the rows that are newest for their profile, by channel; `clears` their profiles with fields to clear.
    """

    read: int = 0
    imported: int = 0
    superseded: int = 0
    rejected: int = 0
    refused: int = 0
    failed: int = 0
    unknown: int = 0
    read_for_good: int = 0
    requests: int = 0
    bytes: int = 0
    phone_requests: int = 0
    consent_requests: int = 0
    consent: Mapping[Channel, ConsentCounts] = field(default_factory=dict)
    clear_requests: int = 0
    clears: ClearCounts = field(default_factory=ClearCounts)
    issues: Counter[IssueKind] = field(default_factory=Counter)
    jobs: tuple[str, ...] = ()

    @property
    def accounted(self) -> int:
        """Rows whose fate is known or known to be unknown; equal to `read` when nothing was lost."""
        return self.imported + self.superseded + self.rejected + self.refused + self.failed + self.unknown

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for, every statement of consent, and every profile with fields to clear."""
        return self.read == self.accounted and self.clears.balanced and all(counts.balanced for counts in self.consent.values())

    @property
    def merged(self) -> int:
        """Superseded rows with another identifier than the row that goes out in their place."""
        return merged_rows(self.issues)

    @property
    def not_taken(self) -> int:
        """Profiles that Klaviyo did not take, or took and would not clear."""
        return self.refused + self.failed + sum(count for kind, count in self.issues.items() if kind.code == "clear_refused")

    @property
    def opt_outs_without_address(self) -> int:
        """Opt-outs that could not be sent, since the address or number of their row is missing or not usable."""
        return sum(count for kind, count in self.issues.items() if kind.code == OPT_OUT_WITHOUT_IDENTIFIER)

    @property
    def unknown_words(self) -> int:
        """Cells with a word of consent that nobody understands: any of them may be an opt-out."""
        return sum(count for kind, count in self.issues.items() if kind.code == UNKNOWN_WORD)

    @property
    def open_opt_outs(self) -> int:
        """Opt-outs that could not be sent, that Klaviyo refused, or that it took and shows the opposite of."""
        refused = sum(counts.opt_outs_refused + counts.opt_outs_opposed for counts in self.consent.values())
        return self.opt_outs_without_address + refused

    @property
    def unknown_statements(self) -> int:
        """Statements of consent of which nothing is proven."""
        return sum(counts.unknown for counts in self.consent.values())

    @property
    def proven(self) -> bool:
        """Whether the fate of every row, statement and clear is known. A window that is not proven is not done."""
        return not self.unknown and not self.unknown_statements and not self.clears.unknown

    def __add__(self, other: Result) -> Result:
        sums = {part.name: getattr(self, part.name) + getattr(other, part.name) for part in fields(self) if part.name != "consent"}
        jobs = tuple(dict.fromkeys(sums.pop("jobs")))
        return Result(**sums, consent=added(self.consent, other.consent), jobs=jobs)
